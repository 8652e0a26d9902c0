"""From a job to a finished run: the anchor, then trial after trial, each written as it ends; what is there is not done again."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
import torch

from duo_core.common.arrays import InputError
from duo_core.common.files import csv_text, write_text
from duo_core.common.versions import COMPUTING, versions
from duo_core.images.splits import Split
from duo_core.models.zoo import LoadedModel
from duo_core.models.zoo.checkpoints import file_sha256, fill
from duo_core.training import checkpoints
from duo_core.training.costs import multiply_adds
from duo_core.training.finetune import Job, Moment, Outcome, Tell, Trial
from duo_core.training.folders import ANCHOR, Run
from duo_core.training.heads import blank, features, head_of, with_classes
from duo_core.training.norms import check_statistics
from duo_core.training.probe import probe
from duo_core.training.recipes import Draw, cost_of_trial, draw
from duo_core.training.resuming import Stored

MADE_WITH = "made_with"
"""What of run.json may differ when a run goes on; that it does is said, since the same bits are not promised then."""
Progress = Callable[[int, Moment], None]


def images_digest(split: Split) -> str:
    """SHA-256 of the list of a split's images with their labels."""
    return hashlib.sha256(json.dumps([split.ids, split.labels.tolist()]).encode()).hexdigest()


def identity(job: Job, pretrained: LoadedModel) -> dict[str, Any]:
    """All that a run's numbers depend on, but how many trials it has."""
    spec = job.model.spec
    recipe = {key: value for key, value in job.recipe.to_dict().items() if key != "trials"}
    return {
        "model": spec.reference,
        "family": spec.family or None,
        "arguments": json.loads(json.dumps(dict(spec.arguments))),
        "transform": job.model.transform.to_dict(),
        "pretrained": pretrained.weights_sha256 if job.recipe.probe else None,
        "classes": list(job.model.class_names or ()),
        "recipe": recipe,
        "multiply_adds": multiply_adds(job),
        "seed": job.seed,
        "metric": job.metric,
        "precision": job.precision,
        "images": {
            name: {"images": len(split), "sha256": images_digest(split)} for name, split in (("train", job.train), ("val", job.val))
        },
    }


def make(run: Run, job: Job, pretrained: LoadedModel, tell: Tell, progress: Progress) -> pd.DataFrame:
    """Bring a run to its end, from wherever it is, and return its table.

    Parameters
    ----------
    run
        Where; the same run goes on, another one in the same folder is refused.
    job
        What is trained on what; its model need not have the anchor's weights yet.
    pretrained
        The model whose trunk is probed.
    tell, progress
        Called with sentences, and with a trial's number and moment.
    """
    _refuse(job, pretrained)
    with run.held():
        known, anchor = begin(run, job, pretrained, tell)
        for number in range(job.recipe.trials):
            with run.held_trial(number):
                _trial(run, job, known, anchor, number, tell, progress)
            write_text(run.folder / "table.csv", csv_text(run.table()))
    return run.table()


def _refuse(job: Job, pretrained: LoadedModel) -> None:
    """See that what is asked for can be trained, before anything is written."""
    if job.recipe.probe:
        check_statistics(pretrained.module, job.recipe.statistics, pretrained.spec.name)


def agree(run: Run, job: Job, pretrained: LoadedModel, tell: Tell) -> None:
    """See that a run is the one that is there, or write down what it is."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(run.folder / "anchor.lock"):
        _agree(run, identity(job, pretrained), job, tell)


def begin(run: Run, job: Job, pretrained: LoadedModel, tell: Tell) -> tuple[dict[str, Any], str | None]:
    """See that a run is the one that is there, or write down what it is; make its anchor where it has one and lacks it.

    Of several processes one makes the anchor, and the others wait for it.
    """
    known = identity(job, pretrained)
    _refuse(job, pretrained)
    run.folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(run.folder / "anchor.lock"):
        _agree(run, known, job, tell)
        return known, _anchored(run, job, known, tell) if job.recipe.probe else None


def one_trial(run: Run, job: Job, pretrained: LoadedModel, number: int, tell: Tell) -> None:
    """Bring one trial to its end, beside other processes that train others; who joins them writes the table."""
    known, anchor = begin(run, job, pretrained, tell)
    with run.held_trial(number):
        _trial(run, job, known, anchor, number, tell, lambda *_: None)


def job_model(pretrained: LoadedModel, classes: tuple[str, ...], probed: bool) -> LoadedModel:
    """The model of a run: the pretrained trunk with a head for the run's classes, or the architecture alone."""
    return with_classes(pretrained, classes) if probed else blank(pretrained, classes)


