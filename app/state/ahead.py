"""What is shown first, computed before somebody waits for it."""

import contextlib

from app.state.diagnosis import begin_gains
from app.state.pairs import curves, evaluation, first_base
from app.state.sets import open_set, set_names, survey
from app.state.tables import sidekicks, suggested
from duo_core.common.arrays import InputError, UncertaintyKind

ON_CARDS = ("accuracy", "auroc", "aurc", "sac98")
"""Metrics on the cards of a pair."""
FIRST: UncertaintyKind = "softmax"
"""Uncertainty that a page begins with."""


def read_ahead() -> None:
    """Have the first pair of the first set ready; what is wrong with it is for the page to say."""
    with contextlib.suppress(InputError, OSError):
        for name in set_names()[:1]:
            handle = open_set(name)
            for split in handle.logit_set.evaluation_splits[:1]:
                known = survey(handle, split)
                if len(known.accuracy) > 1:
                    base = first_base(known, handle)
                    found = evaluation(handle, base, suggested(handle, base, split).first, split, FIRST)
                    curves(handle, found, FIRST)
                    sidekicks(handle, base, split, FIRST)
                    begin_gains(handle, found, FIRST, ON_CARDS, found.better)
