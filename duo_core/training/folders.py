"""A run's folder, and the table of its trials.

RUN/run.json             model, recipe, seed, metric, classes, digests of the lists of images, versions
RUN/anchor.safetensors   the probed model that all trials start from; none where they start from random weights
RUN/trials/007/          trial.json and model.safetensors once it has ended; resume.safetensors before
RUN/table.csv            one row a trial
RUN/soups/               averages of trials
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from duo_core.common.arrays import InputError
from duo_core.common.files import read_json

ANCHOR = "anchor.safetensors"
NEEDED = ("model", "arguments", "transform", "classes", "recipe", "seed", "metric", "precision", "images")
"""Entries without which run.json says too little."""
COLUMNS = [
    "trial",
    "state",
    "learning_rate",
    "weight_decay",
    "best_epoch",
    "accuracy",
    "macro_f1",
    "nll",
    "right",
    "images",
    "weights_sha256",
    "reason",
]


@dataclass(frozen=True)
class Run:
    """A folder that holds a run."""

    folder: Path

    @property
    def name(self) -> str:
        """The name that it was given."""
        return self.folder.name

    def about(self) -> dict[str, Any]:
        """What run.json says."""
        file = self.folder / "run.json"
        known = read_json(file, f"there is no run '{self.name}'; make it with duo finetune --name {self.name}")
        missing = [key for key in NEEDED if key not in known]
        if missing:
            raise InputError(f"expected {', '.join(NEEDED)} in '{file}', got none for {', '.join(missing)}; restore it")
        return known

    def trial(self, number: int) -> Path:
        """The folder of a trial."""
        return self.folder / "trials" / f"{number:03}"

    def trials(self) -> list[dict[str, Any]]:
        """Records of the trials that have ended, by number."""
        files = [file for file in self.folder.glob("trials/*/trial.json") if file.parent.name.isdecimal()]
        files.sort(key=lambda file: int(file.parent.name))
        return [read_json(file, "run duo finetune again") for file in files]

    def table(self) -> pd.DataFrame:
        """One row a trial that has ended: what it was trained with, and what came of it."""
        return pd.DataFrame([_row(record) for record in self.trials()], columns=COLUMNS)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against another process that trains in it."""
        with self._lock(self.folder, "run.lock", f"the run '{self.name}'"):
            yield

    @contextlib.contextmanager
    def held_trial(self, number: int) -> Iterator[None]:
        """Hold one trial against another process that trains it."""
        with self._lock(self.folder, f"trial-{number:03}.lock", f"trial {number} of the run '{self.name}'"):
            yield

    @contextlib.contextmanager
    def _lock(self, folder: Path, name: str, what: str) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / name)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            raise InputError(f"another process trains {what}; wait for it, or name another run") from None
        try:
            yield
        finally:
            lock.release()


def _row(record: dict[str, Any]) -> dict[str, Any]:
    score = record["score"] or {"right": None, "n": None, "macro_f1": None, "nll": None}
    return {
        **{key: record.get(key) for key in COLUMNS},
        "accuracy": score["right"] / score["n"] if record["score"] else None,
        "macro_f1": score["macro_f1"],
        "nll": score["nll"],
        "right": score["right"],
        "images": score["n"],
    }
