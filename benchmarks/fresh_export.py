"""Run an exported duo in fresh virtual environments that have only what its README names; print its metrics beside the set's.

It downloads what the README's own lines install: some 100 MB to run alone, some gigabytes for the torch module.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from duo_core import deploy
from duo_core.logits.store import Store
from duo_core.metrics import METRICS, metrics
from duo_core.systems.duo import Temperatures
from duo_core.systems.pair_predicting import pair_predictions
from duo_core.systems.system import System

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 1e-6
RUN = """
import io, json, sys, tarfile
import numpy as np
from PIL import Image
LOAD
archive, names = tarfile.open(sys.argv[1]), json.loads(open("names.json").read())
members = {member.name.removeprefix("./"): member for member in archive.getmembers()}
logits = []
for start in range(0, len(names), 250):
    images = [Image.open(io.BytesIO(archive.extractfile(members[name]).read())) for name in names[start : start + 250]]
    logits.append(np.asarray(duo(images).logits))
np.save("logits.npy", np.concatenate(logits))
"""
ALONE = "from run import Duo\nduo = Duo()"
MODULE = "import torch\nfrom duo_core import deploy\ntorch.set_grad_enabled(False)\nduo = deploy.load('.')"


def installing(readme: str) -> list[list[str]]:
    """The README's own lines that make an environment, as one list a section."""
    sections = [
        [line.strip() for line in section.splitlines() if line.startswith(("    python -m venv", "    duo-env/bin/pip"))]
        for section in readme.split("\n## ")
    ]
    return [[line.replace("path/of/the/checkout", str(ROOT)) for line in lines] for lines in sections if lines]


def logits_of(folder: Path, lines: list[str], load: str, images: Path, names: list[str]) -> torch.Tensor:
    """What the duo says in an environment of its own, which finds nothing that is not installed there."""
    start = time.perf_counter()
    for line in lines:
        subprocess.run(line.replace("python -m venv", f"{sys.executable} -m venv --clear"), shell=True, cwd=folder, check=True)
    ready = time.perf_counter()
    (folder / "names.json").write_text(json.dumps(names))
    (folder / "check.py").write_text(RUN.replace("LOAD", load))
    elsewhere = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(["duo-env/bin/python", "check.py", str(images)], cwd=folder, check=True, env=elsewhere)
    print(f"installed in {ready - start:.0f} s, {len(names):,} images in {time.perf_counter() - ready:.0f} s: {'; '.join(lines)}")
    return torch.from_numpy(np.load(folder / "logits.npy"))


def agrees(logits: torch.Tensor, labels: torch.Tensor, expected: dict[str, float]) -> bool:
    """Print the metrics of the duo that ran beside those of the set."""
    found = metrics(pair_predictions(logits, torch.zeros_like(logits), labels, Temperatures(1.0, 0.0)))
    for key in METRICS:
        print(f"  {METRICS[key].label:12} {found[key]:.9f}  {expected[key]:.9f}  {found[key] - expected[key]:+.1e}")
    return all(abs(found[key] - expected[key]) <= TOLERANCE for key in METRICS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="cifar10")
    parser.add_argument("--base", default="resnet56")
    parser.add_argument("--sidekick", default="resnet18")
    parser.add_argument("--checkpoint", nargs="+", required=True, metavar="MODEL=FILE")
    parser.add_argument("--images", type=Path, required=True, metavar="TAR", help="of which the set's ids are the members")
    parser.add_argument("--alone", action="store_true", help="only without the project: skip the torch module's gigabytes")
    options = parser.parse_args()
    logit_set = Store().open(options.set)
    names, labels = list(logit_set.ids["test"]), logit_set.labels["test"]
    with tempfile.TemporaryDirectory() as beside:
        checkpoints = {name: Path(file) for name, file in (text.split("=") for text in options.checkpoint)}
        out = deploy.export(logit_set, System((options.base, options.sidekick)), Path(beside) / "duo", checkpoints=checkpoints)
        ways = zip(installing((out.folder / "README.md").read_text()), (ALONE, MODULE), strict=True)
        chosen = list(ways)[: 1 if options.alone else 2]
        results = [
            agrees(
                logits_of(out.folder, lines, load, options.images.resolve(), names), labels, out.record["metrics"]["test"]["duo"]
            )
            for lines, load in chosen
        ]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
