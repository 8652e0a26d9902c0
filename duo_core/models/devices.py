"""Where models run and in what precision: devices by name, their memory, and what arithmetic a run uses, set and put back."""

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from duo_core.common.allocating import memory_kept
from duo_core.common.arrays import InputError

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
"""float32 in full; float32 whose products are of numbers with 10 bits after the point (TF32); float16 and bfloat16 by autocast."""
AUTOCAST = {"float16": torch.float16, "bfloat16": torch.bfloat16}
AMPERE = (8, 0)
"""Compute capability from which NVIDIA GPUs have units for TF32 and bfloat16."""
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "OUT_OF_DEVICE_MEMORY", "OUT_OF_RESOURCES")
TOO_LARGE = ("CUDNN_STATUS_ALLOC_FAILED", "CUDNN_STATUS_NOT_SUPPORTED", "CUBLAS_STATUS_ALLOC_FAILED", "canUse32BitIndexMath")
"""How libraries say that a batch is too large for them, where torch has no exception of its own."""


def compute_device(name: str) -> torch.device:
    """Read `auto` (a GPU where there is one, else the CPU), `cpu`, or `cuda`, `mps` or `xpu`, all but `mps` with `:N`.

    >>> compute_device("cpu")
    device(type='cpu')
    """
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return torch.device(here.type if here else "cpu")
    if not re.fullmatch(r"cpu|mps|(cuda|xpu)(:\d+)?", name):
        raise InputError(f"expected auto, cpu, cuda, cuda:N, mps, xpu or xpu:N as the device, got '{name}'")
    device = torch.device(name)
    count = torch.accelerator.device_count() if here and here.type == device.type else 0
    if device.type != "cpu" and (device.index or 0) >= count:
        raise InputError(f"the device '{name}' was asked for, but {count} {device.type.upper()} devices are here; use auto or cpu")
    return device


def device_name(device: torch.device) -> str:
    """Name of the processor that a device stands for."""
    named = getattr(getattr(torch, device.type), "get_device_name", None)
    if named is not None:
        return str(named(device))
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def check_precision(precision: str, device: torch.device) -> None:
    """Raise InputError for a precision that is none, or that the device has no units for."""
    if precision not in PRECISIONS:
        raise InputError(f"expected the precision {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, got '{precision}'")
    if not _has(precision, device):
        other = "float16" if precision == "bfloat16" else "float32"
        raise InputError(
            f"expected a precision that '{device}' ({device_name(device)}) computes in, got '{precision}', which it has no units "
            f"for; use {other}"
        )


def _has(precision: str, device: torch.device) -> bool:
    """Whether a device computes in a precision itself; CUDA would emulate bfloat16 on older GPUs, without its convolutions."""
    if precision == "tf32":
        return device.type == "cuda" and (torch.version.hip is not None or torch.cuda.get_device_capability(device) >= AMPERE)
    if precision != "bfloat16":
        return True
    if device.type in ("cuda", "xpu"):
        return bool(getattr(torch, device.type).is_bf16_supported(including_emulation=False))
    return device.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def best_precision(device: torch.device) -> str:
    """Return bfloat16 where the processor multiplies such numbers itself, else float32."""
    if device.type != "cpu":
        return "bfloat16" if _has("bfloat16", device) else "float32"
    known = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return "bfloat16" if any(ask is not None and ask() for ask in known) else "float32"


@contextlib.contextmanager
def computing(device: torch.device, precision: str) -> Iterator[None]:
    """Compute in a precision: autocast where it is narrow, TF32 only where it is named, whatever the process had set before."""
    with tf32(precision == "tf32"), torch.autocast(device.type, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
        yield


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let CUDA's convolutions and matrix products round their factors to TF32, or not; torch's own setting differs between them."""
    places: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = allowed
        yield
    finally:
        for place, was in zip(places, before, strict=True):
            place.allow_tf32 = was


@contextlib.contextmanager
def current(device: torch.device) -> Iterator[None]:
    """Make a device that has a number the current one: else helper threads make a context on the first of them, too.

    On the CPU, memory stays with the process from one layer to the next.
    """
    if device.index is None:
        with memory_kept() if device.type == "cpu" else contextlib.nullcontext():
            yield
        return
    before = torch.accelerator.current_device_index()
    torch.accelerator.set_device_index(device.index)
    try:
        yield
    finally:
        torch.accelerator.set_device_index(before)


def wait_for(device: torch.device) -> None:
    """Return once all that was asked of a device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def empty_cache(device: torch.device) -> None:
    """Give back what torch holds of a device's memory and does not use."""
    if device.type != "cpu":
        getattr(torch, device.type).empty_cache()


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device, or on this machine for the CPU; None where nobody says."""
    if device.type in ("cuda", "xpu"):
        return int(getattr(torch, device.type).mem_get_info(device)[0])
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether fewer images at once may help: torch has an exception of its own, allocators and libraries only words.

    >>> out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")), out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or _said(error) is not None


def _said(error: BaseException) -> str | None:
    return next((part for part in (*NO_MEMORY, *TOO_LARGE) if part in str(error)), None)


def why_too_large(error: BaseException) -> str:
    """What a library said, in brackets, where that is something else than a full memory; nothing else.

    >>> why_too_large(RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear ..."))
    ' (CUDNN_STATUS_NOT_SUPPORTED)'
    """
    said = None if isinstance(error, torch.OutOfMemoryError | MemoryError) else _said(error)
    return f" ({said})" if said in TOO_LARGE else ""
