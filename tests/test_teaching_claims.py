"""Every claim of the course's text is computed, on several draws and, where it speaks of models in general, on the shipped set."""

import numpy as np
import pytest

from duo_core.logits.store import Store
from duo_core.systems.duo import VARIANTS, Temperatures
from duo_core.systems.fitting import calibrate as calibrated
from duo_core.systems.fitting import newton_path
from duo_core.systems.pair_predicting import variant_predictions
from duo_core.systems.sweep import sweep
from duo_core.teaching import alone, together
from duo_core.teaching.experts import BASE, SEED, classroom, real
from duo_core.teaching.steps import REAL_PEERS, REAL_SET, STEPS

SEEDS = [SEED, 0, 1, 2, 3]
REAL = {step.key: (step.explore["base"], step.explore["sidekick"]) for step in STEPS}


@pytest.fixture(scope="module")
def shipped():
    return Store().open(REAL_SET)


@pytest.fixture(params=[*SEEDS, "real"])
def splits_of(request, shipped):
    """The pair of a step, by the step's key: one draw, or the shipped set."""
    if request.param == "real":
        return lambda key: real(shipped, *REAL[key])
    return lambda _: classroom(seed=request.param)


def test_step_1_the_base_is_overconfident(splits_of):
    splits = splits_of("confidence")
    found = alone.band(alone.base_alone(splits.test), 0.9)
    assert found.images > 100
    assert 0.88 < found.confidence < 0.92
    assert found.share < 0.8


def test_step_1_softmax_sums_to_one_and_the_confidence_is_the_largest(splits_of):
    split = splits_of("confidence").test
    predictions = alone.base_alone(split)
    for row in (0, 7):
        image = alone.image(split, row)
        assert image.probabilities.sum() == pytest.approx(1)
        assert image.confidence == image.probabilities.max() == pytest.approx(predictions.confidence[row])
        assert (image.predicted, image.right) == (predictions.predicted[row], predictions.correct[row])


def test_step_2_accuracy_does_not_move_with_the_temperature(splits_of):
    splits = splits_of("temperature")
    table = alone.by_temperature(splits, np.linspace(0.1, 2, 20).tolist())
    assert table["accuracy"].nunique() == 1


def test_step_2_the_fitted_temperature_lowers_the_nll_and_brings_the_points_to_the_diagonal(splits_of):
    splits = splits_of("temperature")
    fitted = alone.own_temperature(splits)
    before, after = alone.tempered(splits, 1.0), alone.tempered(splits, fitted)
    assert fitted < 0.6
    assert after.nll < before.nll - 0.05
    assert after.ece < 0.5 * before.ece
    table = alone.by_temperature(splits, np.linspace(0.1, 2, 39).tolist())
    assert after.nll < table["nll"].min() + 0.003


def test_step_2_below_1_a_temperature_evens_the_probabilities_out(splits_of):
    split = splits_of("temperature").test
    confidences = [alone.base_alone(split, temperature).confidence for temperature in (0.5, 1.0, 2.0)]
    assert (np.diff(confidences, axis=0) > -1e-12).all()


def test_step_3_the_surest_half_errs_less_than_a_quarter_as_often(splits_of):
    found = alone.abstention(splits_of("abstain"))
    assert found.risk(0.5) < 0.25 * found.risk(1.0)


def test_step_3_the_aurc_is_the_area_and_sac_how_far_right_two_percent_reach(splits_of):
    found = alone.abstention(splits_of("abstain"))
    coverages = np.linspace(0.001, 1, 2000)
    assert np.mean([found.risk(coverage) for coverage in coverages]) == pytest.approx(found.aurc, rel=0.02)
    assert found.risk(found.sac98) <= 0.02 + 1e-12
    assert all(found.risk(coverage) > 0.02 for coverage in np.linspace(found.sac98 + 0.005, 1, 20))


def test_step_3_shows_the_base_as_every_other_page_does(splits_of):
    splits = splits_of("abstain")
    test, found = splits.test, alone.abstention(splits)
    said = variant_predictions(test.base, test.sidekick, test.labels, together.fitted(splits), variants=("base",))["base"]
    assert found.predictions.uncertainty == pytest.approx(said.uncertainty, rel=1e-9)
    assert (found.predictions.predicted == said.predicted).all()


