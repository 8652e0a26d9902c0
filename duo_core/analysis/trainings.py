"""What averaging the trainings of one model buys: soups of weights and the ensemble of logits, alone and with a sidekick.

As in Figure 7 of the paper, on one set: each is held against the best trial alone, on the same images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from duo_core.common.arrays import Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.metrics.intervals import Interval, differences
from duo_core.systems.judging import judge_members, multiply_adds
from duo_core.systems.kinds import is_soup

KEYS = ("accuracy", "aurc", "sac98")
CHEAP = 0.2
"""Of the trial's multiply-adds: the most accurate of the models that cost at most so much is the sidekick."""


@dataclass(frozen=True)
class Trained:
    """One way of making a system of the trainings of one model, judged."""

    name: str
    """`best trial`, a soup's methodology with the number of trials that it is of, or `ensemble of N trials`."""
    members: tuple[str, ...]
    """Its models in the set, the sidekick last."""
    sidekick: str | None
    cost_ratio: float | None
    """Multiply-adds an image over those of the best trial; None where one is unknown."""
    training_multiply_adds: int | None
    """Of everything that had to be trained for it: a soup's are those of all trials that it looked at."""
    metrics: Mapping[str, float | None]
    gains: Mapping[str, Interval | None]
    """Over the best trial alone, by KEYS; empty for that itself."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as what `duo ensembles --json` prints."""
        gains = {key: None if gain is None else asdict(gain) for key, gain in self.gains.items()}
        return {**vars(self), "members": list(self.members), "metrics": dict(self.metrics), "gains": gains}


def averaged(own: LogitSet, split: str = "test", kind: UncertaintyKind = "softmax", sidekick: str | None = None) -> list[Trained]:
    """Judge the trainings of the run that has soups in the set, if any; of several runs, the one with the most models.

    Parameters
    ----------
    split
        The split judged on; temperatures are fitted on the set's fit split, and the best trial is that of the run's own validation.
    sidekick
        By default the most accurate on the fit split of the other models that cost at most CHEAP of a trial, else the cheapest
        of them.
    """
    there = set(own.models(split)) & set(own.models(FIT_SPLIT))
    trials, soups = _run_with_soups({name: card for name, card in own.cards.items() if name in there})
    if not trials or not soups:
        return []
    best = min(trials, key=lambda name: _rank(own.cards[name]))
    beside = sidekick or _sidekick(own, best, sorted(there - {*trials, *soups}))
    made = {"best trial": ([best], "fitted"), **{_named(own.cards[name]): ([name], "fitted") for name in soups}}
    if len(trials) > 1:
        made[f"ensemble of {len(trials)} trials"] = trials, "ensemble"
    judge = _Judge(own, split, kind, best)
    beside_each = (None, beside) if beside else (None,)
    return [judge(name, members, rule, other) for other in beside_each for name, (members, rule) in made.items()]


@dataclass
class _Judge:
    """Judges systems of one set; the first, the best trial alone, is what the others are held against."""

    own: LogitSet
    split: str
    kind: UncertaintyKind
    best: str
    alone: Predictions | None = None

    def __call__(self, name: str, members: Sequence[str], rule: str, sidekick: str | None) -> Trained:
        """Judge members by a rule, or beside a sidekick, with fitted weights."""
        together, rule = ((*members, sidekick), "fitted") if sidekick else (tuple(members), rule)
        found = judge_members(self.own, together, self.split, kind=self.kind, rules=[rule])
        key = rule if len(together) > 1 else together[0]
        gains = {} if self.alone is None else differences(found.predictions[key], self.alone, keys=KEYS)
        self.alone = self.alone or found.predictions[key]
        total, one = multiply_adds(self.own, together), self.own.cards[self.best].multiply_adds
        cost = total / one if total is not None and one else None
        return Trained(name, together, sidekick, cost, _training(self.own, together), found.metrics[key], gains)


def _training(own: LogitSet, members: Sequence[str]) -> int | None:
    costs = [(own.cards[name].training or {}).get("training_multiply_adds") for name in members]
    return None if None in costs else sum(int(cost) for cost in costs if cost is not None)


def _run_with_soups(cards: Mapping[str, Card]) -> tuple[list[str], list[str]]:
    """Trials and soups that start from one anchor."""
    runs: dict[str, tuple[list[str], list[str]]] = {}
    for name, card in cards.items():
        about = card.training or {}
        if isinstance(anchor := about.get("anchor"), str):
            trials, soups = runs.setdefault(anchor, ([], []))
            if is_soup(card):
                soups.append(name)
            elif isinstance(about.get("trial"), int):
                trials.append(name)
    whole = [run for run in runs.values() if all(run)]
    return max(whole, key=lambda run: len(run[0]) + len(run[1]), default=([], []))


def _rank(card: Card) -> tuple[float, float]:
    """Less for the better trial, by what the run's own validation images say."""
    score = (card.training or {}).get("score") or {}
    right, n, nll = (score.get(key) for key in ("right", "n", "nll"))
    share = right / n if isinstance(right, int) and n else 0.0
    value = score.get("macro_f1") if score.get("metric") == "macro_f1" else share
    return -float(value or 0.0), float(nll if nll is not None else float("inf"))


def _named(card: Card) -> str:
    about = card.training or {}
    kept = sum(1 for one in about.get("ingredients") or () if isinstance(one, Mapping) and one.get("kept"))
    return f"{card.methodology or about.get('methodology') or 'soup'} of {kept}"


def _sidekick(own: LogitSet, best: str, others: Sequence[str]) -> str | None:
    """The one to stand beside the trial."""
    one = own.cards[best].multiply_adds
    costs = {name: cost for name in others if (cost := own.cards[name].multiply_adds) is not None and one and cost < one}
    if not costs or not one:
        return None
    cheap = [name for name, cost in costs.items() if cost <= CHEAP * one]
    if not cheap:
        return min(costs, key=lambda name: costs[name])
    labels = own.labels[FIT_SPLIT]
    return max(cheap, key=lambda name: float((own.logits(name, FIT_SPLIT).argmax(1) == labels).double().mean()))
