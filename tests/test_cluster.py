"""Tasks: one contract over every way to run them, that what is joined has the bytes that one process gives."""

import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from pictures import folder
from training_models import SMALL as SMALL_IMAGES
from two_models import SMALL, command, digests, logits, make

from duo_core.__main__ import main
from duo_core.cluster import Done, Failed, Local, finished, join, read_task, write_tasks
from duo_core.cluster.planning import Cut
from duo_core.cluster.ray import Ray, run_line
from duo_core.cluster.shards import gathered, shards, write_shard
from duo_core.cluster.tasks import key_of, line_of, task_of
from duo_core.common.arrays import InputError
from duo_core.logits.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("cluster"))


@pytest.fixture
def planned(made, request):
    """A list of tasks for a store of the test's own, and that store."""
    store, plan = made / request.node.name, made / f"{request.node.name}.jsonl"
    shutil.rmtree(store, ignore_errors=True)
    assert logits(made, store.name, "--plan", str(plan), *SMALL) == 0
    return store, plan, [task_of(line, "a test") for line in plan.read_text().splitlines()]


def left(store):
    return sorted(file.name for file in (store / "s").glob(".partial/*/*.shard"))


def test_tasks_give_the_bytes_of_one_process(made, planned, capsys):
    store, plan, tasks = planned
    assert [str(task) for task in tasks[:3]] == [
        "p on val, rows 0 to 5", "p on val, rows 5 to 8", "p on test, rows 0 to 5",
    ]  # fmt: skip
    assert len(tasks) == 10
    assert not (store / "s" / "set.json").exists()
    for number in reversed(range(len(tasks))):
        assert main(["task", str(plan), str(number), "--device", "cpu", "--workers", "0"]) == 0
    assert main(["task", str(plan), "3", "--device", "cpu"]) == 0
    assert "there already" in capsys.readouterr().out
    assert logits(made, store.name) == 0
    assert "(0 images decoded); there already: p, q" in capsys.readouterr().out
    assert digests(store) == digests(made / "whole")
    assert left(store) == []


def test_the_same_command_computes_only_what_is_missing(made, planned, monkeypatch, capsys):
    store, _, tasks = planned
    ended = list(Local("cpu", 0).run(tasks[:1] + tasks[3:4]))
    assert {type(one) for one in ended} == {Done}
    assert logits(made, store.name, *SMALL) == 0
    said = capsys.readouterr()
    assert "3 of 3 tasks: p on test, rows 10 to 15: 5 rows" in said.err, "q goes through the pass of one process"
    assert "computed q" in said.out
    assert digests(store) == digests(made / "whole")


def test_two_joins_at_once_write_it_once(made, planned, monkeypatch):
    store, _, tasks = planned
    assert all(isinstance(one, Done) for one in Local("cpu", 0).run(tasks))
    failed, writes, write = [], [], Store.write_model
    monkeypatch.setattr(Store, "write_model", lambda *given: writes.append(given[2].name) or write(*given))
    plans = [again(made, store), again(made, store)]

    def joined(one):
        try:
            join(one)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=joined, args=[one]) for one in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert writes == ["p", "q"]
    files = ("p.safetensors", "q.safetensors", "labels.safetensors")
    assert {name: digests(store)[name] for name in files} == {name: digests(made / "whole")[name] for name in files}


def again(made, store):
    """The plan of a store as it is."""
    from duo_core.cluster.planning import plan
    from duo_core.cluster.tasks import Images
    from duo_core.inference.filling import Filling
    from duo_core.models.zoo import resolve_all

    checkpoints = {name: made / f"{name}.pt" for name in "pq"}
    specs = resolve_all(["p=cifar/resnet8", "q=cifar/resnet14"], checkpoints=checkpoints)
    filling = Filling(Store(store), "s", {}, (), "s", "", "")
    return plan(specs, Images({"test": str(made / "images")}, fit=8), filling, Cut(batch_size=5), lambda _: None)


def test_what_fails_is_said_once_and_the_others_go_on(made, planned):
    _, _, tasks = planned
    bad = [replace(task, weights_sha256="0" * 64) if task.split == "val" else task for task in tasks[:4]]
    ended = list(Local("cpu", 0).run(bad))
    assert [type(one) for one in ended] == [Failed, Failed, Done, Done]
    failed = finished(ended, 4, lambda _: None)
    assert len(failed) == 1
    assert failed[0].startswith(f"expected the weights of 'p' with the SHA-256 {'0' * 64}, got ")
    done, said = run_line(line_of(bad[0]), "cpu", 0)
    assert (done, said) == (False, failed[0])
    other = replace(tasks[0], fingerprint="0" * 64)
    assert "expected the images of 'val' and the transform" in next(Local("cpu", 0).run([other])).said