def test_step_3_no_ranking_beats_the_oracle(splits_of):
    table = alone.abstention(splits_of("abstain")).table
    assert (table["oracle"] <= table["base"] + 1e-12).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_step_4_the_average_of_equals_beats_each_and_gains_most_where_they_err_apart(seed):
    table = together.by_overlap(seed)
    best_member = table[["base", "sidekick"]].max(axis=1)
    gain = table["pair"] - best_member
    assert (gain[table["overlap"] <= 0.8] > 0.004).all()
    assert gain.iloc[0] > 0.07
    assert gain.iloc[-1] < 0.01
    assert np.corrcoef(table["common"], gain)[0, 1] < -0.95
    assert table["common"].iloc[0] < 0.2
    assert table["common"].iloc[-1] > 0.7


def test_step_4_equal_real_models_gain_as_well(shipped):
    table = together.by_partner(shipped, REAL["ensemble"][0], REAL_PEERS)
    assert (table["pair"] > table[["base", "sidekick"]].max(axis=1)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_step_5_the_equal_average_falls_below_the_base_under_a_quality_that_the_code_finds(seed):
    table = together.by_quality(seed)
    even = together.break_even(table)
    gain = table["pair"] - table["base"]
    assert 0.72 < even < 0.83
    assert (gain[table["sidekick"] < even] < 0).all()
    assert (gain[table["sidekick"] > even] >= 0).all()
    assert gain.iloc[-1] > 0.02  # an equal partner helps
    assert gain.min() < -0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_step_5_a_sidekick_at_70_percent_gives_less_than_the_base_and_more_than_halfway(seed):
    row = min(
        (vars(together.averaged(together.trapped(q, seed))) for q in (1.2, 1.24, 1.28)), key=lambda r: abs(r["sidekick"] - 0.7)
    )
    assert row["sidekick"] == pytest.approx(0.7, abs=0.012)
    assert row["base"] == pytest.approx(0.87, abs=0.01)
    assert 0.8 < row["pair"] < row["base"] - 0.01


def test_step_5_the_trap_is_real(shipped):
    base, sidekick = REAL["trap"]
    found = together.averaged(real(shipped, base, sidekick))
    assert found.pair < found.base - 0.005
    assert found.common > 0.5
    assert shipped.flops_balance(base, sidekick) == pytest.approx(0.13, abs=0.01)


def test_step_6_learned_weights_are_never_worse_than_the_base_where_they_were_learned(splits_of):
    for part in together.PARTS:
        found = together.learned(together.playing(splits_of("weights"), part))
        assert found.fit.nll["duo"] <= min(found.fit.nll["base"], found.fit.nll["sidekick"]) + 1e-12
        assert found.marks["duo"][1] <= min(nll for _, nll in found.marks.values()) + 1e-12
        assert found.surface.nll.min() > found.marks["duo"][1] - 1e-5


def test_step_6_noise_gets_almost_no_weight_and_the_base_its_own(splits_of):
    fit = together.fitted(together.playing(splits_of("weights"), "noise", 1))
    useful = together.fitted(splits_of("weights")).temperatures
    assert fit.temperatures.sidekick < 0.1 * useful.sidekick
    assert fit.temperatures.base == pytest.approx(fit.calibration.base, rel=0.02)


def test_step_6_of_a_copy_only_the_sum_of_the_weights_matters(splits_of):
    splits = together.playing(splits_of("weights"), "copy")
    found = together.learned(splits)
    total = sum(found.fit.temperatures)
    assert total == pytest.approx(found.fit.calibration.base)
    for share in (0.0, 0.3, 1.0):
        nll = together.nll_at(splits.fit, Temperatures(share * total, (1 - share) * total))
        assert nll == pytest.approx(found.marks["duo"][1], abs=1e-9)
    assert sum(together.walk(splits, found.start).iloc[-1][["T_base", "T_sidekick"]]) == pytest.approx(total, abs=1e-3)


def test_step_6_a_sidekick_better_than_the_base_has_the_larger_say(splits_of):
    fit = together.fitted(together.playing(splits_of("weights"), "better"))
    assert fit.ratio < 1


@pytest.mark.parametrize("part", together.PARTS)
def test_step_6_newton_steps_lead_down_to_the_fit_from_any_start(part, splits_of):
    splits = together.playing(splits_of("weights"), part)
    found = together.learned(splits)
    for start in (found.start, Temperatures(0.0, 0.0), found.marks["unweighted"][0], found.marks["base"][0]):
        path = together.walk(splits, start)
        assert tuple(path.loc[0, ["T_base", "T_sidekick"]]) == pytest.approx(start)
        assert len(path) <= 10
        assert (path["nll"].diff()[1:] < 1e-9).all()
        assert path["nll"].iloc[-1] == pytest.approx(found.marks["duo"][1], abs=2e-6)


def test_step_6_a_step_depends_on_nothing_but_where_it_begins():
    splits = classroom()
    whole = together.walk(splits, together.learned(splits).start)
    rest = together.walk(splits, Temperatures(*whole.loc[1, ["T_base", "T_sidekick"]]))
    assert rest.loc[1:, "nll"].to_numpy() == pytest.approx(whole.loc[2:, "nll"].to_numpy(), abs=1e-9)


def test_step_6_the_steps_are_those_of_the_projects_own_fit():
    split = classroom().fit
    singles = calibrated(split.base, split.labels), calibrated(split.sidekick, split.labels)
    fit = together.fitted(classroom())
    path = newton_path(*singles, VARIANTS["unweighted"].weights(fit))
    assert len(path) == fit.steps
    assert path[-1] == pytest.approx(fit.temperatures, abs=1e-12)


def test_step_6_the_surface_is_wide_enough_for_every_mark_and_slider(splits_of):
    for part in together.PARTS:
        found = together.learned(together.playing(splits_of("weights"), part))
        for at, _ in found.marks.values():
            assert at.base <= found.surface.base[-1]
            assert at.sidekick <= found.surface.sidekick[-1]
        assert found.surface.sidekick[-1] > 0.1


def test_step_7_uq_only_keeps_every_class_and_lowers_the_aurc(splits_of):
    splits = splits_of("ranking")
    test, found = splits.test, together.ranking(splits).metrics
    said = variant_predictions(test.base, test.sidekick, test.labels, together.fitted(splits))
    assert (said["uq_only"].predicted == said["base"].predicted).all()
    assert found["uq_only"]["accuracy"] == found["base"]["accuracy"]
    assert found["uq_only"]["aurc"] < 0.95 * found["base"]["aurc"]
    assert found["duo"]["aurc"] < found["uq_only"]["aurc"]


def test_step_7_most_of_the_gain_is_ranking(splits_of):
    aurc = {key: values["aurc"] for key, values in together.ranking(splits_of("ranking")).metrics.items()}
    assert (aurc["base"] - aurc["uq_only"]) > 0.5 * (aurc["base"] - aurc["duo"])


def test_step_7_mistakes_move_back_and_right_answers_forward(splits_of):
    splits = splits_of("ranking")
    test = splits.test
    said = variant_predictions(test.base, test.sidekick, test.labels, together.fitted(splits))
    ranks = {key: np.argsort(np.argsort(said[key].uncertainty)) for key in ("base", "uq_only")}
    moves, right = ranks["uq_only"] - ranks["base"], said["base"].correct
    assert moves[~right].mean() > 0 > moves[right].mean()


@pytest.fixture(scope="module")
def offers(shipped):
    return together.offers(sweep(shipped, ["test"]))


def test_step_8_the_price_alone_does_not_tell_the_gain(offers):
    cheap, dear = offers[offers["flops_balance"] <= 0.1]["gain"], offers[offers["flops_balance"].between(0.2, 0.4)]["gain"]
    assert len(cheap) > 10 < len(dear)
    assert cheap.max() > dear.median()
    assert dear.min() < cheap.median()


def test_step_8_how_close_a_sidekick_comes_to_its_base_counts_more_than_its_price(offers):
    follows = offers[["gain", "behind", "flops_balance"]].corr("spearman")["gain"]
    assert -follows["behind"] > 0.6
    assert follows["flops_balance"] < 0.4


def test_step_8_every_sidekick_is_worse_than_its_base(offers, shipped):
    assert len(offers) > 50
    for row in offers.sample(5, random_state=0).to_dict("records"):
        base, sidekick = (shipped.logits(row[role], "test").argmax(1) == shipped.labels["test"] for role in ("base", "sidekick"))
        assert row["behind"] == pytest.approx(float(base.float().mean() - sidekick.float().mean()), abs=1e-6)
        assert row["behind"] > 0


def test_step_8_the_best_within_a_budget_is_within_it_and_best(offers):
    for budget in (0.05, 0.1, 0.2, 0.5):
        best = together.best_offer(offers, budget)
        assert best["flops_balance"] <= budget
        assert best["gain"] == offers[offers["flops_balance"] <= budget]["gain"].max()
    assert together.best_offer(offers, 0.001) is None


def test_step_8_the_shown_pair_costs_ten_to_twenty_percent_and_gains(offers):
    row = offers.set_index(["base", "sidekick"]).loc[REAL["budget"]]
    assert 0.1 < row["flops_balance"] < 0.2
    assert row["gain"] > 0.03


def test_equal_experts_look_equal_in_the_first_draw():
    for overlap in (0.0, 0.2, 0.5, 0.8):
        found = together.averaged(together.peers(overlap))
        assert found.base == pytest.approx(found.sidekick, abs=0.005)
    assert BASE.boldness > BASE.quality
