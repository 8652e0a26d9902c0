"""Many systems reduced to Predictions in one pass over their members' logits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import Floats, InputError, Integers, Predictions, UncertaintyKind, same_length
from duo_core.systems import loops
from duo_core.systems.duo import Temperatures
from duo_core.systems.pair_predicting import Job, Reduced, reduce_blocks, reduce_jobs
from duo_core.systems.system import RULES, Fitted, System, Weights

Asked = tuple[System, Fitted]
"""A system, and what fitting its members found."""

BYTES_AN_IMAGE = 8 * (len(loops.COLUMNS) + 2)
"""What `predictions` holds of a system: the columns, the class and the confidence."""


_NLL = loops.COLUMNS.index("nll")


class Work(NamedTuple):
    """How one system puts models together, by their places; systems that differ in who says share it where they can."""

    members: tuple[int, ...]
    weights: Weights
    final: float
    """Multiplies what comes out, and changes no class."""
    pooled: bool
    """Whether the softmaxes of the weighted logits are averaged, not the logits added."""
    said: int
    """Place of the model whose own class the doubt is known of as well."""

    @property
    def as_pair(self) -> Job | None:
        """The same for the loop over pairs, for one member or two that are added; None for others."""
        if len(self.members) > 2 or self.pooled or self.final != 1:
            return None
        return Job(self.members[0], self.members[-1], Temperatures(*(*self.weights, 0.0)[:2]))


class _Found(NamedTuple):
    """What is left of one piece of work: the classes (n,), and `columns` (5, n) as in `loops.COLUMNS`."""

    predicted: Integers
    columns: Floats


def predictions(
    logits: Mapping[str, Tensor], labels: Tensor, asked: Sequence[Asked], *, kind: UncertaintyKind = "softmax"
) -> list[Predictions]:
    """Return what each system predicts and how sure it is, in the order asked.

    One member answers its own class whatever its temperature. Two that are added go through the loop over pairs, so that a duo's
    numbers are the same to the last bit; the order of more changes nothing.

    Parameters
    ----------
    logits
        Logits (n, k) of every member by name, any floating dtype.
    labels
        int64 (n,).
    asked
        Systems, each with what a fit of the same members found.
    kind
        Which uncertainty ranks the images.

    Raises
    ------
    InputError
        Where a member has no logits, or a logit is NaN or infinite; minus infinity is a masked class, but not at the label.
    """
    names, works = _works(logits, labels, asked)
    found, own = _reduced([logits[name] for name in names], labels, list(dict.fromkeys(works)))
    true = labels.numpy(force=True)
    return [_said(system, own[work.said], found[work], true, kind) for (system, _), work in zip(asked, works, strict=True)]


def losses(logits: Mapping[str, Tensor], labels: Tensor, asked: Sequence[Asked]) -> Floats:
    """Return each system's NLL of every image, (systems, n): to the last bit that of `predictions`, whose parameters these are."""
    names, works = _works(logits, labels, asked)
    every = list(dict.fromkeys(works))
    found = np.empty((len(every), len(labels)))

    def keep(rows: slice | Integers, places: Integers, block: Reduced) -> None:
        for at, place in enumerate(places):
            found[place, rows] = block.columns[_NLL, at]

    reduce_works([logits[name] for name in names], labels, every, keep)
    at = {work: place for place, work in enumerate(every)}
    return found[[at[work] for work in works]]


def _works(logits: Mapping[str, Tensor], labels: Tensor, asked: Sequence[Asked]) -> tuple[list[str], list[Work]]:
    """The names of all members, and how each system puts them together."""
    names = sorted({member for system, _ in asked for member in system.members})
    if missing := [name for name in names if name not in logits]:
        raise InputError(f"expected logits of every member, got none of '{missing[0]}'")
    same_length(labels=len(labels), **{f"logits of {name}": len(logits[name]) for name in names})
    return names, [work_of(system, fitted, names) for system, fitted in asked]


