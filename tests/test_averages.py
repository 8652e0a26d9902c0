"""Soups and Model Stock against plain float64 arithmetic, and the laws that they obey, each with a mutant that breaks it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from duo_core.common.arrays import InputError
from duo_core.training import averages
from duo_core.training.averages import Candidate, greedy, mean_cosine, stock, uniform
from duo_core.training.scores import Score, score

SHAPES = {"conv.weight": (3, 2, 2), "fc.weight": (4, 3), "fc.bias": (4,)}
PARAMETERS = list(SHAPES)
SEEDS = st.integers(0, 2**32 - 1)
MODELS = st.integers(2, 6)


def weights(seed, spread=1.0, dtype=torch.float32):
    """Small weights with running statistics and a counter."""
    generator = np.random.default_rng(seed)
    state = {key: torch.tensor(spread * generator.normal(size=shape), dtype=dtype) for key, shape in SHAPES.items()}
    statistics = torch.tensor(generator.uniform(1, 2, 3), dtype=dtype)
    return {**state, "bn.running_var": statistics, "bn.num_batches_tracked": torch.tensor(int(generator.integers(1000)))}


def moved(anchor, seed, spread=0.1):
    change = weights(seed, spread, anchor["fc.bias"].dtype)
    return {key: value + change[key] if value.is_floating_point() else change[key] for key, value in anchor.items()}


def family(seed, n, dtype=torch.float64):
    anchor = weights([seed, 0], dtype=dtype)
    return anchor, [moved(anchor, [seed, number]) for number in range(1, n + 1)]


def same(one, other, tolerance=0.0):
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert value.dtype == other[key].dtype
        assert torch.allclose(value.double(), other[key].double(), rtol=0, atol=tolerance), key
        assert tolerance or torch.equal(value, other[key]), key


def plain_stock(anchor, models):
    """The definition, number by number."""
    found = {}
    n = len(models)
    for key in PARAMETERS:
        origin = anchor[key].flatten().tolist()
        moves = [[a - b for a, b in zip(model[key].flatten().tolist(), origin, strict=True)] for model in models]
        norms = [math.sqrt(math.fsum(x * x for x in move)) for move in moves]
        cosines = [
            math.fsum(x * y for x, y in zip(moves[i], moves[j], strict=True)) / (norms[i] * norms[j])
            for i in range(n)
            for j in range(n)
            if i < j
        ]
        c = math.fsum(cosines) / len(cosines)
        t = max(0.0, n * c / (1 + (n - 1) * c))
        mean = [origin[at] + math.fsum(move[at] for move in moves) / n for at in range(len(origin))]
        values = [t * m + (1 - t) * o for m, o in zip(mean, origin, strict=True)]
        found[key] = torch.tensor(values, dtype=torch.float64).view(anchor[key].shape)
    return found


# Laws. Each takes the functions it is about, so that a mutant can take their place.


def the_plain_definition(seed, n, stocked):
    anchor, models = family(seed, n)
    found = stocked(models, anchor, PARAMETERS)
    expected = plain_stock(anchor, models)
    same({key: found.state[key] for key in PARAMETERS}, expected, 1e-12)
    assert torch.equal(found.state["bn.running_var"], uniform(models)["bn.running_var"])


def identical_models_are_themselves(seed, n, stocked):
    for dtype in (torch.float32, torch.float64):
        anchor, (model,) = family(seed, 1, dtype)
        found = stocked([model] * n, anchor, PARAMETERS)
        assert all(t == 1 for t in found.ratios.values())
        same({key: found.state[key] for key in model}, model)


def orthogonal_models_give_the_anchor(seed, n, stocked):
    generator = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(generator.normal(size=(12, 12)))
    anchor = {"w": torch.tensor(generator.normal(size=12))}
    models = [{"w": anchor["w"] + torch.tensor(basis[i] * generator.uniform(0.5, 2))} for i in range(n)]
    same(stocked(models, anchor, ["w"]).state, anchor, 1e-12)


def the_scale_of_all_moves_is_nothing(seed, n, stocked):
    anchor, models = family(seed, n)
    small = [{key: anchor[key] + 1e-6 * (model[key] - anchor[key]) for key in PARAMETERS} for model in models]
    cut = {key: anchor[key] for key in PARAMETERS}
    one, other = stocked(models, anchor, PARAMETERS).ratios, stocked(small, cut, PARAMETERS).ratios
    assert one.keys() == other.keys()
    assert all(abs(one[key] - other[key]) < 1e-6 for key in one)


def ratios_are_shares(seed, n, stocked):
    anchor, models = family(seed, n)
    found = stocked(models, anchor, PARAMETERS)
    assert all(0 <= t <= 1 for t in found.ratios.values())
    cosines = {key: mean_cosine([model[key] - anchor[key] for model in models]) for key in PARAMETERS}
    assert set(found.clamped) == {key for key, c in cosines.items() if c < 0}


def two_of_one_length_meet_at_a_right_angle(seed, n, stocked):
    generator = np.random.default_rng(seed)
    anchor = torch.tensor(generator.normal(size=9))
    moves = [torch.tensor(generator.normal(size=9)) for _ in range(2)]
    moves = [move / move.norm() for move in moves]
    models = [{"w": anchor + move} for move in moves]
    found = stocked(models, {"w": anchor}, ["w"]).state["w"]
    assert abs(torch.dot(found - anchor, moves[0] - moves[1]).item()) < 1e-12
    cosine = torch.dot(*moves).item()
    if cosine > 0:  # and the share is that of the paper's two models
        assert torch.allclose(found - anchor, 2 * cosine / (1 + cosine) * (moves[0] + moves[1]) / 2, atol=1e-12)


def order_changes_nothing(seed, n, stocked):
    anchor, models = family(seed, n, torch.float32)
    models = [{**model, "bn.num_batches_tracked": torch.tensor(7)} for model in models]
    turned = [models[i] for i in np.random.default_rng(seed).permutation(n)]
    same(stocked(models, anchor, PARAMETERS).state, stocked(turned, anchor, PARAMETERS).state)


def counters_are_the_firsts(seed, n, stocked):
    anchor, models = family(seed, n)
    assert torch.equal(stocked(models, anchor, PARAMETERS).state["bn.num_batches_tracked"], models[0]["bn.num_batches_tracked"])


LAWS = [
    the_plain_definition,
    identical_models_are_themselves,
    orthogonal_models_give_the_anchor,
    the_scale_of_all_moves_is_nothing,
    ratios_are_shares,
    two_of_one_length_meet_at_a_right_angle,
    order_changes_nothing,
    counters_are_the_firsts,
]


@pytest.mark.parametrize("law", LAWS)
@given(seed=SEEDS, n=MODELS)
@settings(max_examples=25)
def test_model_stock(law, seed, n):
    law(seed, n, stock)


def without_clamp(monkeypatch):
    monkeypatch.setattr(averages, "_ratio", lambda c, n: n * c / (1 + (n - 1) * c))


def with_epsilon(monkeypatch):
    def cosine(moves):
        flat = [move.double().flatten() for move in moves]
        pairs = [(a, b) for i, a in enumerate(flat) for b in flat[:i]]
        return sum((torch.dot(a, b) / (a.norm() * b.norm() + 1e-6)).item() for a, b in pairs) / len(pairs)

    monkeypatch.setattr(averages, "mean_cosine", cosine)


def mean_of_angles(monkeypatch):
    def cosine(moves):
        flat = [move.double().flatten() for move in moves]
        pairs = [(a, b) for i, a in enumerate(flat) for b in flat[:i]]
        angles = [math.acos(min(1.0, max(-1.0, (torch.dot(a, b) / (a.norm() * b.norm())).item()))) for a, b in pairs]
        return math.cos(sum(angles) / len(angles))

    monkeypatch.setattr(averages, "mean_cosine", cosine)


def in_the_order_given(monkeypatch):
    def mean(tensors):
        total = tensors[0].clone()
        for tensor in tensors[1:]:
            total = total + tensor
        return total.double() / len(tensors)

    monkeypatch.setattr(averages, "_exact_mean", mean)


def averaged_counters(monkeypatch):
    monkeypatch.setattr(averages, "_mean", lambda tensors: averages._exact_mean(tensors).to(tensors[0].dtype))


MUTANTS = {
    without_clamp: ratios_are_shares,
    with_epsilon: the_scale_of_all_moves_is_nothing,
    mean_of_angles: the_plain_definition,
    in_the_order_given: order_changes_nothing,
    averaged_counters: counters_are_the_firsts,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_model_stock_breaks_its_law(mutant, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(20):
            MUTANTS[mutant](seed, 3 + seed % 3, stock)


def test_a_tensor_that_none_moved_stays_the_anchors_and_one_that_a_single_model_moved_agrees_with_nobody():
    anchor, models = family(1, 3)
    for model in models:
        model["fc.bias"] = anchor["fc.bias"].clone()
    models[0]["fc.weight"], models[1]["fc.weight"] = anchor["fc.weight"].clone(), anchor["fc.weight"].clone()
    found = stock(models, anchor, PARAMETERS)
    assert torch.equal(found.state["fc.bias"], anchor["fc.bias"])
    assert "fc.bias" not in found.ratios
    assert found.ratios["fc.weight"] == 0
    assert torch.equal(found.state["fc.weight"], anchor["fc.weight"])
    assert "fc.weight" not in found.clamped


def test_models_that_moved_apart_stay_at_the_anchor_and_are_counted():
    anchor = {"w": torch.zeros(2, dtype=torch.float64)}
    models = [{"w": torch.tensor([1.0, 0.1], dtype=torch.float64)}, {"w": torch.tensor([-1.0, 0.1], dtype=torch.float64)}]
    found = stock(models, anchor, ["w"])
    assert torch.equal(found.state["w"], anchor["w"])
    assert found.clamped == ("w",)
    opposite = [{"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([-1.0, 0.0])}]  # 1 + (N - 1) c is 0
    assert stock(opposite, {"w": torch.zeros(2)}, ["w"]).ratios == {"w": 0.0}


@given(seed=SEEDS, n=st.integers(1, 6), dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
@settings(max_examples=40)
def test_the_uniform_soup(seed, n, dtype):
    _, models = family(seed, n, torch.float64)
    models = [{key: value.to(dtype) if value.is_floating_point() else value for key, value in model.items()} for model in models]
    found = uniform(models)
    for key in [*PARAMETERS, "bn.running_var"]:
        expected = [
            math.fsum(values) / n for values in zip(*(model[key].double().flatten().tolist() for model in models), strict=True)
        ]
        assert torch.allclose(
            found[key].double().flatten(), torch.tensor(expected, dtype=torch.float64).to(dtype).double(), atol=1e-12
        )
    same(uniform(models[:1]), models[0])
    same(uniform([models[0]] * n), models[0])
    turned = [models[i] for i in np.random.default_rng(seed).permutation(n)]
    same({**uniform(turned), "bn.num_batches_tracked": found["bn.num_batches_tracked"]}, found)
    assert torch.equal(found["bn.num_batches_tracked"], models[0]["bn.num_batches_tracked"])


def test_parts_of_a_tensor_are_put_together_again(monkeypatch):
    _, models = family(3, 3, torch.float32)
    whole = uniform(models)
    monkeypatch.setattr(averages, "CHUNK", 7)
    same(uniform(models), whole)


def test_a_soup_of_linear_models_is_the_mean_of_their_logits(rng):
    _, models = family(5, 4)
    images = torch.tensor(rng.normal(size=(20, 3)))
    mixed = uniform(models)
    each = [images @ model["fc.weight"].T + model["fc.bias"] for model in models]
    assert torch.allclose(images @ mixed["fc.weight"].T + mixed["fc.bias"], torch.stack(each).mean(0), atol=1e-12)


def test_negative_zero_and_no_numbers_at_all():
    assert str(uniform([{"w": torch.tensor([-0.0])}])["w"].item()) == "-0.0"
    assert uniform([{"w": torch.zeros(0, 3)}] * 2)["w"].shape == (0, 3)
    assert uniform([{"w": torch.tensor(1.5)}, {"w": torch.tensor(2.5)}])["w"] == 2.0


# The greedy soup: one weight that stands for a model, judged by a table.


def made(right, nll=1.0, n=100):
    return Score("accuracy", right, n, nll, 0.5)


def candidates(*rows):
    return [
        Candidate(f"trial {number}", number, made(*result), {"w": torch.tensor([value], dtype=torch.float64)})
        for number, (value, *result) in enumerate(rows)
    ]


def judge_of(table):
    def judge(state):
        return made(*table[round(state["w"].item(), 6)])

    return judge


def test_the_order_and_the_tie_rule_of_the_greedy_soup():
    rows = [(8.0, 90, 0.5), (4.0, 92, 0.4), (0.0, 92, 0.3), (6.0, 92, 0.3), (0.0, 50, 0.9)]
    table = {
        3.0: (92, 0.29),  # 0 with 6: as many right, a lower NLL: stays
        round(10 / 3, 6): (91, 0.1),  # with 4: fewer right: leaves
        round(14 / 3, 6): (93, 0.6),  # with 8: more right, a higher NLL: stays
    }
    found = greedy(candidates(*rows), judge_of(table))
    assert [step.name for step in found.steps] == ["trial 2", "trial 3", "trial 1", "trial 0", "trial 4"]
    assert [step.kept for step in found.steps] == [True, True, False, True, False]
    assert found.steps[-1].tried is None, "a copy of trial 2 is not tried"
    assert found.kept == ("trial 2", "trial 3", "trial 0")
    assert found.state["w"].item() == pytest.approx(14 / 3, abs=1e-12)
    assert (found.score.right, found.score.nll) == (93, 0.6)


def test_a_greedy_soup_of_one_is_a_result():
    found = greedy(candidates((1.0, 90), (2.0, 80)), judge_of({1.5: (90, 1.0)}))
    assert found.kept == ("trial 0",), "as many right with the same NLL is no gain"
    assert found.state["w"].item() == 1.0
    assert found.score == made(90)


@given(seed=SEEDS, n=st.integers(1, 7))
@settings(max_examples=40)
def test_the_greedy_soup_is_never_below_its_best_ingredient(seed, n):
    generator = np.random.default_rng(seed)
    images, labels = torch.tensor(generator.normal(size=(30, 3))), torch.tensor(generator.integers(4, size=30))

    def judge(state):
        return score(images @ state["fc.weight"].T + state["fc.bias"], labels, "accuracy")

    _, models = family(seed, n)
    given_ = [Candidate(f"{i}", i, judge(model), model) for i, model in enumerate(models)]
    found = greedy(given_, judge)
    best = min(one.score.loss for one in given_)
    assert found.score.loss <= best
    assert judge(found.state) == found.score
    kept = [one.state for one in sorted(given_, key=lambda one: one.score.loss) if one.name in found.kept]
    same(uniform(kept), found.state)
    again = greedy(given_[::-1], judge)
    same(again.state, found.state)
    assert again.kept == found.kept


def refused(function, *arguments):
    with pytest.raises(InputError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_alike_is_refused_with_the_first_three_tensors():
    anchor, (one, other) = family(1, 2)
    other = {**other, "fc.weight": torch.zeros(5, 3), "fc.bias": torch.zeros(5), "more": torch.zeros(1), "most": torch.zeros(1)}
    assert refused(uniform, [one, other]) == (
        "expected the weights of one architecture, got 'model 1' and 'model 2', which differ in 4 tensors "
        "(fc.weight: float64 (4, 3) and float32 (5, 3); fc.bias: float64 (4,) and float32 (5,); more: none and float32 (1,)); "
        "average models of one run"
    )
    assert "'the anchor' and 'model 2'" in refused(stock, [one, other], anchor, PARAMETERS)
    assert "float64 (4,) and float32 (4,)" in refused(uniform, [one, {**one, "fc.bias": torch.zeros(4)}])


def test_what_is_not_finite_or_too_few_is_refused():
    anchor, (one, other) = family(1, 2)
    other = {**other, "fc.bias": torch.tensor([1.0, math.nan, 0, 0], dtype=torch.float64)}
    assert refused(uniform, [one, other]) == ("expected finite weights in 'model 2', got NaN or infinity in fc.bias; leave it out")
    assert refused(stock, [one], anchor, PARAMETERS) == (
        "expected at least two models for Model Stock, whose angle is between them, got 1"
    )
    assert refused(uniform, []) == "expected the weights of at least one model to average, got none"


def test_scores():
    logits = torch.tensor([[2.0, 0, 0], [0, 2, 0], [2, 2, 0], [0, 0, 5]])
    found = score(logits, torch.tensor([0, 1, 1, 2]), "macro_f1")
    assert (found.right, found.n) == (3, 4)
    assert found.value == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert score(logits, torch.tensor([0, 1, 1, 2]), "accuracy").value == 0.75
    assert score(torch.full((1, 2), math.nan), torch.tensor([0]), "accuracy").nll == math.inf
    assert found.loss < score(logits, torch.tensor([0, 0, 1, 2]), "macro_f1").loss
