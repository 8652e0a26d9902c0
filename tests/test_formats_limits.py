"""Hostile files end in their message within a second and 100 MB, unpacked by nobody."""

import io
import json
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logit_files import arrays, npz

from duo_core.__main__ import main
from duo_core.formats import Limits, Upload, read
from duo_core.formats.footers import unpacked_bytes

MB = 1_000_000
ROOT = Path(__file__).resolve().parents[1]
MEASURED = """
import json, pathlib, sys, time
from duo_core.formats import Limits, Upload, read, template
from duo_core.formats.apart import unpacker

def peak(process="self"):
    return 1024 * int(next(line for line in open(f"/proc/{process}/status") if line.startswith("VmHWM")).split()[1])

for kind in ("npz", "safetensors", "parquet", "csv"):  # whatever is loaded or compiled only once
    read([Upload(f"template.{kind}", template(kind))])
for path in map(pathlib.Path, sys.argv[1:]):
    content = path.read_bytes()
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = peak(), time.process_time()  # others may keep the machine busy
    with unpacker(Limits()) as own:
        reading = read([Upload(path.name, content)])
        seconds = time.process_time() - start
        apart = peak(own._process.pid) if own._process else 0
    print(json.dumps([seconds, peak() - before, apart, sorted({problem.code for problem in reading.problems})]))
    del reading, content
"""


def measured(paths):
    """For each file: seconds, bytes at the peak beside the file, those of the process apart, codes."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory is measured on Linux")
    command = [sys.executable, "-c", MEASURED, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.stderr == ""
    return [json.loads(line) for line in run.stdout.splitlines()]


def archive(members, declared=None):
    """A zip archive of raw members; `declared` overrides the sizes that its headers state."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    content = bytearray(file.getvalue())
    if declared is not None:
        struct.pack_into("<L", content, 22, declared)  # the local header of the first member
        struct.pack_into("<L", content, content.index(b"PK\1\2") + 24, declared)
    return bytes(content)


def header(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zeros(name, begin, mebibytes):
    """An archive of one member: `begin`, then zeros. Its headers say how many; it is refused before their checksum is asked for."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH)
    content += (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * mebibytes + packer.flush()
    sizes = struct.pack("<LLL", 0, len(content), len(begin) + (mebibytes << 20))
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", len(name), 0) + name
    place = struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, 0, 0) + name
    central = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes + place
    return local + content + central + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local) + len(content), 0)


def many_members():
    """A table of contents of 54 MB, a million times the same entry."""
    central = (b"PK\1\2" + bytes(24) + struct.pack("<H", 8) + bytes(16) + b"a.npy...") * 1_000_000
    return b"PK\3\4" + bytes(30) + central + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 65535, 65535, len(central), 34, 0)


def parquet(table, **options):
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def declared_rows():
    """A table of 777 rows whose footer says a billion."""
    content = parquet(pa.table({"target": pa.array([0] * 777, pa.int32()), "logit_0": pa.array([0.5] * 777)}))
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8].replace(varint(777), varint(1_000_000_000))
    return content[: -8 - length] + footer + struct.pack("<L", len(footer)) + b"PAR1"


def varint(value):
    """A number of at least 64 as Thrift's compact protocol writes it."""
    value, found = value << 1, bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def page_bomb():
    """Columns whose pages' headers, not the footer, say that they unpack to 1 MiB each, 1 GiB in all."""
    numbers = pa.array(np.zeros(200_000))
    content = parquet(pa.table({f"logit_{index}": numbers for index in range(110)}), compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    pages = 10  # of 20 000 rows
    size = unpacked_bytes(memoryview(content), [(column.data_page_offset, column.total_compressed_size)]) // pages
    assert content.count(varint(size)) >= 110 * pages
    return content.replace(varint(size), varint((1 << 20) - 1))


def empty_pages():
    """A column of 50 million pages of no bytes."""
    pages = b"\x25\0\x15\0\0" * 50_000_000
    column = b"\x3c\x76" + varint(len(pages)) + b"\x26" + b"\x08\0\0"
    footer = b"\x29\x0c\x16\x10\x19\x1c\x19\x1c" + column + b"\x26\x10\0\0"
    return b"PAR1" + pages + footer + struct.pack("<L", len(footer)) + b"PAR1"


def hollow_columns():
    """A footer of 30 MB that declares seven million columns of a name alone."""
    footer = b"\x29\xfc" + varint(7_500_000 // 2) + b"\x48\x01a\0" * 7_500_000 + b"\x16\x10\x19\x0c\0"
    return b"PAR1" + footer + struct.pack("<L", len(footer)) + b"PAR1"


def many_groups():
    """A thousand columns in 200 row groups of one row: a footer of 19 MB that repeats the one group of a file."""
    numbers = pa.array(np.zeros(1, "f4"))
    content = parquet(pa.table({f"logit_{index}": numbers for index in range(1000)}), store_schema=False)
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    begin, end = footer.index(b"\x16\2\x19\x1c") + 4, footer.rindex(b"\x28")  # one row, one group; who wrote it
    assert pq.ParquetFile(io.BytesIO(content)).metadata.created_by.encode() in footer[end : end + 99]
    footer = footer[: begin - 3] + varint(200) + b"\x19\xfc" + varint_of(200) + footer[begin:end] * 200 + footer[end:]
    return content[: -8 - length] + footer + struct.pack("<L", len(footer)) + b"PAR1"


def long_texts():
    """Two hundred thousand times the same name of 10 kB, stored once."""
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, "i4")), pa.array(["x" * 10_000]))
    return parquet(pa.table({"filename": names, "target": pa.array(np.zeros(200_000, "i4"))}))


