"""Parquet's records against a plain reader of the same bytes, and footers that two readers would not read alike."""

import io
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from duo_core.formats.footers import footer, unpacked_bytes
from duo_core.formats.problems import Flaw
from duo_core.formats.thrift import DEPTH, INT64, MANY, path, walk

BYTE, I32, I64, DOUBLE, TEXT, LIST, SET, STRUCT = 3, 5, 6, 7, 8, 9, 10, 12
WANTED = np.array([path(1), path(3), path(3, 2), path(4), path(4, 1), path(4, 1, 5)])


def varint(value):
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def encoded(kind, content):
    """A value as the compact protocol writes it; structs are dicts of (kind, value), lists pairs of kind and values."""
    if kind in (I32, I64):
        return varint((content << 1) ^ (content >> 63))
    if kind == TEXT:
        return varint(len(content)) + content
    if kind in (LIST, SET):
        of, values = content
        head = bytes([len(values) << 4 | of]) if len(values) < 15 else bytes([0xF0 | of]) + varint(len(values))
        return head + b"".join(encoded(of, element) for element in values)
    if kind == STRUCT:
        return struct(content)
    return content if kind in (BYTE, DOUBLE) else b""


def struct(fields):
    found, last = b"", 0
    for number, (kind, value) in fields.items():
        step = number - last
        found += (bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + encoded(I64, number)) + encoded(kind, value)
        last = number
    return found + b"\0"


def walked(content, budget=10_000):
    found = np.zeros((10_000, 3), np.int64)
    end, left, count = walk(np.frombuffer(content, np.uint8), 0, budget, WANTED, np.full(len(WANTED), INT64), found)
    return end, budget - left, found[:count]


def everything(fields, place=()):
    """Every field with its place, those within others too."""
    for number, (kind, content) in fields.items():
        own = (*place, number)
        yield own, kind, content
        for inner in [content] if kind == STRUCT else content[1] if kind in (LIST, SET) and content[0] == STRUCT else []:
            yield from everything(inner, own)


def plainly(fields):
    """What a walk should keep, written down as one would."""
    for place, kind, content in everything(fields):
        if kind in (I64, LIST) and max(place) < 32:
            yield path(*place), content if kind == I64 else len(content[1])


def unfit(fields):
    """Lists of something else than structs."""
    return [path(*place) for place, kind, content in everything(fields) if kind == LIST and content[1] and content[0] != STRUCT]


def made(chance, depth=0):
    """A struct of any fields."""
    found = {}
    for number in sorted(chance.sample([1, 2, 3, 4, 5, 30, 31, 40, 999], chance.randrange(5))):
        kind = chance.choice([1, 2, BYTE, I32, I64, DOUBLE, TEXT, LIST, SET, STRUCT])
        if kind in (LIST, SET):
            of = chance.choice([BYTE, I32, TEXT, STRUCT, STRUCT])
            found[number] = kind, (of, [value(of, chance, depth) for _ in range(chance.choice([0, 1, 3, 20]) >> depth)])
        else:
            found[number] = kind, value(kind, chance, depth)
    return found


def value(kind, chance, depth):
    if kind == STRUCT:
        return made(chance, depth + 1) if depth < 4 else {}
    if kind in (I32, I64):
        return chance.randrange(-(2 ** chance.choice([6, 20, 61])), 2**61) if kind == I64 else chance.randrange(-99, 2**31)
    return chance.randbytes({BYTE: 1, DOUBLE: 8}.get(kind, chance.choice([0, 3, 200])))


@pytest.mark.parametrize("seed", range(300))
def test_a_walk_keeps_what_a_plain_reader_does(seed):
    fields = made(random.Random(seed))
    content = struct(fields)
    end, _, found = walked(content)
    if end == -3:
        assert any(place in WANTED for place in unfit(fields))
        return
    assert end == len(content)
    assert sorted(map(tuple, found[:, 1:].tolist())) == sorted(pair for pair in plainly(fields) if pair[0] in WANTED)
    for cut in range(0, len(content), 1 + len(content) // 20):
        assert walked(content[:cut])[0] < 0


def test_values_are_told_apart_by_the_struct_that_they_stand_in():
    column = {1: (I64, 7), 5: (I64, 8)}
    _, _, found = walked(struct({4: (LIST, (STRUCT, [{1: (STRUCT, column)}, {1: (STRUCT, {5: (I64, 9)})}]))}))
    inner = found[found[:, 1] == path(4, 1, 5)]
    assert inner[:, 2].tolist() == [8, 9]
    assert len(set(inner[:, 0])) == 2


@pytest.mark.parametrize(
    "content",
    [
        struct({1: (I64, 5)})[:-1] + b"\x06" + encoded(I64, 1) + encoded(I64, 6) + b"\0",  # field 1 twice
        struct({3: (I64, 5)})[:-1] + b"\x06" + encoded(I64, 1) + encoded(I64, 6) + b"\0",  # field 1 behind field 3
    ],
)
def test_fields_stand_once_and_in_order(content):
    """Else one reader would take the first and another the last."""
    assert walked(content)[0] == -4


def test_an_integer_of_another_kind_is_passed_over_as_pyarrow_does():
    assert walked(struct({1: (I32, 5), 3: (I64, 6)}))[2][:, 1:].tolist() == [[path(3), 6]]


def test_a_list_of_structs_holds_structs():
    assert walked(struct({4: (LIST, (I32, [1, 2]))}))[0] == -3
    assert walked(struct({4: (LIST, (0, []))}))[0] > 0


def test_the_budget_and_the_depth_are_kept():
    three = struct({1: (I64, 1), 2: (I64, 2), 3: (I64, 3)})
    assert walked(three, budget=3)[:2] == (len(three), 3)
    assert walked(three, budget=2)[0] == -MANY
    for depth, fits in ((DEPTH, True), (DEPTH + 1, False)):
        nested = {}
        for _ in range(depth):
            nested = {1: (STRUCT, nested)}
        assert (walked(struct(nested))[0] > 0) == fits


@pytest.fixture
def table():
    file = io.BytesIO()
    pq.write_table(pa.table({"a": np.arange(5000.0), "b": [f"name {i}" for i in range(5000)]}), file, row_group_size=2000)
    return file.getvalue()


def test_a_footer_says_what_pyarrow_says(table):
    length = int.from_bytes(table[-8:-4], "little")
    found, metadata = footer(memoryview(table)[-8 - length : -8]), pq.ParquetFile(io.BytesIO(table)).metadata
    columns = [metadata.row_group(group).column(index) for group in range(3) for index in range(2)]
    assert (found.rows, found.group_rows) == (5000, 5000)
    assert sorted(found.chunks) == sorted(
        (column.dictionary_page_offset or column.data_page_offset, column.total_compressed_size) for column in columns
    )


def test_pages_fill_their_column(table):
    length = int.from_bytes(table[-8:-4], "little")
    (start, size), *_ = footer(memoryview(table)[-8 - length : -8]).chunks
    view = memoryview(table)
    assert unpacked_bytes(view, [(start, size)]) > 0
    for place in ((start, size - 1), (start, len(table)), (-1, size), (start + 1, size)):
        with pytest.raises(Flaw) as caught:
            unpacked_bytes(view, [place])
        assert caught.value.code in {"E102", "E105"}
