"""Whatever the bytes, reading ends in a Reading: no crash, no other file opened, no memory beyond bounds."""

import io
import json
import random
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from effort import tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from duo_core.formats import CODES, Limits, Options, Reading, Upload, read, template
from duo_core.formats.apart import unpacker
from duo_core.formats.writing import example, write

SEEDS = tried(2, 10)
MUTANTS = 210
"""So many for each seed and each of the originals."""
EXAMPLES = settings(max_examples=tried(120, 600), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
OPTIONS = [Options(), Options(take_log=True, labels_from_one=True, seed=3)]
opened: list[str] = []
watching = [False]


WATCHED = ("open", "os.listdir", "os.scandir", "socket.connect", "subprocess.Popen", "pickle.find_class")
LIBRARIES = (sys.prefix, sys.base_prefix)
"""Modules are imported from here when they are first needed."""


def watch(event, arguments):
    if watching[0] and event in WATCHED and not str(arguments[0]).startswith(LIBRARIES):
        opened.append(f"{event} {arguments[0]}")


sys.addaudithook(watch)


def written(suffix, members, **options):
    file = io.BytesIO()
    if suffix == ".parquet" and options:
        frame = pd.DataFrame({"filename": members["ids"], "target": members["labels"], "split": members["split"]})
        logits = {f"{m}.logit_{i}": members[f"logits/{m}"][:, i] for m in ("base", "sidekick") for i in range(3)}
        frame.assign(**logits).to_parquet(file, **options)
    elif suffix == ".npz" and options:
        np.savez_compressed(file, **members)
    else:
        write(members, f"a{suffix}", file)
    return file.getvalue()


ENCODINGS = {"filename": "DELTA_BYTE_ARRAY", "target": "DELTA_BINARY_PACKED", "base.logit_0": "BYTE_STREAM_SPLIT"}
ORIGINALS = {
    "npz": (".npz", template("npz")),
    "npz, by member": (".npz", template("npz")),
    "npz, compressed": (".npz", written(".npz", example(), compressed=True)),
    "safetensors": (".safetensors", template("safetensors")),
    "parquet": (".parquet", template("parquet")),
    "parquet, plain": (".parquet", written(".parquet", example(), compression=None, use_dictionary=False)),
    "parquet, zstd": (".parquet", written(".parquet", example(), compression="zstd", data_page_version="2.0")),
    "parquet, other encodings": (
        ".parquet",
        written(".parquet", example(), use_dictionary=False, compression="lz4", row_group_size=5, column_encoding=ENCODINGS),
    ),
    "csv": (".csv", template("csv")),
}


@pytest.fixture(autouse=True, scope="module")
def process():
    """One process unpacks all files: to start one for each would take minutes."""
    with unpacker(Limits()) as own:
        yield own


@pytest.fixture(autouse=True, scope="module")
def warm(process):
    """What is imported or compiled only once has been, before files are watched."""
    contents = [*ORIGINALS.values()]
    for dtype in ("f2", "f4", "f8"):
        contents.append((".npz", written(".npz", {k: v.astype(dtype) if "logits" in k else v for k, v in example().items()})))
    contents.append((".npz", written(".npz", {k: v * 0 if "logits" in k else v for k, v in example().items()})))  # ties
    for suffix, content in contents:
        for options in OPTIONS:
            read([Upload(f"a{suffix}", content)], options)


def survives(files, options=None):
    """Read the files and check what always holds."""
    opened.clear()
    watching[0] = True
    try:
        reading = read(files, options)
    finally:
        watching[0] = False
    assert not opened, opened
    assert isinstance(reading, Reading)
    assert (reading.logit_set is None) == bool(reading.problems)
    for problem in (*reading.problems, *reading.warnings):
        assert problem.code in CODES
        assert str(problem).isprintable()
    json.dumps(reading.document())
    if reading.logit_set:
        for model, split in reading.logit_set.arrays:
            assert reading.logit_set.logits(model, split).isfinite().all()
    return reading


def mutated(content, chance):
    """The content with one to four small changes: bits, bytes and digits in their place, and now and then cuts and copies."""
    data = bytearray(content)
    in_place = chance.random() < 0.8  # anything else moves all that follows, which binary formats notice at once
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at = chance.randrange(len(data)) if data else 0
        length = min(chance.choice([1, 2, 4, 8, 30]), len(data) - at)
        match chance.randrange(4 if in_place else 8):
            case 0 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + length] = chance.randbytes(length)
            case 2:
                data[at : at + length] = chance.choice([b"\0", b"\xff", b"\x7f", b"\x80", b"9", b"-", b"[", b'"']) * length
            case 3:
                digits = [place for place, byte in enumerate(data) if 48 <= byte < 58]
                if digits:
                    data[chance.choice(digits)] = chance.randrange(48, 58)
            case 4:
                del data[at : at + length]
            case 5:
                other = chance.randrange(len(data)) if data else 0
                data[at:at] = data[other : other + length]
            case 6:
                del data[at:]
            case _:
                data[at:at] = chance.choice([b"NaN", b"inf", b"1e999", b",", b"\n", b"\r", b'"', b"\x80\x04", b"PK\5\6", b"PAR1"])
    return bytes(data)


