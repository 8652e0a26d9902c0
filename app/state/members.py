"""A system of any number of members on one split, in the form that pages know of a pair: a better member, and the system."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.state.caches import Key, kept
from app.state.pairs import evaluation
from app.state.sets import Handle, memory
from app.state.systems import digest_of, predicted
from duo_core.common.arrays import Predictions, UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.figures.curves import Curves, risk_coverage
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import metrics
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.judging import fit_system
from duo_core.systems.sweep import Evaluation
from duo_core.systems.system import RULES, Fitted, System

SHOWN = {"unweighted": ("equal", None), "uq_only": ("fitted", 0)}
"""What stands beside a system under the names that pages have for a pair: a rule, and whose class is answered."""


@dataclass(frozen=True)
class Together(Evaluation):
    """A system of more than two members: `base` is the most accurate of them, `sidekick` another; `duo` is the system."""

    members: tuple[str, ...] = ()
    rule: str = "fitted"
    fitted: Fitted | None = None
    alone: Mapping[str, Predictions] = field(default_factory=dict)
    """What each member predicts by itself."""

    @property
    def weights(self) -> dict[str, float]:
        """What multiplies each member's logits, a final temperature among it."""
        if self.fitted is None:
            return {}
        final = self.fitted.temperature.get(self.rule, 1.0) if RULES[self.rule].tempered else 1.0
        return {m: w * final for m, w in zip(self.members, RULES[self.rule].weights(self.fitted), strict=True)}

    def without(self) -> Iterator[str]:
        """Members that have no say: they add nothing that the others do not know."""
        return (member for member, weight in self.weights.items() if weight == 0)


def members_of(found: Evaluation) -> tuple[str, ...]:
    """All members of what was evaluated."""
    return found.members if isinstance(found, Together) else (found.base, found.sidekick)


def system_of(found: Evaluation) -> System:
    """The system that was evaluated."""
    return System(members_of(found), found.rule if isinstance(found, Together) else "fitted")


def of(handle: Handle, found: Evaluation) -> str:
    """Digest of all that an evaluation rests on; of more than two members with their order and rule."""
    if not isinstance(found, Together):
        return handle.pair(found.base, found.sidekick, found.split)
    return "/".join([digest_of(handle, found.members, found.split), found.rule, *found.members])


def together(handle: Handle, members: Sequence[str], split: str, kind: UncertaintyKind, rule: str = "fitted") -> Evaluation:
    """The evaluation of a system of any number of members; of two that of the pair, whatever the rule."""
    names = tuple(members)
    if len(names) == 2:
        return evaluation(handle, names[0], names[1], split, kind)
    key = Key("together", digest_of(handle, names, split), (rule, kind))
    found = kept(key, lambda: _together(handle, names, split, kind, rule))
    return found if found.logit_set is handle.logit_set else replace(found, logit_set=handle.logit_set)


def _together(handle: Handle, names: tuple[str, ...], split: str, kind: UncertaintyKind, rule: str) -> Together:
    own = handle.logit_set
    asked = {"duo": System(names, rule), **{key: System(names, *of) for key, of in SHOWN.items()}}
    found = {key: predicted(handle, system, split, kind) for key, system in asked.items()}
    alone = {name: predicted(handle, System((name,)), split, kind) for name in names}
    better = max(names, key=lambda name: float(alone[name].correct.mean()))
    other = next(name for name in names if name != better)
    found |= {"base": alone[better], "sidekick": alone[other]}
    values = dict(zip(found, in_parallel(metrics, list(found.values())), strict=True))
    fitted = fit_system(own, names, memory(handle), list(RULES))
    return Together(own, better, other, split, _as_pair(fitted, better, other), found, values, names, rule, fitted, alone)


def _as_pair(fitted: Fitted, one: str, other: str) -> Fit:
    """What a fit of more says of two of its members."""
    at = [fitted.members.index(name) for name in (one, other)]
    weights, calibration, nll = ([of[i] for i in at] for of in (fitted.weights, fitted.calibration, fitted.nll_alone))
    by_role = {"base": nll[0], "sidekick": nll[1], "duo": fitted.nll["fitted"]}
    return Fit(Temperatures(*weights), Temperatures(*calibration), by_role, fitted.gradient, fitted.steps, fitted.separated)


def on_fit(handle: Handle, found: Together, kind: UncertaintyKind) -> dict[str, Predictions]:
    """What the system and its better member predict on the fit split, on which thresholds are chosen."""
    systems = {"duo": system_of(found), "base": System((found.base,))}
    return {key: predicted(handle, system, FIT_SPLIT, kind) for key, system in systems.items()}


def judged_alone(found: Together, name: str) -> Mapping[str, float | None]:
    """The metrics of one member."""
    return metrics(found.alone[name])


def judged_by(handle: Handle, found: Together, rule: str, kind: UncertaintyKind) -> Mapping[str, float | None]:
    """The metrics of the members by another rule."""
    if rule == found.rule:
        return found.metrics["duo"]
    return metrics(predicted(handle, System(found.members, rule), found.split, kind))


def member_curves(handle: Handle, found: Together, kind: UncertaintyKind) -> Curves:
    """The risk-coverage curves of a system and of each member."""
    key = Key("curves of members", of(handle, found), (kind,))
    return kept(key, lambda: risk_coverage({"duo": found.predictions["duo"], **found.alone}))
