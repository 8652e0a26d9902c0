"""Find a pair, by its widgets: every control moves what is shown, what is advised and the address."""

import functools
import io

import pandas as pd
import pytest
import torch
from dashboard import PAIR, query, text_of
from logit_sets import write_set

from app import controls
from duo_core.analysis.advice import chosen_under
from duo_core.figures.screen import SCREEN
from duo_core.logits.store import Store
from duo_core.metrics import METRICS, relative_gain
from duo_core.metrics.intervals import differences
from duo_core.systems.sweep import evaluate, on_fit, sweep
from duo_core.wording import recommendation
from duo_core.wording.sentences import verdict

ALL = PAIR | {"scope": "all"}
"""The address with the pairs of every base."""
COST = {"large": 800, "middle": 200, "small": 80, "tiny": 40}


@pytest.fixture(scope="module")
def duos(toy_store):
    """The duos of every base, with what they are chosen by."""
    own = Store(toy_store).open("toy")
    table = sweep(own, ["test"]).query("variant == 'duo'")
    chosen = on_fit(own, list(zip(table["base"], table["sidekick"], strict=True)))
    assert not chosen["reversed"].any()
    total = table["base"].map(COST) + table["sidekick"].map(COST)
    return table.merge(chosen, on=["base", "sidekick"]).assign(total=total.to_numpy())


@pytest.fixture
def open_find(open_view):
    return functools.partial(open_view, "find")


def shown(app):
    """The table of pairs."""
    return app.dataframe[0].value


def pairs(app):
    return list(zip(shown(app)["base"], shown(app)["sidekick"], strict=True))


def test_every_pair_stands_in_the_table_best_first(open_find, duos):
    for address, there in ((PAIR, duos["base"] == "large"), (ALL, duos["base"] != "")):
        app = open_find(**address)
        expected = duos[there].sort_values("aurc")
        assert pairs(app) == list(zip(expected["base"], expected["sidekick"], strict=True))
        assert shown(app)["aurc"].to_list() == pytest.approx((1000 * expected["aurc"]).to_list())
        assert "6 pairs in all" in text_of(app)


@pytest.mark.parametrize("key", METRICS)
def test_every_metric_is_compared_in_its_own_direction(open_find, key):
    app = open_find(**PAIR, metric=key)
    assert shown(app)[key].is_monotonic_decreasing if METRICS[key].higher_is_better else shown(app)[key].is_monotonic_increasing
    assert "Recommended under +15 %" in text_of(app)
    assert "Chosen on val by the NLL of the fitted duo, judged on test." in text_of(app)


def test_gains_are_those_over_each_pairs_better_member(open_find, toy_store):
    app = open_find(**ALL)
    app.button_group(key="show").set_value("gain").run()
    assert not app.exception
    assert query(app)["show"] == "gain"
    assert shown(app)["gain"].is_monotonic_decreasing
    found = evaluate(Store(toy_store).open("toy"), "middle", "tiny").metrics
    row = shown(app).query("base == 'middle' and sidekick == 'tiny'").iloc[0]
    assert row["gain"] == pytest.approx(relative_gain("aurc", found["duo"]["aurc"], found["base"]["aurc"]))


def test_costs_and_axis_stand_in_the_address(open_find):
    app = open_find(**PAIR)
    assert app.button_group(key="cost").options == ["Compute", "Parameters"]
    assert "Not offered, as the set does not say enough: time" in text_of(app)
    app.button_group(key="cost").set_value("parameter_balance").run()
    app.button_group(key="scale").set_value("linear").run()
    assert not app.exception
    assert query(app) == PAIR | {"cost": "parameter_balance", "scale": "linear"}
    assert "parameter_balance" in shown(app).columns[:4]


def test_ablations_are_added_and_taken_away(open_find):
    app = open_find(**PAIR)
    app.button_group(key="systems").set_value(["duo", "uq_only", "unweighted"]).run()
    assert not app.exception
    assert query(app)["systems"] == "duo,uq_only,unweighted"
    assert set(shown(app)["variant"]) == {"Duo", "UQ only", "Unweighted"}
    app.button_group(key="systems").set_value([]).run()
    assert not app.exception
    assert shown(app).empty
    assert "The filters leave no pair" in text_of(app)


def test_filters_leave_the_chosen_bases_and_families(open_find):
    app = open_find(**ALL)
    app.multiselect(key="bases").set_value(["middle", "large"]).run()
    assert not app.exception
    assert {base for base, _ in pairs(app)} == {"large", "middle"}
    assert query(app)["bases"] == "large,middle"
    assert app.multiselect(key="families").options == ["unknown"]
    app.multiselect(key="families").set_value(["unknown"]).run()
    assert not app.exception
    assert query(app)["families"] == "unknown"