def test_a_line_of_another_version_is_refused(planned, tmp_path):
    _, plan, tasks = planned
    lines = plan.read_text().splitlines()
    whole = json.loads(lines[0])
    assert line_of(task_of(lines[0], "")) == lines[0]
    assert len({key_of(task) for task in tasks}) == len(tasks)
    for content in (
        {**whole, "version": 0},
        {**whole, "kind": "other"},
        {**whole, "more": 1},
        {k: whole[k] for k in ("version", "kind")},
    ):
        (tmp_path / "old.jsonl").write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"^expected a task of version 1 in line 1 of '.*old.jsonl', got one of version [01]"):
            read_task(tmp_path / "old.jsonl", 0)
    (tmp_path / "old.jsonl").write_text("nothing")
    with pytest.raises(InputError, match=r"^expected a task as JSON in line 1"):
        read_task(tmp_path / "old.jsonl", 0)
    with pytest.raises(InputError, match=r"^expected the number of a task, 0 to 0 in"):
        read_task(tmp_path / "old.jsonl", 1)
    with pytest.raises(InputError, match=r"^expected a file of tasks at"):
        read_task(tmp_path / "none.jsonl", 0)
    write_tasks(tmp_path / "again.jsonl", tasks)
    assert (tmp_path / "again.jsonl").read_bytes() == plan.read_bytes()


def test_altered_shards_are_computed_again(made, planned):
    store, _, tasks = planned
    assert len(list(Local("cpu", 0).run(tasks))) == 10
    shard = store / "s" / ".partial" / "p" / "val.0-5.shard"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert [str(task) for task in again(made, store).tasks] == ["p on val, rows 0 to 5"]
    assert logits(made, store.name) == 0
    assert digests(store) == digests(made / "whole")


def test_shards_may_overlap_and_leave_gaps(tmp_path):
    rows = torch.arange(24.0).view(8, 3)
    for start, stop in ((0, 3), (2, 5), (0, 2), (5, 8)):
        write_shard(tmp_path, "test", range(start, stop), rows[start:stop], "mark", {})
    write_shard(tmp_path, "test.0-2", range(0, 2), rows[:2], "mark", {})
    write_shard(tmp_path, "test", range(6, 8), rows[6:], "another", {})
    found = shards(tmp_path, "test", "mark", (8, 3), torch.float32)
    assert [(one.start, one.stop) for one in found] == [(0, 3), (0, 2), (2, 5), (5, 8)]
    assert torch.equal(gathered(found), rows)
    assert shards(tmp_path, "test", "mark", (8, 3), torch.float16) == []
    assert shards(tmp_path, "test", "mark", (8, 4), torch.float32) == []


def test_tasks_are_cut_by_what_they_cost():
    cut = Cut(batch_size=64, minutes=2, throughput=1e9)
    assert cut.spans(range(1000), 10**8) == [range(0, 1000)], "1,200 images fit into two minutes"
    assert cut.spans(range(1000), 3 * 10**8) == [range(0, 384), range(384, 768), range(768, 1000)]
    assert cut.spans(range(500, 1000), 3 * 10**8) == [range(500, 768), range(768, 1000)]
    assert cut.spans(range(200), 10**15) == [range(0, 64), range(64, 128), range(128, 192), range(192, 200)]
    assert cut.spans(range(200), None) == [range(0, 200)]


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(made, capsys):
    assert logits(made, "dry", "--dry-run", "--throughput", "1e9") == 0
    said = capsys.readouterr().out
    assert not (made / "dry").exists()
    assert "2 of 2 models lack logits: 8.89e+08 multiply-adds, 0.0 MB of logits; 0:01 at 1e+09; 5 images a batch" in said
    assert logits(made, "whole", "--dry-run") == 0
    assert "0 of 2 models lack logits" in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("xargs"), reason="no xargs")
