"""One contract over every engine: what its processes do, killed or not, has the bytes that one process gives."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from attempts import PLACE, attempts, written_down
from two_models import SMALL, command, digests, logits, make

from duo_core.cluster import Done, Failed, Local
from duo_core.cluster.ray import Ray, attached
from duo_core.cluster.tasks import task_of

HERE = Path(__file__).parent
ENGINES = ["local", pytest.param("ray", marks=pytest.mark.ray)]
ALL = pytest.mark.parametrize("engine", ENGINES, indirect=True)
RAY = pytest.mark.parametrize("engine", ENGINES[1:], indirect=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two logical GPUs on three cores, whose workers write down what they do: what a driver's environment has to say of them."""
    before = dict(os.environ)
    os.environ[PLACE] = str(tmp_path_factory.mktemp("attempts"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    os.environ.pop("RAY_ADDRESS", None)
    ray = attached({"num_cpus": 3, "num_gpus": 2, "runtime_env": {"worker_process_setup_hook": written_down}})
    own = {name: value for name, value in os.environ.items() if before.get(name) != value}
    yield {**own, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    ray.shutdown()


@pytest.fixture
def engine(request, monkeypatch, tmp_path):
    """The name of an engine, ready to run; attempts are written down in $DUO_ATTEMPTS, of which there are none."""
    own = request.getfixturevalue("cluster") if request.param == "ray" else {PLACE: str(tmp_path)}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    for name in ("attempts", "kill", "slow"):
        (noted() / name).unlink(missing_ok=True)
    return request.param


def noted():
    return Path(os.environ[PLACE])


def run_by(engine, tasks, device="cpu"):
    return list((Ray if engine == "ray" else Local)(device, 0).run(tasks))


@pytest.fixture
def planned(made, request):
    """A store of the test's own, its tasks, and images that may be spoilt; each model has one shard, so that tasks it is."""
    name = request.node.name.replace("[", "-").strip("]")
    shutil.copytree(made / "images", made / f"{name}-images")
    plan = made / f"{name}.jsonl"
    assert logits(made, name, "--plan", str(plan), *SMALL, images=made / f"{name}-images") == 0
    tasks = [task_of(line, "a test") for line in plan.read_text().splitlines()]
    begun = [tasks[1], tasks[6]]
    assert [type(one) for one in Local("cpu", 0).run(begun)] == [Done, Done]
    return made / name, [task for task in tasks if task not in begun], made / f"{name}-images"


def as_of(made, images):
    """What one process gives of images at another place: set.json names it."""
    store = f"whole-of-{images.name}"
    assert logits(made, store, images=images) == 0
    return digests(made / store)


def started(engine, made, store, images):
    """`duo logits` in a process of its own, which writes down what it and its workers do."""
    given = command(made, store.name, "--engine", engine, *SMALL, images=images)
    return subprocess.Popen([sys.executable, HERE / "attempts.py", *given], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def began(*, after=0):
    return [one.task for one in attempts(noted(), "began")][after:]


@ALL
def test_what_is_joined_has_the_bytes_of_one_process(engine, made, planned):
    store, tasks, images = planned
    assert logits(made, store.name, "--engine", engine, *SMALL, images=images) == 0
    assert digests(store) == as_of(made, images)
    assert not list((store / "s").glob(".partial/*/*.shard"))
    if engine == "ray":
        assert sorted(began()) == sorted(map(str, tasks))
        assert os.getpid() not in {one.process for one in attempts(noted(), "began")}


@ALL
def test_what_a_person_has_to_mend_arrives_once_and_the_others_are_done(engine, made, planned, capsys):
    store, tasks, images = planned
    bad = replace(tasks[0], weights_sha256="0" * 64)
    ended = run_by(engine, [bad, *tasks[1:3]])
    assert {str(one.task): type(one) for one in ended} == {str(bad): Failed, str(tasks[1]): Done, str(tasks[2]): Done}
    assert engine == "local" or began().count(str(bad)) == 1, "it would fail again"
    spoilt = images / sorted(file.relative_to(images).as_posix() for file in images.rglob("*.png"))[-1]
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:50])
    capsys.readouterr()
    assert logits(made, store.name, "--engine", engine, *SMALL, images=images) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if spoilt.name in line and " tasks: " not in line]
    assert len(said) == 1, "of both models' tasks"
    spoilt.write_bytes(content)
    after = len(began())
    assert logits(made, store.name, "--engine", engine, *SMALL, images=images) == 0
    assert engine == "local" or len(began(after=after)) == 2, "that image's, of each model"
    assert digests(store) == as_of(made, images)


@ALL
def test_a_killed_worker_costs_its_task_alone(engine, made, planned):
    store, tasks, images = planned
    victim = tasks[4]
    (noted() / "kill").write_text(f"{victim.model['name']} {victim.split} {victim.rows[0]}")
    statuses = []
    while not statuses or statuses[-1] == -signal.SIGKILL:
        process = started(engine, made, store, images)
        said = process.communicate()[1].decode()
        statuses.append(process.returncode)
    assert statuses == ([0] if engine == "ray" else [-signal.SIGKILL, 0]), said
    assert sorted(began()) == sorted([*map(str, tasks), str(victim)])
    assert digests(store) == as_of(made, images)


@RAY
def test_a_killed_driver_goes_on_where_it_was(engine, made, planned):
    store, tasks, images = planned
    (noted() / "slow").write_text("0.5")
    process = started(engine, made, store, images)
    while len(attempts(noted(), "ended")) < 3 and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL, process.stderr.read().decode()
    process.stderr.close()
    ended, after = {one.task for one in attempts(noted(), "ended")}, len(began())
    assert 3 <= len(ended) < len(tasks)
    (noted() / "slow").unlink()
    process = started(engine, made, store, images)
    said = process.communicate()[1].decode()
    assert process.returncode == 0, said
    assert not ended & set(began(after=after)), "what had ended is found"
    assert digests(store) == as_of(made, images)


@RAY
def test_a_gpu_has_one_task_at_a_time(engine, planned):
    _, tasks, _ = planned
    ended = run_by(engine, tasks[:4], device="auto")
    assert {type(one) for one in ended} == {Done}
    begin, end = (attempts(noted(), what) for what in ("began", "ended"))
    assert {one.gpus for one in begin} == {"0", "1"}
    assert len({one.process for one in begin}) == 4, "a process that has used a GPU holds its memory until it ends"
    for one in begin:
        stop = next(other.time for other in end if other.process == one.process)
        beside = [other for other in begin if other.gpus == one.gpus and one.time < other.time < stop]
        assert not beside


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
@RAY
def test_a_cluster_of_this_machine_is_reached_by_it_alone_and_tells_nobody(engine):
    names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in below(os.getpid())}
    assert {"raylet", "gcs_server"} <= set(names.values())
    assert listening([os.getpid(), *names]) <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert listening(names)
    for pid in (pid for pid, name in names.items() if name in ("raylet", "gcs_server")):
        assert b"RAY_USAGE_STATS_ENABLED=0" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def below(pid):
    """Processes that a process has started, and those that these have."""
    own = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [*own, *(found for child in own for found in below(child))]


def listening(processes):
    """Addresses, as Linux writes them, at which processes wait for others."""
    sockets = set()
    for pid in processes:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            if file.is_symlink() and (target := os.readlink(file)).startswith("socket:"):
                sockets.add(target[8:-1])
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}