@pytest.mark.parametrize("budget", [5, 10, 30])
def test_the_card_recommends_the_best_within_the_budget(open_find, duos, budget):
    app = open_find(**PAIR)
    app.slider(key="budget").set_value(budget).run()
    assert not app.exception
    assert query(app)["budget"] == str(budget)
    duos = duos[duos["base"] == "large"]
    best = duos[duos["flops_balance"] <= budget / 100].sort_values("nll_fit").iloc[0]
    text = text_of(app)
    assert f"Recommended under +{budget} %" in text
    assert f":blue-background[{best['base']}] + :orange-background[{best['sidekick']}]" in text
    assert f"**{SCREEN['aurc'].text(best['aurc'])}**" in text
    overall = duos.sort_values("nll_fit").iloc[0]
    dearer = (
        f"Against {overall['base']} + {overall['sidekick']}, on val the best of all 3, with {SCREEN['aurc'].text(overall['aurc'])}"
    )
    assert ("Nothing against dearer pairs" if best["sidekick"] == overall["sidekick"] else dearer) in text


def test_the_card_says_whether_differences_stand(open_find, toy_store, duos):
    app = open_find(**PAIR, budget="5")
    duos = duos[duos["base"] == "large"]
    best = duos[duos["flops_balance"] <= 0.05].sort_values("nll_fit").iloc[0]
    found = evaluate(Store(toy_store).open("toy"), best["base"], best["sidekick"]).predictions
    text = text_of(app)
    interval = differences(found["duo"], found["base"], keys=["aurc"])["aurc"]
    assert f"AURC against {best['base']} alone: {verdict('aurc', interval)}." in text
    overall = duos.sort_values("nll_fit").iloc[0]
    dearer = evaluate(Store(toy_store).open("toy"), overall["base"], overall["sidekick"]).predictions["duo"]
    interval = differences(found["duo"], dearer, keys=["aurc"])["aurc"]
    assert f"AURC against {overall['base']} + {overall['sidekick']}: {verdict('aurc', interval)}." in text
    assert "2,000 draws, seed 0" in text


def test_a_metric_that_is_undefined_says_why_nothing_is_shown(open_find, tmp_path):
    store = Store(write_set(tmp_path, models=("large", "tiny")))
    own = store.open("toy")
    right = {split: torch.nn.functional.one_hot(labels, own.k) * 9.0 for split, labels in own.labels.items()}
    for model in ("large", "tiny"):
        (tmp_path / "toy" / f"{model}.safetensors").unlink()
        store.write_model("toy", own.cards[model], right)
    app = open_find(tmp_path, metric="auroc")
    assert "No pair within the budget has a defined value: every image is right, or every one is wrong." in text_of(app)
    assert open_find(tmp_path, metric="accuracy", show="gain").title


def test_mean_gains_are_those_of_the_pairs_within_the_budget(open_find):
    app = open_find(**PAIR, budget="10")
    assert "What do pairs under +10 % gain on average?" in text_of(app)
    assert "over 2 pairs" in text_of(app)  # large with small and with tiny
    numbers = app.expander[-1].dataframe[0].value
    assert list(numbers["metric"]) == list(METRICS)
    gained = shown(app).query("base == 'large' and sidekick in ('small', 'tiny')")["gain"]
    assert numbers.set_index("metric").loc["aurc", "mean"] == pytest.approx(gained.mean())


def test_the_advised_pair_is_taken_with_a_button(open_find, duos):
    app = open_find(**PAIR)
    app.slider(key="budget").set_value(5).run()
    app.button(key="take").click().run()
    assert not app.exception
    best = duos[(duos["flops_balance"] <= 0.05) & (duos["base"] == "large")].sort_values("nll_fit").iloc[0]
    assert (query(app)["base"], query(app)["sidekick"]) == (best["base"], best["sidekick"])
    assert app.selectbox(key="sidekick").value == best["sidekick"]


def test_a_budget_below_every_pair_names_the_cheapest(open_find):
    app = open_find(**PAIR, budget="1")
    assert "No pair costs that little: the cheapest is large + tiny at +5.0 % compute." in text_of(app)


def test_the_row_of_this_pair_is_the_selected_one(open_find):
    app = open_find(**ALL)
    assert app.session_state["table_pairs"]["selection"]["rows"] == [pairs(app).index(("large", "small"))]
    app.multiselect(key="bases").set_value(["middle"]).run()
    assert app.session_state["table_pairs"]["selection"]["rows"] == []


def test_an_address_opens_its_view(open_find):
    own = {"show": "gain", "cost": "parameter_balance", "scale": "linear", "systems": "uq_only", "budget": "30", "scope": "all"}
    own |= {"bases": "large"}
    app = open_find(**PAIR, metric="nll", **own)
    assert query(app) == PAIR | {"metric": "nll"} | own
    assert set(shown(app)["variant"]) == {"UQ only"}
    assert {base for base, _ in pairs(app)} == {"large"}
    assert app.slider(key="budget").value == 30