def plain_texts(kind):
    """Twenty thousand times a value of 100 kB in a dictionary that no type tells of."""
    kind, file = getattr(pa, kind)(), io.BytesIO()
    rows = pa.table({"filename": pa.array(["x" * 100_000] * 1000, kind), "target": pa.array(np.arange(1000) % 2)})
    with pq.ParquetWriter(file, rows.schema) as writer:
        for _ in range(20):
            writer.write_table(rows)
    return file.getvalue()


def long_lists(role, value):
    """Ten rows, one of them of 30 million times a value, in a column that has a role."""
    values = pa.repeat(pa.scalar(value, pa.int8()), 30_000_000)
    places = pa.array(np.array([0] + [len(values)] * 10, "i4"))
    columns = {"target": pa.array(np.arange(10) % 2), "logit_0": pa.array(np.ones(10)), "logit_1": pa.array(np.zeros(10))}
    return parquet(pa.table({**columns, role: pa.ListArray.from_arrays(places, values)}))


def deep_schema(depth=29_000):
    """A column within a column within ..."""
    inner = b"\x35\0\x18\x01a\x15\x02\0" * (depth - 1)
    schema = b"\x48\x01a\x15\x02\0" + inner + b"\x15\x08\x25\0\x18\x01a\0"
    count = depth + 1
    footer = b"\x15\x02\x19\xfc" + varint_of(count) + schema + b"\x16\0\x19\x0c\0"
    return b"PAR1" + footer + struct.pack("<L", len(footer)) + b"PAR1"


def varint_of(value):
    """A length as Thrift writes it, in three bytes."""
    return bytes([value & 127 | 128, value >> 7 & 127 | 128, value >> 14])


def wide_names(dtype):
    """Two hundred thousand names that are declared a thousand letters wide."""
    begin, size = header((200_000,), dtype), 200_000 * np.dtype(dtype).itemsize
    return zeros(b"ids.npy", begin + bytes(size % (1 << 20)), size >> 20)


def long_cells():
    """Two hundred thousand names of a thousand letters."""
    return b"filename,target,logit_0,logit_1\n" + (b"x" * 1000 + b",0,0.5,1\n") * 200_000


def safetensors_header(length, text=b"{"):
    return struct.pack("<Q", length) + text.ljust(min(length, 50 * MB), b" ")


