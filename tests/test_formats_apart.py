"""Parquet is unpacked by a process of its own: whatever ends that, the caller reads a sentence."""

import io
import itertools
import os
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logit_files import FORMATS, arrays, parquet, table

from duo_core.formats import OPENERS, Limits, Options, Upload, apart, read, template, unpacking
from duo_core.formats.apart import Unpacker, unpacker
from duo_core.formats.problems import Flaw, Report

ENDS = {
    "abort": ("os.abort()", "E102", "SIGABRT"),
    "segmentation fault": ("os.kill(os.getpid(), signal.SIGSEGV)", "E102", "SIGSEGV"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "E102", "SIGKILL"),
    "nothing said": ("sys.exit(0)", "E102", "no answer"),
    "half an answer": ("os.write(1, (100).to_bytes(8, 'little') + b'{'); sys.exit(0)", "E102", "no answer"),
    "no JSON": ("os.write(1, (4).to_bytes(8, 'little') + b'what'); time.sleep(0.1)", "E102", ""),
    "an endless answer": ("os.write(1, bytes([255] * 8)); time.sleep(0.1)", "E102", ""),
    "no end": ("time.sleep(60)", "E105", "it was not read within 1 seconds"),
}


def constant(n, k):
    """A small file of many numbers, all alike."""
    file = io.BytesIO()
    pq.write_table(pa.table({"target": np.arange(n) % 2, **{f"logit_{i}": np.zeros(n) for i in range(k)}}), file)
    return file.getvalue()


@pytest.fixture
def started(monkeypatch):
    """The processes that were started."""
    found, start = [], apart._started
    monkeypatch.setattr(apart, "_started", lambda memory: found.append(start(memory)) or found[-1])
    return found


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("end", ENDS)
def test_a_process_that_ends_is_one_sentence(end, monkeypatch, tmp_path):
    does, code, said = ENDS[end]
    script = tmp_path / "script.py"
    script.write_text(f"import os, signal, sys, time\nos.read(0, 1 << 16)\n{does}\n")
    monkeypatch.setattr(apart, "SECONDS", 1)
    monkeypatch.setattr(apart, "PACE", 1 << 60)
    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "__file__", str(script))
        (problem,) = read([Upload("a.parquet", template("parquet"))]).problems
    assert problem.code == code
    assert said in problem.message
    assert problem.where == "a.parquet"


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_process_that_does_not_listen_is_one_sentence(size, monkeypatch, tmp_path):
    (script := tmp_path / "script.py").write_text("import os; os._exit(3)\n")
    monkeypatch.setattr(unpacking, "__file__", str(script))
    with pytest.raises(Flaw) as caught, Unpacker(Limits()).answers(memoryview(bytes(size)), "schema") as answers:
        answers.head()
    assert (caught.value.code, caught.value.found) == ("E102", "reading it ended the process that was to read it (no answer)")


def test_no_process_at_all_is_one_sentence(monkeypatch):
    monkeypatch.setattr(apart.sys, "executable", "/nowhere/python")
    (problem,) = read([Upload("a.parquet", template("parquet"))]).problems
    assert problem.code == "E102"
    assert "no process could be started to read it" in problem.message


def test_the_next_file_has_a_process_again(started, monkeypatch, tmp_path):
    (script := tmp_path / "script.py").write_text("import os; os.abort()\n")
    with unpacker(Limits()):
        with monkeypatch.context() as patch:
            patch.setattr(unpacking, "__file__", str(script))
            assert read([Upload("a.parquet", template("parquet"))]).problems
        assert not read([Upload("a.parquet", template("parquet"))]).problems
    assert len(started) == 2


def test_a_reading_has_one_process_and_leaves_none(started):
    reading = read(FORMATS["parquet"](arrays()))
    assert reading.logit_set
    assert len(started) == 1
    assert started[0].poll() is not None
    read(FORMATS["npz"](arrays()))
    assert len(started) == 1