def test_invalid_values_in_the_address_fall_back_quietly(open_find):
    bad = {"show": "x", "cost": "x", "scale": "x", "systems": "x", "budget": "x", "scope": "x", "families": "x"}
    app = open_find(**bad)
    assert not app.warning
    # A list without any option left is empty, not the default: whoever turns all systems off sees none.
    assert query(app).get("systems", "") == ""
    assert app.slider(key="budget").value == 15


def test_unknown_costs_leave_the_comparison_without_a_budget(open_find, tmp_path):
    app = open_find(write_set(tmp_path, costs=False))
    assert "their own accuracy instead" in app.info[0].value
    assert not app.slider
    assert "Recommended\n" in text_of(app) + "\n"
    assert "for an unknown cost" in text_of(app)


def test_the_whole_table_can_be_saved_as_csv_and_parquet(open_find):
    app = open_find(**PAIR)
    assert [button.label for button in app.get("download_button")][:2] == ["Download CSV", "Download Parquet"]
    table = pd.DataFrame({"base": ["a"], "gain": [0.25]})
    csv, parquet = (controls.FORMATS[kind][0](table) for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(csv)), table)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(parquet)), table, check_dtype=False)


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
    assert recommendation.given_up(found, "aurc", "flops_balance", "val").startswith("Nothing against dearer pairs")
    assert "It is the only pair within the budget." in recommendation.why(found, "aurc", "flops_balance", 0.025, "val")


def test_nothing_worse_than_the_base_is_said_so():
    assert recommendation.lost_to("a", row(), {"aurc": 0.03}) == "Against a alone: nothing, no metric is worse."


def test_a_sidekick_that_fits_no_better_than_chance_is_advised_against():
    assert recommendation.warning(row(), "a", 100, "val", "test") == ""
    assert "leave the sidekick out" in recommendation.warning(row(nll_fit=0.4999), "a", 1000, "val", "test")
    assert recommendation.warning(row(gain=-0.1), "b", 100, "val", "test").startswith("On test b alone is as good or better")


def test_a_pair_that_does_not_help_is_advised_against(open_find, monkeypatch, tmp_path):
    store = write_set(tmp_path, models=("large", "tiny"), n=60)
    keys = [key for key in METRICS if not gain_of(store, key) > 0]
    assert keys, "the toy's duo must lose somewhere for this test to test anything"
    app = open_find(store, metric=keys[0])
    assert "leave the sidekick out" in app.warning[0].value


def reversed_set(path):
    """`small` knows more than `middle`, on every split; `middle` costs more."""
    store = Store(write_set(path))
    own = store.open("toy")
    better = {split: own.logits("small", split).clone() for split in own.labels}
    for split, logits in better.items():
        logits[torch.arange(len(logits)), own.labels[split]] += 3
    (path / "toy" / "small.safetensors").unlink()
    store.write_model("toy", own.cards["small"], better)
    return path


def test_reversed_pairs_are_left_out_counted_and_shown_on_demand(open_find, tmp_path):
    store = reversed_set(tmp_path)
    app = open_find(store, **ALL)
    said = "2 of 6 pairs are left out: on val their sidekick is more accurate than their base."
    assert text_of(app).count(said) == 2  # under the chart, and by the means
    assert not {("middle", "small"), ("large", "small")} & {*pairs(app)}
    before = app.expander[-1].dataframe[0].value
    app.button_group(key="reversed").set_value("yes").run()
    assert not app.exception
    assert query(app)["reversed"] == "yes"
    assert {("middle", "small"), ("large", "small")} <= {*pairs(app)}
    assert said not in text_of(app)
    assert ":orange-background[small]" not in text_of(app)
    with_reversed = app.expander[-1].dataframe[0].value
    assert (with_reversed["mean"] < before["mean"]).mean() > 0.5  # over the better member there is little to gain
    found = evaluate(Store(store).open("toy"), "middle", "small").metrics
    row = shown(app).query("base == 'middle' and sidekick == 'small'").iloc[0]
    assert row["gain"] == pytest.approx(relative_gain("aurc", found["duo"]["aurc"], found["sidekick"]["aurc"]))


def test_pairs_of_several_bases_are_compared_by_what_both_models_cost(open_find, duos):
    """The budget is that of the sidebar's base; the cheapest pair of all is the last one."""
    app = open_find(**ALL)
    assert shown(app)["total_multiply_adds"].tolist() == pytest.approx((duos.sort_values("aurc")["total"] * 1e-9).tolist())
    most = 1.15 * COST["large"]
    best = duos[duos["total"] <= most].sort_values("nll_fit").iloc[0]
    text = text_of(app)
    assert "Recommended under large +15 %: 9.2e-07 G multiply-adds" in text
    assert f":blue-background[{best['base']}] + :orange-background[{best['sidekick']}]" in text
    assert "multiply-adds in all" in text
    one = open_find(**PAIR)
    assert "multiply-adds in all" not in text_of(one)
    assert {base for base, _ in pairs(one)} == {"large"}


def gain_of(store, key):
    found = evaluate(Store(store).open("toy"), "large", "tiny").metrics
    return relative_gain(key, found["duo"][key], found["base"][key])