def _agree(run: Run, known: dict[str, Any], job: Job, tell: Tell) -> None:
    """Write run.json, or compare with the one that is there."""
    made_with = {"versions": versions(COMPUTING), "device": job.device.type, "threads": torch.get_num_threads()}
    file = run.folder / "run.json"
    if not file.exists():
        write_text(file, json.dumps({**known, MADE_WITH: made_with}, indent=1, ensure_ascii=False) + "\n")
        return
    there = run.about()
    differing = [key for key, value in known.items() if there.get(key) != json.loads(json.dumps(value))]
    if differing:
        raise InputError(
            f"the run '{run.name}' is another one: it differs in {', '.join(differing)}; name a new run, or give the same options "
            "as before"
        )
    changed = [key for key, value in made_with.items() if there.get(MADE_WITH, {}).get(key) != value]
    if changed:
        tell(f"the run was begun with other {' and '.join(changed)}: what is trained now need not be the same to the bit")


def _anchored(run: Run, job: Job, known: dict[str, Any], tell: Tell) -> str:
    """Probe the trunk, unless it is done; give the job's model the anchor's weights, and return their hash."""
    file = run.folder / ANCHOR
    if not file.exists():
        _probe(file, job, known, tell)
    about, state = checkpoints.read(file)
    fill(job.model.module, state)
    found = about["score"]
    tell(f"linear probe: {found['right']:,} of {found['n']:,} validation images right, NLL {found['nll']:.4f}")
    return file_sha256(file)


def _probe(file: Path, job: Job, known: dict[str, Any], tell: Tell) -> None:
    model = job.model
    model.module.to(job.device)
    head = head_of(model)
    tell(f"linear probe: features of {len(job.train) + len(job.val):,} images, then penalties from strong to weak")
    seen = {name: (features(model, head, split), split.labels) for name, split in (("train", job.train), ("val", job.val))}
    model.module.cpu()
    absent = sorted(set(range(model.classes)) - set(job.train.labels.tolist()))
    if absent:
        names = ", ".join((model.class_names or ())[place] for place in absent[:3])
        tell(f"{len(absent)} classes have no training images ({names}{', ...' if len(absent) > 3 else ''})")
    found = probe(seen["train"], seen["val"], model.classes, job.metric)
    if found.note:
        tell(found.note)
    with torch.no_grad():
        head.layer.weight.copy_(found.solved.weight)
        head.layer.bias.copy_(found.solved.bias)
    path = [{"penalty": penalty, "train_loss": loss, **judged.to_dict()} for penalty, loss, judged in found.path]
    about = {**_about(known, file.parent.name, None), "methodology": "linear probe", "score": found.score.to_dict(), "path": path}
    checkpoints.write(file, model.module.state_dict(), about)


def _about(known: dict[str, Any], run: str, anchor: str | None) -> dict[str, Any]:
    return {**known, "run": run, "anchor": anchor}


def _trial(run: Run, job: Job, known: dict[str, Any], anchor: str | None, number: int, tell: Tell, progress: Progress) -> None:
    """Bring one trial to its end and write what came of it; nothing is left to do where it has ended."""
    folder = run.trial(number)
    stored = Stored(folder / "resume.safetensors", json.dumps([known, anchor, number], sort_keys=True))
    if not (folder / "trial.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        drawn = draw(job.recipe, job.seed, number)
        outcome = Trial(job, drawn).train(stored, tell, lambda moment: progress(number, moment))
        _write_trial(folder, run, known, anchor, drawn, outcome)
        if outcome.failed:
            tell(f"trial {number} failed: {outcome.failed}")
    stored.file.unlink(missing_ok=True)


def _write_trial(folder: Path, run: Run, known: dict[str, Any], anchor: str | None, drawn: Draw, outcome: Outcome) -> None:
    """Write the weights, then the record by which the trial has ended."""
    moment = outcome.moment
    record = {
        **asdict(drawn),
        "state": "failed" if outcome.failed else "finished",
        "reason": outcome.failed,
        "best_epoch": None if outcome.failed else moment.best_epoch,
        "score": None if outcome.failed or moment.best is None else moment.best.to_dict(),
        "curve": moment.curve,
        "threads": list(outcome.threads),
    }
    sha256 = None
    if not outcome.failed:
        about = {
            **_about(known, run.name, anchor),
            **record,
            "methodology": "LP-FT" if anchor else "from random weights",
            "training_multiply_adds": cost_of_trial(known),
        }
        sha256 = checkpoints.write(folder / "model.safetensors", outcome.state, about)
    whole = {**record, "weights_sha256": sha256}
    write_text(folder / "trial.json", json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
