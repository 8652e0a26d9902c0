"""A task that trains one trial of a run, or makes what all of its trials start from."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duo_core.cluster.tasks import Tell
from duo_core.training.asking import Asked
from duo_core.training.runs import begin, one_trial


@dataclass(frozen=True)
class TrialTask:
    """One trial of a run; resumed from its own state, on whatever machine."""

    kind: ClassVar[str] = "trial"
    asked: Mapping[str, Any]
    """Fields of Asked."""
    trial: int | None
    """Its number; None for the linear probe alone."""

    def __str__(self) -> str:
        what = "the linear probe" if self.trial is None else f"trial {self.trial}"
        return f"{what} of {Asked(**self.asked).run.name}"

    def run(self, device: str, workers: int | None, tell: Tell) -> str:  # noqa: ARG002 (by what fits)
        """Train the trial, unless it has ended; the first of a run's tasks makes the probe, and the others wait for it."""
        asked = Asked(**self.asked)
        if self.trial is not None and (asked.run.trial(self.trial) / "trial.json").exists():
            return "there already"
        job, pretrained = asked.job(device, tell)
        if self.trial is None:
            begin(asked.run, job, pretrained, tell)
            return "done"
        one_trial(asked.run, job, pretrained, self.trial, tell)
        return "done"


def trial_tasks(asked: Asked, trials: int) -> list[TrialTask]:
    """Those of a run's trials that have not ended."""
    fields = dataclasses.asdict(asked)
    return [TrialTask(fields, number) for number in range(trials) if not (asked.run.trial(number) / "trial.json").exists()]