HOSTILE = {
    "zip bomb of 3 GiB": ("a.npz", partial(zeros, b"labels.npy", b"", 3 << 10), "E105"),
    "zip of many members": ("a.npz", many_members, "E105"),
    "zip with an array of 10^15 numbers": ("a.npz", lambda: archive({"labels.npy": header((10**15,))}), "E105"),
    "zip that lies about its size": (
        "a.npz",
        lambda: archive({"labels.npy": header((2**28,)) + bytes(50 * MB)}, 2**30 + 63),
        "E105",
    ),
    "zip that unpacks to more than it says": (
        "a.npz",
        lambda: archive({"labels.npy": header((16,)) + bytes(300 * MB)}, 70 + 64),
        "E102",
    ),
    "zip in a zip": ("a.npz", lambda: archive({"a.npz": archive({"b.npz": bytes(50 * MB)})}), "E103"),
    "a header of 4 GiB": ("a.npz", lambda: archive({"labels.npy": b"\x93NUMPY\x02\x00" + b"\xff" * 4 + bytes(50)}), "E105"),
    "a header that regular expressions choke on": (
        "a.npz",
        lambda: archive({"labels.npy": header("(" + "1 " * 2000).replace(b", }", b"")}),
        "E102",
    ),
    "names a million letters wide": ("a.npz", lambda: archive({"ids.npy": header((9,), "<U1000000") + bytes(36 * MB)}), "E105"),
    "pickle in an archive": ("a.npz", lambda: archive({"labels.npy": header((3,), "|O") + b"\x80\x04]"}), "E104"),
    "Parquet with 10^8 rows": ("a.parquet", lambda: parquet(pa.table({"target": pa.nulls(10**8)})), "E105"),
    "Parquet that says a billion rows": ("a.parquet", declared_rows, "E105"),
    "Parquet with a footer of 2 GiB": ("a.parquet", lambda: b"PAR1" + bytes(99) + b"\xff\xff\xff\x7fPAR1", "E105"),
    "Parquet pages that unpack to a gigabyte": ("a.parquet", page_bomb, "E105"),
    "Parquet with 50 million pages": ("a.parquet", empty_pages, "E105"),
    "Parquet with millions of columns": ("a.parquet", hollow_columns, "E105"),
    "Parquet with 200 row groups of 1000 columns": ("a.parquet", many_groups, "E105"),
    "Parquet with one name 200 000 times": ("a.parquet", long_texts, "E105"),
    "Parquet with 2 GB of large text": ("a.parquet", partial(plain_texts, "large_string"), "E105"),
    "Parquet with 2 GB of raw bytes": ("a.parquet", partial(plain_texts, "binary"), "E206"),
    "Parquet with lists of nothing as labels": (
        "a.parquet",
        partial(long_lists, "target", None),
        "E304",
    ),
    "Parquet with lists of zeros as names": (
        "a.parquet",
        partial(long_lists, "filename", 0),
        "E206",
    ),
    "Parquet with lists of zeros as splits": (
        "a.parquet",
        partial(long_lists, "split", 0),
        "E405",
    ),
    "Parquet with a schema 29 000 deep": ("a.parquet", deep_schema, "E105"),
    "names in an archive of 800 MB": ("a.npz", partial(wide_names, "<U1000"), "E105"),
    "names in an archive of 200 MB, one byte a letter": ("a.npz", partial(wide_names, "|S1000"), "E105"),
    "csv with names of 200 MB": ("a.csv", long_cells, "E105"),
    "safetensors header of 1 GB": ("a.safetensors", lambda: safetensors_header(10**9), "E105"),
    "safetensors header of 2^64": ("a.safetensors", lambda: safetensors_header(2**64 - 1), "E105"),
    "safetensors header of brackets": ("a.safetensors", lambda: safetensors_header(8 << 20, b'{"a":' + b"[" * (8 << 20)), "E105"),
    "csv of one endless line": ("a.csv", lambda: b"1," * (30 * MB), "E105"),
    "csv with an endless second line": ("a.csv", lambda: b"target,logit_0\n" + b"1" * (60 * MB), "E105"),
    "csv of endless lines": ("a.csv", lambda: b"target,logit_0\n" + b"\n" * (60 * MB), "E105"),
    "csv of 800 000 classes": ("a.csv", lambda: b",".join(b"logit_%d" % i for i in range(800_000)) + b"\n", "E105"),
}


def plain(n):
    """Arrays of a set of n rows, its logits in float16."""
    members = {name: values for name, values in arrays(n=n, k=200).items() if name != "ids"}
    return npz({name: values.astype("f2") if "logits" in name else values for name, values in members.items()})


