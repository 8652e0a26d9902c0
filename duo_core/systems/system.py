"""What is compared: systems of members, the rules that weigh them, and what a fit of members finds."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from duo_core.common.arrays import InputError

Weights = tuple[float, ...]


@dataclass(frozen=True)
class Fitted:
    """What fitting some members on one split found; tuples are in the order of the members."""

    members: tuple[str, ...]
    weights: Weights
    """What multiplies each member's logits, all >= 0, so that the NLL of their sum is least; many are exactly 0."""
    calibration: Weights
    """Temperature of each member alone, >= 0."""
    nll_alone: Weights
    """NLL on the fit split of each member at that temperature, nats."""
    temperature: Mapping[str, float] = field(default_factory=dict)
    """The final temperature of each rule that has one, >= 0."""
    nll: Mapping[str, float] = field(default_factory=dict)
    """NLL on the fit split by rule, nats."""
    gradient: float = 0.0
    """Norm of the projected gradient of the NLL at `weights`."""
    steps: int = 0
    """Newton steps that the weights took."""
    separated: tuple[str, ...] = ()
    """Those members and rules that have no finite optimum; their weights or temperature stand at the bound."""

    def reordered(self, members: tuple[str, ...]) -> "Fitted":
        """Return the same with the members in another order."""
        at = [self.members.index(member) for member in members]
        weights, calibration, nll = (tuple(of[i] for i in at) for of in (self.weights, self.calibration, self.nll_alone))
        separated = sorted(self.separated, key=lambda name: members.index(name) if name in members else len(members))
        return Fitted(members, weights, calibration, nll, self.temperature, self.nll, self.gradient, self.steps, tuple(separated))

    def of_rules(self, rules: Collection[str]) -> "Fitted":
        """Return the same without what was found of other rules."""
        kept = tuple(name for name in self.separated if name in self.members or name in rules)
        temperature, nll = ({rule: of[rule] for rule in of if rule in rules} for of in (self.temperature, self.nll))
        return replace(self, temperature=temperature, nll=nll, separated=kept)


@dataclass(frozen=True)
class Rule:
    """How the members of a system are put together."""

    label: str
    weights: Callable[[Fitted], Weights]
    """What multiplies each member's logits."""
    tempered: bool = False
    """Whether a final temperature, fitted on the fit split, multiplies what comes out."""
    recommended: bool = True
    """Whether a system of this rule may be recommended; the others are shown beside."""
    pools_probabilities: bool = False
    """Whether it is the members' probabilities that are averaged, not their logits."""
    fits_weights: bool = False
    """Whether each member has a weight that is fitted with the others'; else all count as much."""


def _shares(fitted: Fitted) -> Weights:
    return tuple(t / len(fitted.members) for t in fitted.calibration)


RULES = {
    "fitted": Rule("Fitted", lambda fitted: fitted.weights, fits_weights=True),
    "equal": Rule("Equal", _shares),
    "ensemble": Rule("Ensemble", _shares, tempered=True),
    "mean": Rule("Mean of logits", lambda fitted: (1 / len(fitted.members),) * len(fitted.members), recommended=False),
    "probabilities": Rule(
        "Mean of probabilities", lambda fitted: fitted.calibration, tempered=True, recommended=False, pools_probabilities=True
    ),
}
"""The rules by key.

`fitted` has one weight a member; `equal` averages calibrated logits (paper Sec. 3.1), and `ensemble` calibrates that average again,
as a deep ensemble is (Rahaman and Thiery 2021). `mean` averages logits as they are, and `probabilities` the softmaxes of
calibrated members, whose mean is calibrated again.
"""


@dataclass(frozen=True)
class System:
    """Members (models of one logit set), the rule that weighs them, and whose class is answered.

    >>> System(("resnet20", "resnet32"), says=0).m
    2
    """

    members: tuple[str, ...]
    """Names in a logit set; costs and gains are relative to the first."""
    rule: str = "fitted"
    """Key of RULES."""
    says: int | None = None
    """Place of the member whose class is answered; None where it is the system's own."""

    def __post_init__(self) -> None:
        check_members(self.members)
        if self.rule not in RULES:
            raise InputError(f"expected a rule ({', '.join(RULES)}), got '{self.rule}'")
        if self.says is not None and not 0 <= self.says < self.m:
            raise InputError(f"expected the place of a member in 0..{self.m - 1} as whose class is answered, got {self.says}")

    @property
    def m(self) -> int:
        """Number of members."""
        return len(self.members)


def check_members(members: tuple[str, ...]) -> None:
    """Raise InputError where there is no member, or one twice: a system would be weighed with its copy.

    >>> check_members(("a", "b", "a"))
    Traceback (most recent call last):
    duo_core.common.arrays.InputError: expected different members, got 'a' twice; name each once
    """
    if not members:
        raise InputError("expected at least one member, got none; name a model")
    twice = next((name for place, name in enumerate(members) if name in members[:place]), None)
    if twice is not None:
        raise InputError(f"expected different members, got '{twice}' twice; name each once")