def test_arrays_may_be_read_when_all_else_is(started):
    """As `duo convert` does, which shares no process."""
    content = parquet(table(arrays(), "large"))
    members = OPENERS[".parquet"](upload := Upload("large.parquet", content), upload.view(Limits()), Limits(), Report())
    (logits,) = (member.read() for member in members if member.name == "logits/large")
    np.testing.assert_array_equal(logits, arrays()["logits/large"])
    assert [process.poll() is not None for process in started] == [True, True]


def test_threads_have_processes_of_their_own(started):
    found = []
    threads = [threading.Thread(target=lambda: found.append(read(FORMATS["parquet"](arrays())))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bool(reading.logit_set) for reading in found] == [True] * 3
    assert len(started) == 3


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="measured on Linux")
def test_memory_is_bounded(monkeypatch):
    """Six million numbers take 48 MB in a block; they are refused where so much is not allowed, and read where it is."""
    content = constant(4000, 1500)
    assert len(content) < 2 << 20
    for room, problems in ((24 << 20, ["E105"]), (256 << 20, [])):
        limits = Limits(file_bytes=1 << 24, decoded_bytes=1 << 28)
        monkeypatch.setattr(apart, "ROOM", room - limits.file_bytes - 2 * limits.decoded_bytes)
        reading = read([Upload("a.parquet", content)], Options(alone=True, limits=limits))
        assert [problem.code for problem in reading.problems] == problems
        assert all("memory" in problem.message for problem in reading.problems)


@pytest.mark.parametrize("name", ["plain", "dictionary", "categories", "string_view", "large"])
def test_texts_are_read_as_they_are(name):
    texts = ["", "Ünïcödé 猫", "a\n\"b'", "x" * 999, None, "", "last"]
    column = pa.array(texts, {"string_view": pa.string_view(), "large": pa.large_string()}.get(name, pa.string()))
    column = column.dictionary_encode() if name == "categories" else column
    file = io.BytesIO()
    table = pa.table({"filename": column, "target": [0, 1, 0, 1, 0, 1, 0], "logit_0": np.arange(7.0), "logit_1": np.ones(7)})
    pq.write_table(table, file, use_dictionary=name == "dictionary", row_group_size=3)
    reading = read([Upload("a.parquet", file.getvalue())], Options(alone=True, seed=1))
    assert sorted(itertools.chain(*reading.logit_set.ids.values())) == sorted(text or "" for text in texts)


def test_what_stands_for_two_columns_is_refused():
    """A name with a dot is also the path of a column within another one, which would be read with it."""
    file = io.BytesIO()
    own = {"target": [0, 1], "m.logit_0": [0.5, 1.5], "m.logit_1": [1.0, 2.0]}
    pq.write_table(pa.table({**own, "m": [{"logit_0": [1.0]}] * 2}), file)
    (problem,) = read([Upload("a.parquet", file.getvalue())], Options(alone=True)).problems
    assert problem.code == "E103"
    assert "the column 'm.logit_0' is there within another one, too" in problem.message
    file = io.BytesIO()
    pq.write_table(pa.table(own), file)
    assert not read([Upload("a.parquet", file.getvalue())], Options(alone=True)).problems


def test_places_outside_the_dictionary_are_found():
    """The library takes them as they are; whoever looks there reads what lies behind it."""
    file = io.BytesIO()
    columns = {"filename": ["a", "b", "a", "b"], "target": [0, 1, 0, 1], "logit_0": np.arange(4.0), "logit_1": np.ones(4)}
    pq.write_table(pa.table(columns), file, compression=None)
    content = file.getvalue()
    end = pq.ParquetFile(file).metadata.row_group(0).column(1).dictionary_page_offset
    with unpacker(Limits()):
        mutants = [flipped(content, place, bit) for place in range(4, end) for bit in range(8)]
        problems = [problem for mutant in mutants for problem in read([Upload("a.parquet", mutant)], Options(alone=True)).problems]
    assert any("indices invalid" in problem.message for problem in problems)


def flipped(content, place, bit):
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    return bytes(changed)
