"""Checks and times this machine's GPU in under four minutes: a line a check, and a JSON file of what was measured.

    make gpu-check                  # or: python benchmarks/gpu_check.py --out gpu.json

Needs torch, torchvision, timm, pytest and what `duo logits` itself imports; neither the dashboard nor anything that is
downloaded. Models have random weights, images are made here. Without a GPU it is a dry run of itself: small sizes on the CPU, and
no verdict on speed. Exit status 1 where a check failed.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import timm
import torch

from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference import compute
from duo_core.inference.runner import Runner
from duo_core.inference.workers import crew
from duo_core.logits.store import Store
from duo_core.models.cost import cost, throughput
from duo_core.models.devices import InputError, check_precision, compute_device, device_name, tf32, wait_for
from duo_core.models.transforms import Transform
from duo_core.models.zoo import LoadedModel, ModelSpec

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 220
"""The whole check; what has no time left is left out, and said."""
AGREEMENT = {"float32": 1e-3, "tf32": 5e-2, "float16": 5e-2, "bfloat16": 0.3}
"""Largest difference from the CPU's float32, in standard deviations of the logits."""
MODELS = ("resnet18", "vit_tiny_patch16_224", "convnext_atto")
TIMED = ("resnet18", "efficientnet_b0", "convnext_base", "vit_base_patch16_224")


