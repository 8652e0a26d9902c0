"""Sets pushed and pulled: killed at random moments and repeated, the same digests; what was altered is named and not taken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import standin
from browsing import ROOT
from hostile import MARKUP, hostile_store

from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.logits.store import Store, sharing
from duo_core.logits.store.sharing import CARD, LIST, pull, push
from duo_core.report.datacard import datacard

KILLED = """\
import os, signal, sys, time
from pathlib import Path
import standin
from duo_core.logits.store import Store
from duo_core.logits.store.sharing import pull, push
what, store, url = sys.argv[1:]
for line in sys.stdin:  # seconds until it is killed; nothing: never
    if not (process := os.fork()):
        push(Store(store), "toy", url, "card") if what == "push" else pull(Store(store), url)
        os._exit(0)
    if line.strip():
        time.sleep(float(line))
        os.kill(process, signal.SIGKILL)
    print(os.waitpid(process, 0)[1], flush=True)
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if not file.name.startswith(".")}


@pytest.fixture
def remote(tmp_path, toy_store) -> Path:
    """A folder that has the set."""
    push(Store(toy_store), "toy", str(tmp_path / "remote"), "card")
    return tmp_path / "remote"


@pytest.fixture
def own(tmp_path) -> Store:
    return Store(tmp_path / "own")


def test_a_set_is_the_same_after_a_push_and_a_pull(toy_store, remote, own):
    moved = pull(own, str(remote))
    assert files_of(own.path / "toy") == files_of(toy_store / "toy")
    assert set(moved.moved) == set(files_of(own.path / "toy"))
    assert own.names() == ["toy"]
    assert [file.name for file in own.path.iterdir()] == ["toy"]
    assert pull(own, str(remote)).moved == ()
    assert push(Store(toy_store), "toy", str(remote), "card").moved == ()
    assert {file.name for file in remote.iterdir()} == {*files_of(toy_store / "toy"), LIST, CARD}