def work_of(system: System, fitted: Fitted, names: Sequence[str]) -> Work:
    """How a system puts the named models together."""
    if set(fitted.members) != set(system.members):
        raise InputError(f"expected a fit of {', '.join(system.members)}, got one of {', '.join(fitted.members)}")
    rule = RULES[system.rule]
    at, weights = [names.index(member) for member in fitted.members], rule.weights(fitted)
    final = fitted.temperature[system.rule] if rule.tempered and len(at) > 1 else 1.0
    pooled = rule.pools_probabilities and len(at) > 1
    if len(at) > 2 or pooled or final != 1:
        order = sorted(range(len(at)), key=lambda place: at[place])
    else:
        order = [fitted.members.index(member) for member in system.members]
    said = names.index(system.members[system.says or 0])
    return Work(tuple(at[i] for i in order), tuple(weights[i] for i in order), final, pooled, said)


def _said(system: System, own: Integers, found: _Found, true: Integers, kind: UncertaintyKind) -> Predictions:
    """The system's predictions: of its own class, or of that of the member who says."""
    doubt, entropy, nll, brier, of_said = found.columns
    says = system.says is not None or system.m == 1
    predicted, doubt = (own, of_said) if says else (found.predicted, doubt)
    return Predictions(true, predicted, 1 - doubt, doubt, entropy, nll, brier, kind)


def _reduced(models: Sequence[Tensor], labels: Tensor, works: Sequence[Work]) -> tuple[dict[Work, _Found], NDArray[np.int64]]:
    """Every piece of work, and the models' own classes (m, n)."""
    n = len(labels)
    own = np.empty((len(models), n), dtype=np.int64)
    found = {work: _Found(np.empty(n, dtype=np.int64), np.empty((len(loops.COLUMNS), n))) for work in works}

    def keep(rows: slice | Integers, places: Integers, block: Reduced) -> None:
        own[:, rows] = block.own
        for at, place in enumerate(places):
            found[works[place]].predicted[rows] = block.predicted[at]
            found[works[place]].columns[:, rows] = block.columns[:, at]

    reduce_works(models, labels, works, keep)
    return found, own


def reduce_works(
    models: Sequence[Tensor],
    labels: Tensor,
    works: Sequence[Work],
    keep: Callable[[slice | Integers, Integers, Reduced], None],
) -> None:
    """Reduce every piece of work on the logits (n, k) of several models: one pass for pairs, and one for the others.

    `keep` is given the rows of a block, the places of the pieces of work that it is about, and what is left of them, as in
    `reduce_blocks`, with the columns of `loops`.
    """
    jobs = [work.as_pair for work in works]
    pairs, others = (np.array([at for at, job in enumerate(jobs) if (job is None) == rest], np.int64) for rest in (False, True))
    second = np.array([works[at].said != works[at].members[0] for at in pairs], dtype=bool)
    known: dict[int, NDArray[np.int32]] = {}

    def keep_pairs(rows: slice | Integers, block: Reduced) -> None:
        for place, classes in known.items():
            classes[rows] = block.own[place]
        said = len(loops.COLUMNS) - 1
        block.columns[said, second] = block.columns[said + 1, second]
        keep(rows, pairs, Reduced(block.predicted, block.columns[: said + 1], block.own))

    if len(pairs):
        known.update((place, np.empty(len(labels), np.int32)) for place in (range(len(models)) if len(others) else ()))
        reduce_blocks(models, labels, [job for job in jobs if job is not None], keep_pairs)
    if len(others):
        rest, shape = [works[at] for at in others], (len(loops.COLUMNS), len(others))
        reduce_jobs(models, labels, shape, _loop(rest), lambda rows, block: keep(rows, others, block), known)


def _loop(works: Sequence[Work]) -> Callable[..., None]:
    """The compiled loop with every piece of work as arrays (jobs, m)."""
    most = max(len(work.members) for work in works)
    members = np.array([(*work.members, *(0,) * (most - len(work.members))) for work in works], dtype=np.int64)
    weights = np.array([(*work.weights, *(0.0,) * (most - len(work.weights))) for work in works], dtype=np.float64)
    sizes, said = (np.array(of, dtype=np.int64) for of in ([len(w.members) for w in works], [w.said for w in works]))
    finals, pooled = np.array([work.final for work in works]), np.array([work.pooled for work in works])

    def run(block: Floats, true: Integers, own: NDArray[np.int32], masked: bool, ordered: bool, *out: NDArray[Any]) -> None:
        loops.reduce(block, true, own, members, sizes, weights, finals, pooled, said, masked, ordered, *out)

    return run