PLAIN = {"warm": ("a.npz", partial(plain, 600)), "plain": ("a.npz", partial(plain, 20_000))}
"""Files that are read; the first has what is compiled for float16 be there."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What reading each file took, by name, and its size."""
    paths = []
    for file, make, *_ in [*HOSTILE.values(), *PLAIN.values()]:
        paths.append(tmp_path_factory.mktemp("measured") / file)
        paths[-1].write_bytes(make())
    found = zip(measured(paths), paths, strict=True)
    return dict(zip([*HOSTILE, *PLAIN], [(*one, path.stat().st_size) for one, path in found], strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_in_its_message_within_a_second_and_100_mb(name, outcomes):
    seconds, peak, apart, codes, size = outcomes[name]
    assert size < 256 << 20, "it would be refused by its size alone"
    assert HOSTILE[name][2] in codes
    assert set(codes) == {HOSTILE[name][2]} or HOSTILE[name][2] in ("E103", "E206", "E304", "E405")
    assert seconds < 1
    assert peak < 100 * MB
    assert apart < 200 * MB


def test_the_size_of_pages_is_what_parquet_says():
    table = pa.table({"a": pa.array(np.arange(5000.0)), "b": pa.array([f"name {i}" for i in range(5000)])})
    for options in ({}, {"use_dictionary": False}, {"compression": "gzip", "data_page_version": "2.0"}, {"data_page_size": 500}):
        content = parquet(table, **options)
        group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
        for index in range(2):
            column = group.column(index)
            start = column.dictionary_page_offset or column.data_page_offset
            size = unpacked_bytes(memoryview(content), [(start, column.total_compressed_size)])
            assert 0 < size <= column.total_uncompressed_size  # which counts the headers too
            assert size > 0.8 * column.total_uncompressed_size


def test_25_000_classes_are_within_the_limits():
    random = np.random.default_rng(0)
    members = {f"{model}_logits": random.normal(size=(8, 25_000)).astype("f2") for model in ("base", "sidekick")}
    for files in (
        [Upload("a.npz", npz(members | {"labels": np.arange(8)}))],
        [
            Upload(
                f"{name}.parquet",
                parquet(pa.table({f"logit_{i}": c for i, c in enumerate(values.T.copy())} | {"target": np.arange(8)})),
            )
            for name, values in members.items()
        ],
    ):
        reading = read(files)
        assert reading.problems == ()
        assert reading.found.k == 25_000


def test_reading_takes_about_the_memory_of_the_file(outcomes):
    """The arrays of the set, in the file's own dtype, and little beside: at 50 000 x 1000 in float16 as here."""
    _, peak, _, codes, size = outcomes["plain"]
    assert codes == []
    assert peak < size + 40 * MB


def test_the_command_line_keeps_to_the_limits_of_the_environment(tmp_path, monkeypatch, capsys):
    file = tmp_path / "a.npz"
    file.write_bytes(npz(arrays()))
    for variable, value, said in (
        ("DUO_MAX_ROWS", "599", "600 rows are declared; needed is at most 599 rows"),
        ("DUO_MAX_CLASSES", "4", "5 classes are declared; needed is at most 4 classes"),
        ("DUO_MAX_ROWS", "many", "expected a whole number above 0 in the environment as DUO_MAX_ROWS, got 'many'"),
        ("DUO_MAX_FILE_MIB", "0", "expected a whole number of MiB above 0 in the environment as DUO_MAX_FILE_MIB, got '0'"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert main(["check", str(file)]) == 2
            assert said in capsys.readouterr().err
    assert main(["check", str(file)]) == 0


def test_limits_of_the_environment_are_in_their_units():
    settings = {"DUO_MAX_FILE_MIB": "1", "DUO_MAX_UNPACKED_MIB": "2", "DUO_MAX_ROWS": "3", "DUO_MAX_CLASSES": " 4 "}
    assert Limits.from_environment(settings) == Limits(1 << 20, 2 << 20, 3, 4)
    assert Limits.from_environment({"DUO_MAX_ROWS": ""}) == Limits()
    assert set(settings) == set(re.findall(r"DUO_MAX_\w+", (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")))


def test_strings_of_json_are_counted_too():
    header = {"__metadata__": {"ids": json.dumps(["a"] * 200_001)}}
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text
    assert {problem.code for problem in read([Upload("a.safetensors", content)]).problems} == {"E201"}
