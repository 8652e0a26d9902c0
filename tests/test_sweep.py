"""One pair and all pairs: the same numbers either way, the stated columns, nothing undefined passed off as a number."""

import dataclasses
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.logits import Card, LogitSet
from duo_core.metrics import METRICS
from duo_core.systems import pair_judging, pair_predicting
from duo_core.systems import sweep as s
from duo_core.systems.duo import VARIANTS, Fit, Temperatures
from duo_core.systems.fitting import calibrate

COSTS = {"large": 100, "middle": 40, "small": 10, "twin": 10}


@pytest.fixture
def logit_set(rng: np.random.Generator) -> LogitSet:
    """Four models of falling quality on three splits; `small` and `twin` cost the same."""
    labels = {split: torch.from_numpy(rng.integers(4, size=n)) for split, n in (("val", 80), ("test", 150), ("shift", 60))}
    truth = {split: torch.nn.functional.one_hot(values, 4) for split, values in labels.items()}
    arrays = {
        (model, split): (quality * one_hot + torch.from_numpy(rng.normal(size=one_hot.shape))).float()
        for quality, model in zip((3, 2, 1, 1), COSTS, strict=True)
        for split, one_hot in truth.items()
    }
    cards = {model: Card(model, f"timm/{model}", "timm", multiply_adds=cost) for model, cost in COSTS.items()}
    return LogitSet("tiny", "Tiny", tuple("abcd"), labels, cards, arrays)


def test_bases_cost_at_least_as_much(logit_set: LogitSet) -> None:
    assert s.pairs(logit_set, "val", "test") == [
        ("large", "middle"),
        ("large", "small"),
        ("large", "twin"),
        ("middle", "small"),
        ("middle", "twin"),
        ("small", "twin"),
        ("twin", "small"),
    ]


def costing(logit_set: LogitSet, **costs: int | None) -> LogitSet:
    """The set with other multiply-adds of some models."""
    cards = {m: dataclasses.replace(card, multiply_adds=costs.get(m, card.multiply_adds)) for m, card in logit_set.cards.items()}
    return dataclasses.replace(logit_set, cards=cards)


def accuracy(logit_set: LogitSet, model: str, split: str = "val") -> float:
    return (logit_set.logits(model, split).argmax(1) == logit_set.labels[split]).double().mean().item()


@pytest.mark.parametrize("unknown", [tuple(COSTS), ("large",), ("middle", "twin")])
def test_without_costs_every_two_models_are_a_pair_once_the_more_accurate_the_base(
    logit_set: LogitSet, unknown: tuple[str, ...]
) -> None:
    some = costing(logit_set, **dict.fromkeys(unknown))
    found = s.pairs(some, "val", "test")
    open_pairs = [pair for pair in found if {*pair} & {*unknown}]
    expected = [{a, b} for i, a in enumerate(COSTS) for b in list(COSTS)[i + 1 :] if {a, b} & {*unknown}]
    assert sorted(map(sorted, open_pairs)) == sorted(map(sorted, expected))
    for base, sidekick in open_pairs:
        assert accuracy(some, base) >= accuracy(some, sidekick)
    assert s.sweep(some, ["test"], only=open_pairs)["flops_balance"].isna().all()


def test_of_equally_accurate_models_of_unknown_cost_the_first_is_the_base(logit_set: LogitSet) -> None:
    copies = {("twin", split): logit_set.arrays["small", split] for split in logit_set.labels}
    same = dataclasses.replace(logit_set, arrays={**logit_set.arrays, **copies})
    found = s.pairs(costing(same, small=None, twin=None), "val")
    assert ("small", "twin") in found
    assert ("twin", "small") not in found


