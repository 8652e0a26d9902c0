"""Kills `duo logits` and `duo finetune` with SIGKILL at random moments, starts them again, and compares all files.

    python benchmarks/kills.py --kills 50       # one process, and Ray where it is installed

A run is killed some times, at moments drawn over the time that a whole one takes, then let to its end: no file may differ by a
bit from those of a run that nobody killed. With Ray, each kill is of the driver or of a worker that has a task, by lot, which
is waited for where none has one yet. Processes are forked from one that has imported everything, so that kills fall into the work,
and rows are saved ten times a second, so that they fall into saving as well. The number of threads is one, since sums depend on it.
"""

import argparse
import hashlib
import importlib.util
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}

import numpy as np
import PIL.Image
import torch

from duo_core.cluster.ray import attached
from duo_core.models.zoo.cifar_resnet import CifarResNet

A_RUN = 5
"""Times that one run is killed at most."""
RAY = importlib.util.find_spec("ray") is not None
FORKED = multiprocessing.get_context("forkserver")
WORK = ["duo_core.__main__", "duo_core.inference", "duo_core.cluster.planning", "duo_core.training.runs", "timm", "torchvision"]
"""What is imported before processes are forked."""


def images(folder: Path, count: int, seed: int) -> None:
    """Pictures in three classes, of another shade each."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        place = folder / "abc"[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        shade = np.full((32, 32, 3), 60 * (number % 3) + 40) + rng.integers(-40, 40, (32, 32, 3))
        PIL.Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")


def material(root: Path) -> None:
    """Images and checkpoints."""
    for place, (name, count) in enumerate({"test": 400, "train": 96, "val": 30}.items()):
        images(root / name, count, place)
    for name, depth in (("p", 8), ("q", 20)):
        torch.manual_seed(depth)
        torch.save(CifarResNet(depth, num_classes=3).state_dict(), root / f"{name}.pt")


def commands(root: Path) -> dict[str, list[str]]:
    """What is run, by name; {} is the folder of a run, {engine} what runs it."""
    shared = ["--device", "cpu", "--engine", "{engine}"]
    logits = ["logits", "--set", "s", "--store", "{}", "--images", f"test={root / 'test'}", "--fit", "100", "--no-throughput"]
    logits += ["--models", "p=cifar/resnet8", "q=cifar/resnet20", "--checkpoint", f"p={root / 'p.pt'}", f"q={root / 'q.pt'}"]
    logits += ["--batch-size", "20", "--throughput", "1e8", "--task-minutes", "0.2", *shared]
    finetune = ["finetune", "--name", "r", "--runs", "{}", "--model", "cifar/resnet8", "--recipe", "scratch", "--trials", "3"]
    finetune += ["--images", f"train={root / 'train'}", f"val={root / 'val'}", "--epochs", "4", "--batch-size", "16"]
    return {"logits": logits, "finetune": [*finetune, "--no-augment", "--precision", "float32", *shared]}


def duo(arguments: list[str], said: Path) -> None:
    """Run the command in this process, what it says in a file."""
    from duo_core.__main__ import main
    from duo_core.inference import jobs

    # As a process that a shell has started: what decodes is forked from it, and ends when it has ended.
    multiprocessing.set_start_method("fork", force=True)
    jobs.SAVE_SECONDS, jobs.SAVING = 0.1, 0
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(main(arguments))


@dataclass
class Run:
    """A command in a folder of its own, with an engine, killed and started again."""

    command: list[str]
    engine: str
    folder: Path
    draw: random.Random
    kills: dict[str, int] = field(default_factory=lambda: {"process": 0, "worker": 0})
    """How many hit, by what they hit."""

    def started(self) -> Any:
        """The process that runs the command."""
        given = [part.replace("{}", str(self.folder)).replace("{engine}", self.engine) for part in self.command]
        process = FORKED.Process(target=duo, args=(given, self.folder.with_suffix(".said")))
        process.start()
        return process

    def whole(self) -> float:
        """Run it to its end; seconds that it took. A task that was killed too often in a row fails, and runs with the next try."""
        began = time.monotonic()
        for _ in range(3 if self.engine == "ray" else 1):
            process = self.started()
            process.join()
            if process.exitcode == 0:
                return time.monotonic() - began
        raise SystemExit(f"expected status 0, got {process.exitcode}: {self.folder.with_suffix('.said').read_text()[-2000:]}")

    def killed(self, seconds: float, times: int) -> None:
        """Kill it so many times, or until it has ended before, at moments of the next so many seconds; then let it end."""
        process = self.started()
        for _ in range(times):
            process.join(self.draw.uniform(0, seconds))
            if process.exitcode is not None:
                break
            if self.engine == "ray" and self.draw.random() < 0.5:
                while not workers() and process.exitcode is None:
                    process.join(self.draw.uniform(0, seconds / 4))
                if at_work := workers():
                    os.kill(self.draw.choice(at_work), signal.SIGKILL)
                    self.kills["worker"] += 1
                continue
            process.kill()
            process.join()
            self.kills["process"] += process.exitcode == -signal.SIGKILL
            process = self.started()
        process.join()
        self.whole()


def workers() -> list[int]:
    """Processes of this process's cluster that have a task."""
    found = [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/cmdline") if read(file).startswith(b"ray::run_line")]
    return [pid for pid in found if parent(parent(pid)) == os.getpid()]


def parent(pid: int) -> int:
    """The process that has started another; 0 where that has ended."""
    _, _, rest = read(Path(f"/proc/{pid}/stat")).rpartition(b") ")
    return int(rest.split()[1]) if rest else 0


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what a run leaves; of run.json and labels too, not of locks and of what lies beside."""
    kept = (file for file in folder.rglob("*") if file.is_file() and file.suffix in (".safetensors", ".json", ".csv"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}


def compared(name: str, found: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    differing = sorted({file for file in {*found, *expected} if found.get(file) != expected.get(file)})
    if differing:
        print(f"{name}: {', '.join(differing)} differ from those of a whole run")
    return not differing


def survived(name: str, command: list[str], engine: str, root: Path, kills: int, draw: random.Random) -> bool:
    """Whether every run of a command has left the files that one process leaves which nobody kills."""
    run = Run(command, "local", root / f"{name}-whole", draw)
    run.whole()  # the first warms up
    expected, hits, runs, same = digests(run.folder), {"process": 0, "worker": 0}, 0, True
    seconds = Run(command, engine, root / f"{name}-{engine}-timed", draw).whole()
    while sum(hits.values()) < kills:
        run = Run(command, engine, root / f"{name}-{engine}-{runs}", draw)
        run.killed(seconds, min(A_RUN, kills - sum(hits.values())))
        same &= compared(f"{name}, {engine}", digests(run.folder), expected)
        hits, runs = {what: hits[what] + run.kills[what] for what in hits}, runs + 1
    what = f"{hits['process']} of the process, {hits['worker']} of workers" if engine == "ray" else "of the process"
    told = f"{sum(hits.values())} kills, {what}; {runs} runs of {seconds:.1f} s; {len(expected)} files of each compared"
    print(f"{name}, {engine}: {told}", flush=True)
    return same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each command and engine (default 50)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["logits", "finetune"])
    parser.add_argument("--engine", choices=["local", "ray"], nargs="+", default=["local", *(["ray"] if RAY else [])])
    options = parser.parse_args()
    FORKED.set_forkserver_preload([*WORK, *(["ray"] if "ray" in options.engine else [])])
    draw, began, same = random.Random(options.seed), time.monotonic(), True
    if "ray" in options.engine:
        os.environ["RAY_ADDRESS"] = attached({"num_cpus": 2}).get_runtime_context().gcs_address
    with tempfile.TemporaryDirectory() as folder:
        material(Path(folder))
        for name, command in commands(Path(folder)).items():
            for engine in options.engine if options.only in (None, name) else ():
                same &= survived(name, command, engine, Path(folder), options.kills, draw)
    print("nothing lost: every file has the bytes of a whole run" if same else "FILES DIFFER")
    print(f"{time.monotonic() - began:.0f} s")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