class Check:
    """Lines as they are printed, and the numbers behind them."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.began, self.failed = device, time.monotonic(), 0
        self.gpu = device.type != "cpu"
        self.found: dict[str, Any] = {"device": device_name(device), "torch": torch.__version__, "dry_run": not self.gpu}

    def line(self, kind: str, name: str, text: str) -> None:
        print(f"{kind:4} {name}: {text}", flush=True)
        self.failed += kind == "FAIL"

    def judge(self, holds: bool, name: str, text: str) -> None:
        self.line("PASS" if holds else "FAIL", name, text)

    def left(self) -> float:
        return SECONDS - (time.monotonic() - self.began)

    def run(self, *parts: Callable[["Check"], None]) -> None:
        """Run the parts in turn; one that raises has failed, and the others go on."""
        for part in parts:
            name = part.__name__.replace("_", " ")
            if self.left() < 15:
                self.line("SKIP", name, "no time left")
                continue
            try:
                part(self)
            except Exception as error:
                self.line("FAIL", name, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def loaded(name: str, classes: int = 1000) -> LoadedModel:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of timm's own imports
        module = timm.create_model(name, num_classes=classes).eval()
    transform = Transform((3, 224, 224), (0.5,) * 3, (0.5,) * 3, resize=256)
    return LoadedModel(ModelSpec(name, f"timm/{name}", "timm", ""), module, transform, classes, None, None, name)


def precisions(check: Check) -> Iterator[str]:
    """Those that the device computes in."""
    for precision in AGREEMENT:
        with contextlib.suppress(InputError):
            check_precision(precision, check.device)
            yield precision


def own_tests(check: Check) -> None:
    """The project's tests that need a GPU."""
    if check.device.type != "cuda":
        return check.line("SKIP", "tests", "those that need a GPU")
    options = ["-q", "-m", "gpu", "--noconftest", "-p", "no:cacheprovider", "-W", "error", str(ROOT / "tests" / "test_gpu.py")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    if ran.returncode:
        print(ran.stdout[-3000:])
    return check.judge(not ran.returncode, "tests", (ran.stdout.strip().splitlines() or ["pytest said nothing"])[-1])


def ceilings(check: Check) -> None:
    """What the device itself gives: products of large matrices, and bytes copied."""
    size = 8192 if check.gpu else 256
    rates = {}
    for precision in precisions(check):
        dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(precision, torch.float32)
        one = torch.randn(size, size, device=check.device).to(dtype)
        with tf32(precision == "tf32"):
            rates[precision] = 2 * size**3 / seconds(check, lambda one=one: one @ one)
    values = torch.empty((1 << 28) if check.gpu else (1 << 20), device=check.device)
    other = torch.empty_like(values)
    copied = 2 * values.nbytes / seconds(check, lambda: other.copy_(values))
    check.found["operations_a_second"], check.found["bytes_a_second"] = rates, copied
    told = ", ".join(f"{name} {rate / 1e12:.1f}" for name, rate in rates.items())
    check.line("INFO", "ceilings", f"matrix products {told} TFLOP/s, memory {copied / 1e12:.2f} TB/s")


def seconds(check: Check, work: Callable[[], object], repeats: int = 5) -> float:
    taken = []
    for number in range(repeats + 2):
        began = time.perf_counter()
        work()
        wait_for(check.device)
        taken += [time.perf_counter() - began] if number >= 2 else []
    return statistics.median(taken)


def same_logits(check: Check) -> None:
    """Logits against those of the CPU in float32, in every precision."""
    pixels = torch.randint(
        0, 256, (64 if check.gpu else 2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    check.found["agreement"] = {}
    for name in MODELS if check.gpu else MODELS[:1]:
        model = loaded(name)
        with Runner(model, torch.device("cpu"), "float32", 32) as runner:
            expected = runner(pixels)
        for precision in precisions(check):
            with Runner(model, check.device, precision, 256) as runner:
                got = runner(pixels).cpu()
            off = ((got - expected).abs().max() / expected.std()).item()
            changed = (got.argmax(1) != expected.argmax(1)).sum().item()
            check.found["agreement"][f"{name} {precision}"] = {"largest_difference": off, "predictions_changed": changed}
            bound = AGREEMENT[precision]
            text = f"at most {off:.1e} of the logits' deviation apart (bound {bound:g}), {changed} of {len(got)} predictions"
            check.judge(off < bound, f"{name} {precision}", text)


def no_waiting(check: Check) -> None:
    """Calls that wait for the GPU while a batch goes through several models."""
    if check.device.type != "cuda":
        return check.line("SKIP", "waiting", "needs CUDA")
    pixels = torch.randint(0, 256, (64, 3, 224, 224), dtype=torch.uint8).pin_memory()
    with contextlib.ExitStack() as stack:
        runners = [stack.enter_context(Runner(loaded(name), check.device, "float32", 256)) for name in MODELS]
        for runner in runners:
            runner(pixels)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for runner in runners:
                runner(pixels)
        torch.cuda.set_sync_debug_mode("default")
    count = sum("synchroniz" in str(warning.message) for warning in seen)
    check.found["synchronisations_a_batch"] = count
    return check.judge(not count, "waiting", f"{count} calls wait for the GPU in a batch of {len(runners)} models")


def speed(check: Check) -> None:
    """Images a second, and what share of the products that the device can do they are."""
    check.found["throughput"] = {}
    for name in TIMED if check.gpu else TIMED[:1]:
        module = loaded(name).module
        operations = 2 * cost(module, (3, 224, 224)).multiply_adds
        for precision in precisions(check) if check.gpu else ["float32"]:
            if check.left() < 60:
                return check.line("SKIP", f"{name} {precision}", "no time left")
            size = None if check.gpu else 1
            rate = throughput(module, (3, 224, 224), device=check.device, precision=precision, batch_size=size, seconds=1)
            share = rate.images_per_second * operations / check.found["operations_a_second"][precision]
            measured = {"images_per_second": rate.images_per_second, "batch_size": rate.batch_size, "share_of_peak": share}
            check.found["throughput"][f"{name} {precision}"] = measured
            text = f"{rate.images_per_second:,.0f} images/s, {rate.batch_size} at a time, {share:.0%} of the products"
            check.line("INFO", f"{name} {precision}", text)
    return None


def whole_way(check: Check) -> None:
    """Decoding, models, saving: a set from a folder, with worker processes and with none."""
    count, models = (768, [loaded(name, 10) for name in MODELS]) if check.gpu else (24, [loaded(MODELS[0], 10)])
    with tempfile.TemporaryDirectory() as folder:
        photographs(Path(folder) / "images", count)
        made = splits({"test": open_source(str(Path(folder) / "images"))})
        stores = {workers: Store(Path(folder) / str(workers)) for workers in (None, 0)}
        for workers, store in stores.items():
            began = time.perf_counter()
            compute(models, made, store, "set", device=str(check.device), workers=workers, batch_size=64 if check.gpu else 8)
            took = time.perf_counter() - began
            how = str(crew(count, 3 * 224 * 224, workers))
            check.found[f"images_a_second_{'alone' if workers == 0 else 'with_workers'}"] = count / took
            check.line("INFO", "whole way", f"{count} images through {len(models)} models, {count / took:,.0f} images/s; {how}")
        sets = [store.open("set") for store in stores.values()]
        same = all(torch.equal(*(one.logits(model.spec.name, "test") for one in sets)) for model in models)
        check.judge(same, "worker processes", "give the bits that none give" if same else "give other bits than none")


def photographs(folder: Path, count: int) -> None:
    """JPEGs of 500 x 375 in ten folders, smooth with noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize((500, 375))
        noisy = np.asarray(coarse, dtype=np.int16) + rng.integers(-12, 13, (375, 500, 3), dtype=np.int16)
        (folder / str(number % 10)).mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / str(number % 10) / f"{number}.jpg", quality=90)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"), help="where the numbers go (default gpu-check.json)")
    options = parser.parse_args()
    check = Check(compute_device(options.device))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    check.line("INFO", "machine", f"{check.found['device']}, {cores} cores, torch {torch.__version__}, timm {timm.__version__}")
    check.run(own_tests, ceilings, no_waiting, same_logits, speed, whole_way)
    check.found["failed"] = check.failed
    options.out.write_text(json.dumps(check.found, indent=1) + "\n", encoding="utf-8")
    dry = "" if check.gpu else "; a dry run, there is no GPU"
    print(f"{check.failed} checks failed, {time.monotonic() - check.began:.0f} s, numbers in '{options.out}'{dry}")
    return int(check.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