def test_processes_side_by_side_and_two_joins_at_once_give_the_same_bytes(made, capsys):
    several = ["--batch-size", "20"]
    plan, store = made / "side-by-side.jsonl", made / "side-by-side"
    assert logits(made, "whole-20", *several) == 0
    assert logits(made, store.name, *several, "--plan", str(plan), *SMALL) == 0
    duo = [sys.executable, "-m", "duo_core"]
    run = ["xargs", "-P2", "-I{}", *duo, "task", plan, "{}", "--device", "cpu", "--workers", "0"]
    assert len(plan.read_text().splitlines()) == 4
    for number in "23":  # the other model's, here
        assert main(["task", str(plan), number, "--device", "cpu", "--workers", "0"]) == 0
    subprocess.run(run, input="0\n1\n", text=True, check=True, stdout=subprocess.DEVNULL)
    join = command(made, store.name, *several)
    capsys.readouterr()
    with subprocess.Popen([*duo, *join], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:
        while not (store / "s" / "set.json").exists() and other.poll() is None:
            time.sleep(0.01)
        assert main(join) == 0  # this process joins while the other one does
        said = [capsys.readouterr().out, other.communicate()[0]]
    assert other.returncode == 0
    assert all("(0 images decoded); there already: p, q" in text for text in said), said
    assert digests(store) == digests(made / "whole-20")
    assert left(store) == []


def test_without_ray_a_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        InputError, match=r"^--engine ray needs the package ray, which is not installed; pip install ray, or use --plan"
    ):
        next(Ray().run([]))


def test_an_error_that_leaves_the_gpu_unusable_ends_the_process(monkeypatch, planned):
    ended = []
    monkeypatch.setattr("duo_core.cluster.ray.os._exit", ended.append)
    monkeypatch.setattr(
        "duo_core.cluster.ray.task_of", lambda *_: (_ for _ in ()).throw(RuntimeError("CUDA error: an illegal access"))
    )
    with contextlib.suppress(RuntimeError):
        run_line("", "cpu", 0)
    assert ended == [70]


TRAINED = ["--recipe", "paper", "--trials", "3", "--epochs", "1", "--batch-size", "8", "--learning-rate", "1e-3", "1e-2"]


def finetune(root, runs, *options):
    command = ["finetune", "--name", "run", "--runs", str(root / runs), "--model", "training_models:Net"]
    command += ["--arguments", '{"seed": 3}', "--transform", json.dumps(SMALL_IMAGES.to_dict()), "--precision", "float32"]
    command += ["--images", f"train={root / 'images'}", f"val={root / 'val'}", *TRAINED, "--device", "cpu"]
    return main([*command, *options])


def run_files(folder):
    kept = (file for file in folder.rglob("*") if file.suffix in (".csv", ".json", ".safetensors"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in kept}


def test_trials_as_tasks_give_the_bytes_of_one_process(tmp_path, capsys):
    folder(tmp_path / "images", {"ant": 14, "bee": 14, "cow": 12}, size=(16, 16))
    folder(tmp_path / "val", {"ant": 5, "bee": 6, "cow": 5}, size=(16, 16))
    assert finetune(tmp_path, "alone") == 0
    plan = tmp_path / "plan.jsonl"
    assert finetune(tmp_path, "shared", "--plan", str(plan)) == 0
    assert "3 tasks in" in capsys.readouterr().out
    assert sorted(run_files(tmp_path / "shared" / "run")) == ["run.json"]
    for number in (2, 0):
        assert main(["task", str(plan), str(number), "--device", "cpu"]) == 0
    assert finetune(tmp_path, "shared") == 0
    capsys.readouterr()
    assert main(["task", str(plan), "2", "--device", "cpu"]) == 0
    assert "trial 2 of run: there already" in capsys.readouterr().out
    alone, shared = (run_files(tmp_path / runs / "run") for runs in ("alone", "shared"))
    assert shared == alone
    assert finetune(tmp_path, "dry", "--dry-run", "--throughput", "1e9") == 0
    assert "at 1e+09 a second" in capsys.readouterr().err
    assert not (tmp_path / "dry" / "run").exists()


def test_a_dry_run_of_a_sweep_counts_and_remembers_nothing(toy_store, capsys, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(toy_store, store)
    before = sorted(file.name for file in store.rglob("*"))
    assert main(["sweep", "--set", "toy", "--store", str(store), "--dry-run"]) == 0
    said = capsys.readouterr().out
    models = len(Store(store).open("toy").models())
    assert f"{models * (models - 1) // 2} pairs of {models} models on " in said
    assert sorted(file.name for file in store.rglob("*")) == before
    assert main(["sweep", "--set", "toy", "--store", str(store), "--dry-run", "--size", "3"]) == 0
    assert "choices of up to 3 members" in capsys.readouterr().out
