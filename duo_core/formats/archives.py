"""NumPy files (.npz, .npy): arrays by their declared headers, unpacked one at a time, never unpickled."""

import io
import math
import re
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duo_core.formats.limits import ARRAYS, DIRECTORY, LETTERS, Limits, words
from duo_core.formats.naming import role_alone
from duo_core.formats.problems import Flaw, Report, shown
from duo_core.formats.uploads import TEXT, Member, Upload, report_repeated

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, NotImplementedError, RuntimeError, OverflowError),
)
"""What zipfile raises for archives that are not as they should be."""
MAGIC = b"\x93NUMPY"
END, END_64 = b"PK\5\6", b"PK\6\6"
HEADER = 10_000
"""Bytes of a .npy header, as NumPy itself limits them."""
PICKLE = re.compile(rb"\x80[\x02-\x05]")
PLAIN = re.compile(r"[<>=|]?(?:[fiu]\d|b1)")
WIDE_TEXT = re.compile(r"[<>=|]?[US](\d{1,9})")
ENTRIES = {"descr": r"['\"]([^'\"]{1,32})['\"]", "fortran_order": "(True|False)", "shape": r"\(([\d\s,]{0,150})\)"}
"""What a .npy header says, as it stands behind each name."""
CHUNK = 1 << 20


def npz_members(upload: Upload, view: memoryview, limits: Limits, report: Report) -> list[Member]:
    """Return the members of an archive; what is wrong with single ones is reported, what is wrong with the whole is raised."""
    if PICKLE.match(view[:2]):
        raise Flaw("E104", "the file is a pickle")
    archive = _opened(view)
    infos = archive.infolist()
    if any(info.filename.endswith("data.pkl") for info in infos):
        raise Flaw("E104", "the file is one of torch.save", mend=f"run duo convert {upload.label} on your own machine")
    if len(infos) > ARRAYS:
        raise Flaw("E105", f"it has {len(infos):,} members", limit=f"at most {ARRAYS:,} arrays", mend="save fewer arrays")
    limits.check_decoded(sum(info.file_size for info in infos))
    report_repeated(upload, [_name(info) for info in infos], report)
    members = []
    for name, info in {_name(info): info for info in infos}.items():
        with report.at(f"{upload.label}, {name}"):
            members.append(_member(archive, info, view, limits))
    return members


def npy_members(upload: Upload, view: memoryview, limits: Limits, report: Report) -> list[Member]:  # noqa: ARG001 (as all openers)
    """Return the one array of a .npy file, called as the file is; its role is what it is alone: logits, or the labels."""
    if PICKLE.match(view[:2]):
        raise Flaw("E104", "the file is a pickle")
    if bytes(view[:6]) != MAGIC:
        raise Flaw("E102", f"the file begins with {bytes(view[:6])!r}, not as an array of NumPy's does", format=".npy")
    header = _header(bytes(view[: HEADER + 12]))
    limits.check_decoded(len(view))
    header.check(len(view), limits)

    def read() -> NDArray[Any]:
        try:
            return header.array(view)
        except DAMAGED as error:
            raise Flaw("E102", f"the array is damaged ({shown(error)})", format=".npy") from None

    dtype = TEXT if header.dtype.kind in "US" else header.dtype
    return [Member(role_alone(upload.stem, header.shape, dtype), header.shape, dtype, read, upload.stem, upload.stem)]


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.removesuffix(".npy")


def _opened(view: memoryview) -> zipfile.ZipFile:
    """Open the archive once its table of contents is known to be small."""
    if bytes(view[:4]) not in (b"PK\3\4", END):
        raise Flaw("E102", f"the file begins with {bytes(view[:4])!r}, not as a zip archive does", format=".npz")
    directory = _directory_bytes(view)
    if directory > DIRECTORY:
        raise Flaw("E105", f"its table of contents takes {words(directory)}", limit=f"one of at most {words(DIRECTORY)}")
    try:
        return zipfile.ZipFile(pa.BufferReader(pa.py_buffer(view)))
    except DAMAGED as error:
        raise Flaw("E102", f"the archive is truncated or damaged ({shown(error)})", format=".npz") from None


