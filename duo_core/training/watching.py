"""Runs as somebody who watches them sees them: read while others write, nothing held, nothing built, no weights read.

What is not there yet is left out, and what cannot be read is said; neither stops the rest.
"""

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from duo_core.common.arrays import InputError
from duo_core.common.files import as_json, read_json
from duo_core.logits.store.headers import read_header
from duo_core.training.folders import ANCHOR, Run
from duo_core.training.recipes import RECIPES, cost_of_trial, draw

QUIET = 600.0
"""Seconds without a change after which a run is taken to have stopped; one that trains stores its state every two minutes."""
TRIALS = ["trial", "state", "learning_rate", "weight_decay", "best_epoch", "accuracy", "macro_f1", "nll", "reason"]
EPOCHS = ["trial", "epoch", "train_loss", "nll", "accuracy", "macro_f1"]
HEADER = "about"
"""The entry of a checkpoint's header that says what it is."""


@dataclass(frozen=True)
class Watched:
    """What a run's folder holds at a moment."""

    name: str
    about: Mapping[str, Any]
    """What run.json says."""
    trials: pd.DataFrame
    """Columns TRIALS, by number; `state` is finished, failed or under way."""
    epochs: pd.DataFrame
    """Columns EPOCHS: every epoch of every trial that has come to its end."""
    probe: Mapping[str, float]
    """Scores of the linear probe; empty where there is none."""
    soups: tuple[tuple[str, Mapping[str, Any]], ...]
    """Name of the file and what its header says."""
    problems: tuple[str, ...]
    changed: float
    """When the folder last changed, in seconds since 1970."""

    @property
    def is_live(self) -> bool:
        """Whether somebody seems to train in it."""
        return time.time() - self.changed < QUIET

    @property
    def metric(self) -> str:
        """What its trials are chosen by."""
        return "macro_f1" if self.about["metric"] == "macro_f1" else "accuracy"

    @property
    def finished(self) -> pd.DataFrame:
        """The trials that finished, best first: by score, then lower NLL."""
        done = self.trials[self.trials["state"] == "finished"]
        return done.sort_values([self.metric, "nll"], ascending=[False, True], kind="stable")

    @property
    def cost(self) -> int | None:
        """Multiply-adds of one trial."""
        try:
            return cost_of_trial(self.about)
        except (KeyError, TypeError):
            return None


def runs_of(folder: Path) -> list[Run]:
    """The runs of a folder, the one that changed last first; none where there is no such folder."""
    try:
        found = [Run(Path(entry.path)) for entry in os.scandir(folder) if os.path.isfile(os.path.join(entry.path, "run.json"))]
    except OSError:
        return []
    return sorted(found, key=lambda run: (-_changed(run), run.name))


def watched(run: Run) -> Watched:
    """Read what a run's folder holds now.

    Raises
    ------
    InputError
        Where run.json cannot be read, or says too little.
    """
    about, problems = run.about(), list[str]()
    if odd := [key for key in ("images", "recipe") if not isinstance(about[key], dict)]:
        raise InputError(f"expected an object for '{odd[0]}' in '{run.folder / 'run.json'}', got something else; restore it")
    records = [_record(run, folder, about, problems) for folder in _trial_folders(run)]
    known = [record for record in records if record]
    epochs = [{"trial": record["trial"], **epoch} for record in known for epoch in _dicts(record.get("curve"))]
    return Watched(
        name=run.name,
        about=about,
        trials=_table([_row(record) for record in known], TRIALS),
        epochs=_table(epochs, EPOCHS),
        probe=_scores((_header(run.folder / ANCHOR, problems) or {}).get("score")),
        soups=tuple(
            (file.stem, said) for file in sorted(run.folder.glob("soups/*.safetensors")) if (said := _header(file, problems))
        ),
        problems=tuple(problems),
        changed=_changed(run),
    )


def _trial_folders(run: Run) -> list[Path]:
    return sorted(
        (folder for folder in run.folder.glob("trials/*") if folder.name.isdecimal()), key=lambda folder: int(folder.name)
    )


def _record(run: Run, folder: Path, about: Mapping[str, Any], problems: list[str]) -> dict[str, Any] | None:
    """What is known of a trial: its record once it has ended, what its stored state says before."""
    number = int(folder.name)
    if not (folder / "trial.json").exists():
        stored = _header(folder / "resume.safetensors", [])
        moment = stored.get("moment") if stored else None
        curve = moment.get("curve") if isinstance(moment, dict) else None
        return {**_drawn(about, number), "trial": number, "state": "under way", "curve": curve}
    try:
        return {**read_json(folder / "trial.json", f"run duo finetune --name {run.name} again"), "trial": number}
    except InputError as error:
        problems.append(str(error))
        return None


def _drawn(about: Mapping[str, Any], number: int) -> dict[str, float]:
    """What a trial is trained with, as anybody may draw it; nothing where the run's recipe is not one of ours."""
    try:
        ranges = {key: tuple(map(float, about["recipe"][key])) for key in ("learning_rate", "weight_decay")}
        drawn = draw(RECIPES["paper"].with_options(ranges), int(about["seed"]), number)
    except (KeyError, TypeError, ValueError, InputError):
        return {}
    return {"learning_rate": drawn.learning_rate, "weight_decay": drawn.weight_decay}


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    state = record.get("state")
    return {
        **{key: record.get(key) for key in ("trial", "best_epoch", "learning_rate", "weight_decay")},
        **_scores(record.get("score")),
        "state": state if state in ("finished", "failed", "under way") else "unknown",
        "reason": str(record.get("reason") or ""),
    }


def _scores(score: Any) -> dict[str, float]:
    """The values of a score that a file holds."""
    if not isinstance(score, Mapping):
        return {}
    right, n = _number(score.get("right")), _number(score.get("n"))
    found = {"accuracy": right / n if n else math.nan, **{key: _number(score.get(key)) for key in ("macro_f1", "nll")}}
    return {key: value for key, value in found.items() if not math.isnan(value)}


def _table(rows: Sequence[Mapping[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Rows as a table; what is no number in a column of numbers is missing."""
    found = pd.DataFrame(list(rows), columns=columns)
    numbers = [column for column in columns if column not in ("state", "reason")]
    for column in numbers:
        found[column] = pd.Series([_number(value) for value in found[column]], dtype=float)
    return found.astype({column: "Int64" for column in ("trial", "epoch", "best_epoch") if column in numbers})


def _number(value: Any) -> float:
    """A number that a file holds, NaN where it is none."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fits else math.nan


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _header(file: Path, problems: list[str]) -> dict[str, Any] | None:
    """What a checkpoint's header says, without its weights; None, which is said, where that is nothing."""
    try:
        said = as_json(read_header(file).metadata[HEADER])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, InputError) as error:
        problems.append(str(error) if isinstance(error, InputError) else f"'{file}' says nothing that can be read of what it is")
        return None
    return said if isinstance(said, dict) else None


def _changed(run: Run) -> float:
    """When anything in the folder was last written; each file is replaced in one step, which its folder shows."""
    folders = [run.folder, run.folder / "soups", *(run.folder / "trials").glob("*")]
    times = [_time(folder) for folder in folders]
    return max(times)


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