def test_the_fit_split_says_what_pairs_are_chosen_by(logit_set: LogitSet) -> None:
    """With and without what a sweep found before; either way round; which the split that is judged has no part in."""
    memory, asked = pair_judging.Memory(), [("large", "small"), ("twin", "middle"), ("small", "twin")]
    s.sweep(logit_set, ["test"], memory=memory)
    other = {**logit_set.arrays, **{(m, "test"): -logit_set.arrays[m, "test"] for m in COSTS}}
    for own, known in ((logit_set, memory), (dataclasses.replace(logit_set, arrays=other), None)):
        table = s.on_fit(own, asked, known)
        assert list(table.columns) == ["base", "sidekick", *s.ON_FIT]
        for (base, sidekick), row in zip(asked, table.to_dict("records"), strict=True):
            fit = s.fit_pair(logit_set, base, sidekick)
            assert (row["nll_fit"], row["base_nll_fit"], row["sidekick_nll_fit"]) == pytest.approx(
                tuple(fit.nll[name] for name in ("duo", "base", "sidekick")), rel=1e-12
            )
            own_accuracy = [accuracy(logit_set, model) for model in (base, sidekick)]
            assert [row["base_accuracy_fit"], row["sidekick_accuracy_fit"]] == own_accuracy
            assert row["reversed"] == (own_accuracy[1] > own_accuracy[0])
    assert table["reversed"].tolist() == [False, True, accuracy(logit_set, "twin") > accuracy(logit_set, "small")]
    assert s.on_fit(logit_set, []).empty


def test_fitting_pairs_says_how_far_it_is_and_stops(logit_set: LogitSet) -> None:
    asked, told = [("large", "small"), ("small", "large"), ("twin", "middle")], []
    s.on_fit(logit_set, asked, progress=lambda *of: told.append(of))
    assert told == [(1, 2), (2, 2)]
    with pytest.raises(pair_judging.CancelledError):
        s.on_fit(logit_set, asked, progress=lambda *_: True)


def test_sweep_says_what_each_pair_says(logit_set: LogitSet) -> None:
    table = s.sweep(logit_set)
    assert list(table.columns) == s.COLUMNS
    assert len(table) == 7 * 2 * len(VARIANTS)
    for row in table.to_dict("records"):
        one = s.evaluate(logit_set, row["base"], row["sidekick"], row["split"])
        assert {key: row[key] for key in METRICS} == pytest.approx(one.metrics[row["variant"]], rel=1e-12)
        assert [row[key] for key in ("T_base", "T_sidekick", "T_ratio")] == pytest.approx(
            temperatures(one.fit, row["variant"]), rel=1e-9, nan_ok=True
        )
        assert row["flops_balance"] == COSTS[row["sidekick"]] / COSTS[row["base"]]


def temperatures(fit: Fit, variant: str) -> list[float]:
    """T_base, T_sidekick and T_ratio of a variant; NaN for what it does not have."""
    alone, nan = fit.calibration, float("nan")
    ratio = nan if fit.ratio is None else fit.ratio
    return {
        "base": [alone.base, nan, nan],
        "sidekick": [nan, alone.sidekick, nan],
        "unweighted": [alone.base / 2, alone.sidekick / 2, nan],
        "duo": [*fit.temperatures, ratio],
        "uq_only": [*fit.temperatures, ratio],
    }[variant]


def test_a_row_gives_its_metrics_with_its_own_temperatures(logit_set: LogitSet) -> None:
    """What a reader of the table does: weight the logits as the row says, nothing where it says nothing."""
    pair = [logit_set.logits(model, "test") for model in ("middle", "small")]
    rows = s.sweep(logit_set, ["test"], only=[("middle", "small")]).fillna({"T_base": 0.0, "T_sidekick": 0.0})
    for row in rows.to_dict("records"):
        weights = Temperatures(row["T_base"], row["T_sidekick"])
        assert pair_predicting.pair_predictions(*pair, logit_set.labels["test"], weights).nll.mean() == pytest.approx(row["nll"])


