"""Kills `duo logits` and `duo finetune` with SIGKILL at random moments, starts them again, and compares all files.

    python benchmarks/kills.py --kills 50       # one process; with --engine ray as well, where ray is installed

Each run is killed some times, at moments drawn over the time that a whole one takes, then let to its end: no file may differ by a
bit from those of a run that nobody killed. The number of threads is one, since sums depend on it.
"""

import argparse
import hashlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from duo_core.models.zoo.cifar_resnet import CifarResNet

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
A_RUN = 5
"""Times that one run is killed at most."""


def images(folder: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number in range(count):
        place = folder / "abc"[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        shade = np.full((32, 32, 3), 60 * (number % 3) + 40) + rng.integers(-40, 40, (32, 32, 3))
        PIL.Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")


def commands(root: Path, ray: bool) -> dict[str, list[str]]:
    """What is run, by name; {} is the folder of a run."""
    engine = ["--engine", "ray", "--device", "cpu"] if ray else ["--device", "cpu"]
    logits = ["logits", "--set", "s", "--store", "{}", "--images", f"test={root / 'test'}", "--fit", "200", "--no-throughput"]
    logits += ["--models", "p=cifar/resnet8", "q=cifar/resnet20", "--checkpoint", f"p={root / 'p.pt'}", f"q={root / 'q.pt'}"]
    logits += ["--batch-size", "20", "--throughput", "1e8", "--task-minutes", "0.2", *engine]
    finetune = ["finetune", "--name", "r", "--runs", "{}", "--model", "cifar/resnet8", "--recipe", "scratch", "--trials", "3"]
    finetune += [
        "--images",
        f"train={root / 'train'}",
        f"val={root / 'val'}",
        "--epochs",
        "4",
        "--batch-size",
        "16",
        "--no-augment",
    ]
    return {"logits": logits, "finetune": [*finetune, "--precision", "float32", *engine]}


def started(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    whole = [sys.executable, "-m", "duo_core", *(part.replace("{}", str(folder)) for part in command)]
    return subprocess.Popen(whole, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what a run leaves; of run.json and labels too, not of locks and of what lies beside."""
    kept = (file for file in folder.rglob("*") if file.is_file() and file.suffix in (".safetensors", ".json", ".csv"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}


def whole(command: list[str], folder: Path) -> float:
    """Run a command to its end; seconds that it took."""
    began = time.monotonic()
    process = started(command, folder)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"expected status 0, got {process.returncode}: {said.decode()[-2000:]}")
    return time.monotonic() - began


def killed(command: list[str], folder: Path, seconds: float, times: int, draw: random.Random) -> tuple[int, int]:
    """Kill a run so many times and let it end; how often it was killed, and how often it had ended before."""
    hits = 0
    for _ in range(times):
        process = started(command, folder)
        time.sleep(draw.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        hits += process.returncode == -signal.SIGKILL
    whole(command, folder)
    return hits, times - hits


def compared(name: str, found: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    differing = sorted({file for file in {*found, *expected} if found.get(file) != expected.get(file)})
    if differing:
        print(f"{name}: {', '.join(differing)} differ from those of a whole run")
    return not differing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each command and engine (default 50)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["logits", "finetune"])
    options = parser.parse_args()
    draw, same = random.Random(options.seed), True
    engines = [False] + ([True] if importlib.util.find_spec("ray") else [])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for place, (name, count) in enumerate({"test": 900, "train": 240, "val": 60}.items()):
            images(root / name, count, place)
        for name, depth in (("p", 8), ("q", 20)):
            torch.manual_seed(depth)
            torch.save(CifarResNet(depth, num_classes=3).state_dict(), root / f"{name}.pt")
        for name, command in commands(root, False).items():
            if options.only not in (None, name):
                continue
            seconds = whole(command, root / f"{name}-whole")
            expected = digests(root / f"{name}-whole")
            for ray in engines:
                label, done, late, runs = f"{name}{' on ray' if ray else ''}", 0, 0, 0
                while done < options.kills:
                    where, times = root / f"{label}-{runs}".replace(" ", "-"), min(A_RUN, options.kills - done)
                    hits, ended = killed(commands(root, ray)[name], where, seconds, times, draw)
                    same &= compared(label, digests(where), expected)
                    done, late, runs = done + hits + ended, late + ended, runs + 1
                told = f"{done} kills, {late} of them after the end, in {runs} runs; {len(expected)} files compared"
                print(f"{label}: {told}", flush=True)
    print("nothing lost: every file has the bytes of a whole run" if same else "FILES DIFFER")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