def with_mutated_member(content, chance):
    """An archive that is whole, with a mutated member."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        unlucky = chance.choice(old.namelist())
        for name in old.namelist():
            new.writestr(name, mutated(old.read(name), chance) if name == unlucky else old.read(name))
    return file.getvalue()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", ORIGINALS)
def test_mutated_files(name, seed):
    suffix, content = ORIGINALS[name]
    chance, mutate = random.Random(f"{name} {seed}"), with_mutated_member if "member" in name else mutated
    outcomes = set()
    for _ in range(MUTANTS):
        reading = survives([Upload(f"a{suffix}", mutate(content, chance))], chance.choice(OPTIONS))
        outcomes.add(min((problem.code for problem in reading.problems), default=""))
    if name not in ("npz", "npz, compressed"):  # whose checksums tell of every change
        assert len(outcomes) > 1, "some mutants should get past the first check"


LOGITS = ["logits/a", "logits/b", "logits.c", "base_logits", "sidekick_logits", "logits/"]
OTHERS = ["labels", "target", "split", "ids", "filename", "class_names", "flops/a", "parameters/a", "flops/"]
ODD = ["arr_0", "file", "allow_pickle", "a/../../b", "\u202e"]
NAMES = st.sampled_from([*LOGITS, *OTHERS, *ODD])
SIDES = st.integers(0, 5)
ARRAYS = npst.arrays(
    st.one_of(
        npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        npst.integer_dtypes(endianness="?"),
        npst.unsigned_integer_dtypes(),
        npst.boolean_dtypes(),
        npst.complex_number_dtypes(),
        npst.unicode_string_dtypes(max_len=4),
        npst.byte_string_dtypes(max_len=4),
        npst.datetime64_dtypes(),
    ),
    st.one_of(st.tuples(st.just(4), st.just(3)), st.just((4,)), st.just((3,)), st.just(()), st.lists(SIDES, max_size=4).map(tuple)),
)


@EXAMPLES
@given(st.dictionaries(NAMES, ARRAYS, max_size=7), st.sampled_from(OPTIONS), st.booleans())
def test_archives_of_any_arrays(members, options, compressed):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, values in members.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, values)
    survives([Upload("a.npz", file.getvalue())], options)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 99), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.one_of(st.sampled_from(["F16", "F32", "F64", "BF16", "I64", "U8", "BOOL"]), JSON),
        "shape": st.one_of(st.lists(SIDES, max_size=3), JSON),
        "data_offsets": st.one_of(st.tuples(st.integers(0, 64), st.integers(0, 64)), JSON),
    },
)
METADATA = st.dictionaries(st.sampled_from(["ids", "class_names", "split"]), st.one_of(JSON, JSON.map(json.dumps)))


@EXAMPLES
@given(st.dictionaries(NAMES, st.one_of(ENTRY, JSON), max_size=4), st.one_of(METADATA, JSON), st.binary(max_size=64))
def test_safetensors_of_any_header(entries, metadata, content):
    text = json.dumps({**entries, "__metadata__": metadata}).encode()
    survives([Upload("a.safetensors", len(text).to_bytes(8, "little") + text + content)])


CELLS = st.one_of(
    st.floats().map(str),
    st.integers(-3, 9).map(str),
    st.sampled_from(["", "nan", "val", "test", "a.jpg", '"x,\n', "0x1"]),
    st.text(max_size=4),
)
COLUMNS = st.sampled_from(
    [
        "logit_0",
        "logit_1",
        "logit_2",
        "prob_0",
        "prob_1",
        "b.logit_0",
        "b.logit_1",
        "logit",
        "target",
        "label",
        "labels",
        "filename",
        "split",
        "",
    ]
)


@EXAMPLES
@given(
    st.lists(COLUMNS, max_size=7),
    st.lists(st.lists(CELLS, max_size=7), max_size=5),
    st.sampled_from(",;\t"),
    st.sampled_from(OPTIONS),
)
def test_csv_of_any_cells(names, rows, delimiter, options):
    text = "\n".join(delimiter.join(cells) for cells in [names, *rows])
    survives([Upload("a.csv", text.encode("utf-8", "surrogatepass"))], options)


SERIES = st.one_of(
    st.lists(st.floats(), min_size=3, max_size=3),
    st.lists(st.integers(-2, 5), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.lists(st.floats(), max_size=2)), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
)


@EXAMPLES
@given(
    st.lists(st.tuples(COLUMNS, SERIES), max_size=7, unique_by=lambda pair: pair[0]),
    st.sampled_from(["snappy", "zstd", "gzip", None]),
)
def test_parquet_of_any_columns(pairs, compression):
    file = io.BytesIO()
    pd.DataFrame(dict(pairs)).to_parquet(file, compression=compression)
    survives([Upload("a.parquet", file.getvalue())])


@EXAMPLES
@given(st.lists(st.tuples(st.text(max_size=9), st.sampled_from([*ORIGINALS]), st.binary(max_size=40)), min_size=1, max_size=3))
def test_files_of_any_name_and_content(files):
    survives([Upload(f"{name}{ORIGINALS[kind][0]}", content or ORIGINALS[kind][1]) for name, kind, content in files])


@EXAMPLES
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "base": st.booleans(),
                "ids": st.permutations("abcde"),
                "drop": st.integers(0, 4),
                "labels": st.lists(st.integers(0, 2), min_size=5, max_size=5),
            },
            optional={"split": st.lists(st.sampled_from([0, 1, 2]), min_size=5, max_size=5), "k": st.integers(2, 3)},
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_files_joined(parts):
    files = []
    for number, part in enumerate(parts):
        members = {"labels": np.array(part["labels"])[part["drop"] :], "ids": np.array(part["ids"])[part["drop"] :]}
        members |= {"split": np.array(part["split"])[part["drop"] :]} if "split" in part else {}
        logits = np.random.default_rng(number).normal(size=(5 - part["drop"], part.get("k", 3)))
        file = io.BytesIO()
        np.savez(file, **members, **{f"logits/m{number}": logits}, **({"logits/base": logits + 1} if part["base"] else {}))
        files.append(Upload(f"{number}.npz", file.getvalue()))
    survives(files)


def test_the_watch_sees_a_file_that_is_opened():
    watching[0] = True
    try:
        Path(__file__).read_bytes()
    finally:
        watching[0] = False
    assert opened
    opened.clear()


def test_enough_is_tried():
    assert len(ORIGINALS) * SEEDS * MUTANTS + 6 * EXAMPLES.max_examples >= tried(4_000, 20_000)
