"""Why a pair is recommended, in words."""

import pandas as pd

from duo_core.analysis.advice import chosen_under
from duo_core.wording import recommendation


def row(**values):
    own = {"base": "a", "sidekick": "b", "variant": "duo", "flops_balance": 0.1, "aurc": 0.02, "gain": 0.2, "nll_fit": 0.4}
    return own | {"reversed": False, "base_nll_fit": 0.5, "sidekick_nll_fit": 0.9} | values


def advised(*rows):
    return chosen_under(pd.DataFrame(rows), "flops_balance", 0.15)


def test_the_reason_gives_values_cost_rank_and_the_next():
    """Another pair is better where it is judged; reversed pairs and ablations are none to choose."""
    others = row(sidekick="c", aurc=0.01, nll_fit=0.42), row(sidekick="d", flops_balance=0.5, aurc=0.01, gain=0.5, nll_fit=0.3)
    found = advised(
        row(), *others, row(sidekick="e", nll_fit=0.1, reversed=True), row(sidekick="f", nll_fit=0.1, variant="uq_only")
    )
    assert recommendation.why(found, "aurc", "flops_balance", 0.025, "val") == (
        "It has the lowest NLL on val (0.4000) of the 2 pairs within the budget; next comes a + c (0.4200). "
        "It takes AURC × 1000 from 25.00 to **20.00**, +20.0 % of the way to perfect, for +10 % compute."
    )
    assert recommendation.given_up(found, "aurc", "flops_balance", "val") == (
        "Against a + d, on val the best of all 3, with 10.00 for +50 % compute; this pair keeps 40 % of its gain."
    )


def test_gains_of_other_bases_are_not_set_in_proportion():
    found = advised(row(), row(base="z", flops_balance=0.5, aurc=0.01, gain=0.5, nll_fit=0.3))
    assert recommendation.given_up(found, "aurc", "flops_balance", "val") == (
        "Against z + b, on val the best of all 2, with 10.00 for +50 % compute."
    )


def test_the_best_of_all_gives_nothing_up():
    found = advised(row())
    assert recommendation.given_up(found, "aurc", "flops_balance", "val").startswith("Nothing against more expensive pairs")
    assert "It is the only pair within the budget." in recommendation.why(found, "aurc", "flops_balance", 0.025, "val")


def test_nothing_worse_than_the_base_is_said_so():
    assert recommendation.lost_to("a", row(), {"aurc": 0.03}) == "Against a alone: nothing, no metric is worse."


def test_a_sidekick_that_fits_no_better_than_chance_is_advised_against():
    assert recommendation.warning(row(), "a", 100, "val", "test") == ""
    assert "leave the sidekick out" in recommendation.warning(row(nll_fit=0.4999), "a", 1000, "val", "test")
    assert recommendation.warning(row(gain=-0.1), "b", 100, "val", "test").startswith("On test b alone is as good or better")