def _directory_bytes(view: memoryview) -> int:
    """Largest size of the table of contents that any end record in the file's tail declares."""
    tail = bytes(view[-(1 << 16) - 128 :])
    ends = [struct.unpack_from("<L", tail, at.start() + 12)[0] for at in re.finditer(END, tail) if at.start() + 16 <= len(tail)]
    wide = [struct.unpack_from("<Q", tail, at.start() + 40)[0] for at in re.finditer(END_64, tail) if at.start() + 48 <= len(tail)]
    return max([size for size in ends if size != 0xFFFFFFFF] + wide, default=0)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, view: memoryview, limits: Limits) -> Member:
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Flaw("E103", "the member is encrypted or compressed in a way that NumPy does not read")
    try:
        with archive.open(info) as content:
            start = content.read(HEADER + 12)
    except DAMAGED as error:
        raise _damaged(error) from None
    header = _header(start)
    header.check(info.file_size, limits)

    def read() -> NDArray[Any]:
        try:
            return header.array(_content(archive, info, view))
        except DAMAGED as error:
            raise _damaged(error) from None

    return Member(_name(info), header.shape, TEXT if header.dtype.kind in "US" else header.dtype, read)


def _damaged(error: Exception) -> Flaw:
    return Flaw("E102", f"the member is truncated or damaged ({shown(error)})", format=".npz")


@dataclass(frozen=True)
class _Header:
    """What stands at the beginning of a .npy file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    bytes: int

    def check(self, size: int, limits: Limits) -> None:
        """Raise a Flaw where the array, its header included, does not have the bytes that are declared, or too much text."""
        held, declared = size - self.bytes, self.dtype.itemsize * math.prod(self.shape)
        if held != declared:
            raise Flaw(
                "E105",
                f"its header declares {words(declared)}, but it holds {words(held)}",
                limit="a header that tells the truth",
                mend="save it again",
            )
        if self.dtype.kind in "US":
            limits.check_texts(declared // (4 if self.dtype.kind == "U" else 1))

    def array(self, content: memoryview) -> NDArray[Any]:
        if not math.prod(self.shape):
            return np.zeros(self.shape, self.dtype)
        flat: NDArray[Any] = np.frombuffer(content[self.bytes :], self.dtype)
        if self.dtype.kind == "U" and flat.view(self.dtype.byteorder.replace("|", "=") + "u4").max() > sys.maxunicode:
            raise ValueError("its text is no Unicode")
        array = flat.reshape(self.shape, order="F" if self.fortran else "C")
        return np.char.decode(array, "utf-8", "replace") if self.dtype.kind == "S" else array


def _header(start: bytes) -> _Header:
    """Read a .npy header by its three entries; nothing in it is evaluated."""
    if PICKLE.match(start):
        raise Flaw("E104", "the member is a pickle")
    if start[:6] != MAGIC or len(start) < 12:
        raise Flaw("E103", "the member is no array of NumPy's", mend="leave it out")
    begin, length = (10, int.from_bytes(start[8:10], "little")) if start[6] == 1 else (12, int.from_bytes(start[8:12], "little"))
    if length > HEADER:
        raise Flaw("E105", f"its header declares {words(length)}", limit=f"a header of at most {HEADER:,} bytes")
    text = start[begin : begin + length].decode("latin-1")
    descr, order, shape = (re.search(rf"['\"]{key}['\"]\s*:\s*{value}", text) for key, value in ENTRIES.items())
    if not (order and shape):
        raise Flaw("E102", "its header cannot be read", format=".npy")
    sides = tuple(int(side) for side in re.findall(r"\d+", shape[1]))
    if len(sides) > 8:
        raise Flaw("E205", f"it has {len(sides)} dimensions", need="an array of one or two")
    return _Header(_dtype(descr[1] if descr else "records"), sides, order[1] == "True", begin + length)


def _dtype(text: str) -> np.dtype[Any]:
    if text.lstrip("<>=|").startswith("O"):
        raise Flaw(
            "E104",
            "the member is an array of Python objects",
            mend="save it after numpy.asarray(values, dtype=str) or .astype(float)",
        )
    width = WIDE_TEXT.fullmatch(text)
    if width and int(width[1]) > LETTERS:
        raise Flaw(
            "E105", f"its texts are declared {int(width[1]):,} characters wide", limit=f"at most {LETTERS:,} characters a name"
        )
    try:
        if width or PLAIN.fullmatch(text):
            return np.dtype(text)
    except TypeError:
        pass
    raise Flaw("E106", f"its dtype is '{shown(text)}'")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, view: memoryview) -> memoryview:
    """The member's bytes: a part of the upload where they are stored as they are, else unpacked."""
    if info.compress_type == zipfile.ZIP_STORED:
        name, extra = struct.unpack_from("<HH", view, info.header_offset + 26)
        begin = info.header_offset + 30 + name + extra
        content = view[begin : begin + info.file_size]
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise zipfile.BadZipFile("the checksum differs")
        return content
    unpacked = io.BytesIO()
    with archive.open(info) as packed:
        while chunk := packed.read(CHUNK):
            unpacked.write(chunk)
    if unpacked.tell() != info.file_size:
        raise zipfile.BadZipFile(f"{info.file_size:,} bytes were declared, {unpacked.tell():,} are there")
    return unpacked.getbuffer()