@pytest.mark.parametrize("what", ["push", "pull"])
def test_killed_at_ten_random_moments_and_repeated_it_gives_the_same_digests(what, toy_store, tmp_path, rng):
    with standin.serving(seconds=0.004) as (host, files):
        url, store = f"standin://{host}/sets/toy", toy_store
        if what == "pull":
            push(Store(toy_store), "toy", url, "card")
            store = tmp_path / "own"
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
        moments = "".join(f"{seconds:.3f}\n" for seconds in rng.uniform(0, 0.4, 10))
        run = subprocess.run(
            [sys.executable, "-c", KILLED, what, str(store), url],
            input=f"{moments}\n",
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        statuses = run.stdout.split()
        assert statuses[-1] == "0", run.stderr
        assert "9" in statuses  # it was killed on its way
        names = files_of(toy_store / "toy")
        if what == "pull":
            assert files_of(store / "toy") == names
            assert [file.name for file in store.iterdir()] == ["toy"]
        else:
            there = {path.rpartition("/")[2]: content for path, content in files.items()}
            assert {name: there[name] for name in names} == names
            assert json.loads(there[LIST])["complete"]
            assert pull(Store(tmp_path / "back"), url).files.digest == push(Store(toy_store), "toy", url, "card").files.digest


def test_a_set_is_pulled_from_a_plain_web_server(toy_store, own):
    with standin.serving() as (host, _):
        push(Store(toy_store), "toy", f"standin://{host}/toy", "card")
        pull(own, f"http://{host}/toy")
    assert files_of(own.path / "toy") == files_of(toy_store / "toy")


def altered(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("name", ["large.safetensors", "labels.safetensors", "set.json"])
@pytest.mark.parametrize("change", [altered, lambda content: content[:-5], lambda content: content + b"more", lambda _: b""])
def test_an_altered_file_is_named_and_not_taken(name, change, remote, own):
    (remote / name).write_bytes(change((remote / name).read_bytes()))
    with pytest.raises(InputError, match=f"'{name}' was altered after it was pushed"):
        pull(own, str(remote))
    assert own.names() == []


def test_logits_altered_together_with_the_list_are_found_by_the_digests_of_the_set_itself(remote, own):
    file, listed = remote / "large.safetensors", json.loads((remote / LIST).read_text())
    file.write_bytes(altered(file.read_bytes()))
    listed["files"][file.name]["sha256"] = sharing._digest(file)
    (remote / LIST).write_text(json.dumps(listed))
    with pytest.raises(InputError, match="large"):
        pull(own, str(remote))
    assert own.names() == []


def test_a_digest_that_was_given_by_another_way_is_asked_for(remote, own):
    with pytest.raises(InputError, match=f"expected the set of digest {'0' * 64}"):
        pull(own, str(remote), digest="0" * 64)
    assert own.names() == []


def test_a_push_that_is_under_way_is_not_pulled(remote, own):
    listed = json.loads((remote / LIST).read_text())
    (remote / LIST).write_text(json.dumps({**listed, "complete": False}))
    with pytest.raises(InputError, match="still being pushed"):
        pull(own, str(remote))


FACTS = {"bytes": 3, "sha256": "0" * 64}
HOSTILE = [
    {"../../evil.safetensors": FACTS},
    {"run.py": FACTS},
    {"/etc/passwd": FACTS},
    {".lock": FACTS},
    {"a.safetensors": {"bytes": -1, "sha256": "0" * 64}},
    {"a.safetensors": {"bytes": True, "sha256": "0" * 64}},
    {"a.safetensors": {"bytes": 3, "sha256": "../x"}},
    {"a.safetensors": 3},
    ["a.safetensors"],
]


@pytest.mark.parametrize("files", HOSTILE)
def test_a_hostile_list_is_refused_and_nothing_is_written(files, remote, own, tmp_path):
    (remote / LIST).write_text(json.dumps({"format": 1, "set": "toy", "complete": True, "files": files}))
    before = sorted(path for path in tmp_path.rglob("*") if own.path not in path.parents)
    with pytest.raises(InputError, match="expected the list of a logit set's files"):
        pull(own, str(remote))
    assert sorted(path for path in tmp_path.rglob("*") if own.path not in path.parents) == before
    assert own.names() == []


@pytest.mark.parametrize("name", ["../toy", ".toy", "a/b", ""])
def test_a_set_of_a_hostile_name_is_refused(name, remote, own):
    listed = json.loads((remote / LIST).read_text())
    (remote / LIST).write_text(json.dumps({**listed, "set": name}))
    with pytest.raises(InputError, match="expected a set name"):
        pull(own, str(remote))


def test_more_than_the_disk_has_room_for_is_refused(remote, own):
    listed = json.loads((remote / LIST).read_text())
    listed["files"]["large.safetensors"]["bytes"] = 1 << 49
    (remote / LIST).write_text(json.dumps(listed))
    with pytest.raises(InputError, match="bytes free for the set"):
        pull(own, str(remote))


def test_a_file_that_does_not_end_is_left_when_it_is_longer_than_it_is_said_to_be(remote, own, monkeypatch):
    read: list[int] = []

    class Endless:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, n):
            read.append(n)
            return b"x" * n

    class System:
        def open(self, *_):
            return Endless()

    own.path.mkdir()
    with pytest.raises(InputError, match="'a' was altered"):
        sharing._fetch(System(), "a", own.path / "a", "a", 10, "0" * 64)
    assert sum(read) == 11


def test_another_set_of_the_name_stays_unless_forced(remote, own, toy_store):
    pull(own, str(remote), name="other")
    (own.path / "toy").mkdir()
    for name, content in files_of(toy_store / "toy").items():
        (own.path / "toy" / name).write_bytes(content)
    (own.path / "toy" / "tiny.safetensors").unlink()
    with pytest.raises(InputError, match="expected a set that is not there, got 'toy'"):
        pull(own, str(remote))
    pull(own, str(remote), force=True)
    assert files_of(own.path / "toy") == files_of(toy_store / "toy")
    assert own.names() == ["other", "toy"]


def test_a_damaged_set_is_not_pushed(toy_store, remote, own, tmp_path):
    pull(own, str(remote))
    file = own.path / "toy" / "small.safetensors"
    file.write_bytes(altered(file.read_bytes()))
    with pytest.raises(InputError, match="small"):
        push(own, "toy", str(tmp_path / "elsewhere"), "card")
    assert not (tmp_path / "elsewhere").exists()


def test_the_commands_say_what_they_did(toy_store, tmp_path, capsys):
    url = str(tmp_path / "remote")
    assert main(["sets", "push", url, "--set", "toy", "--store", str(toy_store), "--json"]) == 0
    pushed = json.loads(capsys.readouterr().out)
    assert main(["sets", "pull", url, "--store", str(tmp_path / "own"), "--digest", pushed["digest"], "--json"]) == 0
    pulled = json.loads(capsys.readouterr().out)
    assert pulled == {**pushed, "at": str(tmp_path / "own" / "toy")}
    card = (tmp_path / "remote" / CARD).read_text()
    assert card.startswith("---\nlicense: ")
    assert f"duo sets pull {url}" in card
    for model in Store(toy_store).open("toy").models():
        assert f"| {model} |" in card


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["push", "there"], "expected the set to push as --set NAME"),
        (["pull"], "expected a URL after push or pull"),
        (["toy", "there"], "expected push or pull before a URL, got 'toy'"),
        (["pull", "nothing-there"], f"got no {LIST} there"),
        (["pull", "nosuch://me:secret@a/b"], "expected to reach 'nosuch://a/b', got: ValueError"),
        (["toy", "--force"], "got --force without one"),
        (["push", "there", "--set", "toy", "--force"], "expected --digest and --force with pull"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words, said, toy_store, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sets", *words, "--store", str(toy_store)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "secret" not in error
    assert error.count("\n") == 1


def test_a_card_holds_what_others_wrote_as_text(tmp_path):
    card = datacard(Store(hostile_store(tmp_path)).open("hostile"), {}, "hf://datasets/a/b")
    for markup in MARKUP[:5]:
        assert markup not in card.partition("---\n\n")[2]
    front = card.split("---\n")[1]
    import yaml

    assert yaml.safe_load(front)["pretty_name"].startswith("# ![evil]")