def test_sweep_takes_entropy_and_splits(logit_set: LogitSet) -> None:
    table = s.sweep(logit_set, ["shift"], kind="entropy")
    assert set(table["split"]) == {"shift"}
    by_entropy, by_softmax = (
        s.evaluate(logit_set, "middle", "small", "shift", kind=kind).metrics for kind in ("entropy", "softmax")
    )
    rows = table.query("base == 'middle' and sidekick == 'small'").set_index("variant")
    for variant in VARIANTS:
        assert rows.loc[variant, list(METRICS)].to_dict() == pytest.approx(by_entropy[variant], rel=1e-12)
    assert by_entropy != by_softmax


def test_sweep_reports_every_step(logit_set: LogitSet) -> None:
    """Six fits, as two of the pairs are one both ways; then two steps a pair and split."""
    seen: list[tuple[int, int]] = []
    s.sweep(logit_set, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6 + 2 * 14, 6 + 2 * 14)
    assert seen == sorted(set(seen))


def test_a_cancelled_sweep_returns_the_groups_done(logit_set: LogitSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of one pair: six fits, then two steps a pair and split."""
    monkeypatch.setattr(s, "BYTES", 1)
    whole = s.sweep(logit_set)
    table = s.sweep(logit_set, progress=lambda done, _: done >= 6 + 2 * 3)
    assert 0 < len(table) < len(whole)
    assert len(table) % len(VARIANTS) == 0
    pd.testing.assert_frame_equal(table, whole.merge(table[["base", "sidekick", "split", "variant"]]))
    assert s.sweep(logit_set, progress=lambda *_: True).empty


@pytest.mark.parametrize("kind", ["softmax", "entropy"])
def test_groups_and_blocks_do_not_show(logit_set: LogitSet, monkeypatch: pytest.MonkeyPatch, kind: UncertaintyKind) -> None:
    whole = s.sweep(logit_set, kind=kind)
    monkeypatch.setattr(s, "BYTES", 5 * 60 * 40)
    monkeypatch.setattr(pair_predicting, "_ELEMENTS", 100)
    pd.testing.assert_frame_equal(s.sweep(logit_set, kind=kind), whole, rtol=1e-12)


def test_chosen_pairs_alone_whatever_they_cost(logit_set: LogitSet) -> None:
    chosen = [("large", "small"), ("small", "large")]
    table = s.sweep(logit_set, ["test"], only=chosen)
    assert list(dict.fromkeys(zip(table["base"], table["sidekick"], strict=True))) == chosen
    for row in table.to_dict("records"):
        one = s.evaluate(logit_set, row["base"], row["sidekick"]).metrics[row["variant"]]
        assert {key: row[key] for key in METRICS} == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize("kind", ["softmax", "entropy"])
def test_what_is_known_of_models_alone_is_not_computed_again(
    logit_set: LogitSet, monkeypatch: pytest.MonkeyPatch, kind: UncertaintyKind
) -> None:
    jobs, classes = list[int](), list[int]()

    def counted(
        models: list[torch.Tensor], labels: torch.Tensor, todo: list[pair_predicting.Job], keep: object, known: dict[int, object]
    ) -> None:
        jobs.append(len(todo))
        classes.append(len(known))
        pair_predicting.reduce_blocks(models, labels, todo, keep, known)  # type: ignore[arg-type]

    monkeypatch.setattr(pair_judging, "reduce_blocks", counted)
    memory = pair_judging.Memory()
    first = s.sweep(logit_set, ["test"], kind=kind, memory=memory, only=[("large", "middle"), ("large", "small")])
    pd.testing.assert_frame_equal(first, s.sweep(logit_set, ["test"], kind=kind, only=[("large", "middle"), ("large", "small")]))
    monkeypatch.setattr(s, "calibrate", None)
    second = s.sweep(logit_set, ["test"], kind=kind, memory=memory, only=[("small", "middle"), ("middle", "small")])
    assert jobs == [3 + 2 * 2, 3 + 2 * 2, 2]
    assert classes == [0, 0, 2]
    monkeypatch.undo()
    expected = s.sweep(logit_set, ["test"], kind=kind, only=[("small", "middle"), ("middle", "small")])
    pd.testing.assert_frame_equal(second, expected)


@pytest.mark.parametrize("kind", ["softmax", "entropy"])
def test_a_pair_of_known_models_says_the_same(logit_set: LogitSet, monkeypatch: pytest.MonkeyPatch, kind: UncertaintyKind) -> None:
    """Of a base and a sidekick that were judged before, in whichever role, only the pair is new."""
    memory, jobs = pair_judging.Memory(), list[int]()
    real = pair_predicting.reduce_blocks

    def counted(models: list[torch.Tensor], labels: torch.Tensor, todo: list[pair_predicting.Job], keep: object) -> None:
        jobs.append(len(todo))
        real(models, labels, todo, keep)  # type: ignore[arg-type]

    monkeypatch.setattr(pair_predicting, "reduce_blocks", counted)
    for base, sidekick in (("large", "middle"), ("middle", "small"), ("large", "small")):
        found = s.evaluate(logit_set, base, sidekick, kind=kind, memory=memory)
        expected = s.evaluate(logit_set, base, sidekick, kind=kind)
        assert found.metrics == expected.metrics
        assert found.fit == expected.fit
        for key, said in found.predictions.items():
            for field in dataclasses.fields(said):
                np.testing.assert_array_equal(getattr(said, field.name), getattr(expected.predictions[key], field.name))
    assert jobs[::2] == [4, 3, 2]


def test_a_pair_is_fitted_once_for_all_splits_and_uncertainties(logit_set: LogitSet, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pair_judging.Memory()
    s.sweep(logit_set, ["test"], memory=memory)
    monkeypatch.setattr(s, "fit_calibrated", None)
    again = s.sweep(logit_set, ["shift"], kind="entropy", memory=memory)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(again, s.sweep(logit_set, ["shift"], kind="entropy"))


def test_a_pair_the_other_way_round_has_the_same_fit(logit_set: LogitSet) -> None:
    assert s.fit_pair(logit_set, "large", "small") == s.fit_pair(logit_set, "small", "large").swapped()


def test_only_the_latest_models_are_kept(logit_set: LogitSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_judging, "PREDICTED", 3)
    memory = pair_judging.Memory()
    for base, sidekick in (("large", "middle"), ("small", "twin")):
        s.evaluate(logit_set, base, sidekick, memory=memory)
    assert [model for model, *_ in memory.predicted] == ["middle", "small", "twin"]


class Fleeting(dict):  # type: ignore[type-arg]
    """What another session lets go of as soon as it was looked at."""

    def __contains__(self, key: object) -> bool:
        return self.pop(key, None) is not None

    def get(self, key: object, default: object = None) -> object:
        return self.pop(key, default)


def test_predictions_that_another_session_lets_go_of_are_made_again(logit_set: LogitSet) -> None:
    memory = pair_judging.Memory(predicted=Fleeting())
    first = s.evaluate(logit_set, "large", "small", memory=memory)
    assert memory.predicted
    assert s.evaluate(logit_set, "large", "small", memory=memory).metrics == first.metrics


def test_splits_and_uncertainties_are_judged_apart(logit_set: LogitSet) -> None:
    memory = pair_judging.Memory()
    for split, kind in product(("test", "shift"), ("softmax", "entropy")):
        table = s.sweep(logit_set, [split], kind=kind, memory=memory)  # type: ignore[arg-type]
        pd.testing.assert_frame_equal(table, s.sweep(logit_set, [split], kind=kind))  # type: ignore[arg-type]


def test_a_model_that_lacks_a_split_is_left_out_there(logit_set: LogitSet) -> None:
    arrays = {key: values for key, values in logit_set.arrays.items() if key != ("small", "shift")}
    table = s.sweep(dataclasses.replace(logit_set, arrays=arrays))
    assert "small" not in {*table.query("split == 'shift'")["base"], *table.query("split == 'shift'")["sidekick"]}
    assert "small" in set(table.query("split == 'test'")["sidekick"])


def test_undefined_is_missing(logit_set: LogitSet) -> None:
    """All right: no AUROC. The sweep's cell is missing, the document's value None."""
    perfect = {key: 50.0 * torch.nn.functional.one_hot(logit_set.labels[key[1]], 4) for key in logit_set.arrays}
    always_right = dataclasses.replace(logit_set, arrays=perfect)
    table = s.sweep(always_right, ["test"])
    assert table["auroc"].isna().all()
    assert (table["sac98"] == 1).all()
    document = s.evaluate(always_right, "large", "small").document()
    assert document["variants"]["duo"]["auroc"] is None


def test_document_has_the_stated_keys(logit_set: LogitSet) -> None:
    document = s.evaluate(logit_set, "large", "small").document()
    keys = "set base sidekick split n_fit n_eval k temperatures calibration nll_fit T_ratio separated flops_balance variants"
    assert list(document) == keys.split()
    assert (document["n_fit"], document["n_eval"], document["k"]) == (80, 150, 4)
    assert [list(document[key]) for key in ("temperatures", "calibration", "nll_fit")] == [["base", "sidekick"]] * 2 + [
        ["base", "sidekick", "duo"]
    ]
    assert list(document["variants"]) == ["base", "sidekick", "duo", "unweighted", "uq_only"]
    assert all(list(values) == list(METRICS) for values in document["variants"].values())


@pytest.mark.parametrize(
    ("base", "split", "message"),
    [
        ("huge", "test", "expected a model of the set 'tiny', got 'huge'; it has large, middle, small, twin"),
        ("large", "night", "expected a split to judge on, got 'night'; the set 'tiny' has test, shift"),
        ("large", "val", "expected a split to judge on, got 'val', which.*the set 'tiny' has test, shift"),
    ],
)
def test_wrong_names_are_one_sentence(logit_set: LogitSet, base: str, split: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        s.evaluate(logit_set, base, "small", split)


def test_a_set_without_a_fit_split_cannot_be_fitted(logit_set: LogitSet) -> None:
    labels = {split: values for split, values in logit_set.labels.items() if split != "val"}
    with pytest.raises(InputError, match="expected a split 'val' to fit on in the set 'tiny', got test, shift"):
        s.evaluate(dataclasses.replace(logit_set, labels=labels), "large", "small")


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_model_at_temperature_0_answers_its_own_class(rng: np.random.Generator, k: int) -> None:
    """It is worse than a guess, so that calibration gives every class the same chance; its classes stay, alone and in a sweep."""
    labels = torch.from_numpy(rng.integers(k, size=300))
    wrong, right = (torch.from_numpy(rng.normal(size=(300, k))) for _ in range(2))
    wrong[range(300), labels] -= 1
    right[range(300), labels] += 1
    arrays = {(name, split): x for name, x in (("a", wrong), ("b", right)) for split in ("val", "test")}
    cards = {name: Card(name, name, "upload") for name in "ab"}
    own = LogitSet("own", "Own", tuple(map(str, range(k))), {"val": labels, "test": labels}, cards, arrays)
    table = s.sweep(own, only=[("a", "b")])
    alone = table[(table["base"] == "a") & (table["variant"] == "base")].iloc[0]
    assert calibrate(wrong, labels).temperature == 0
    assert alone["accuracy"] == (wrong.argmax(1) == labels).double().mean().item()
    expected = s.evaluate(own, "a", "b").metrics["base"]
    for key in ("accuracy", "macro_f1", "nll", "brier", "ece"):
        assert alone[key] == pytest.approx(expected[key])
    assert alone["auroc"] == 0.5
