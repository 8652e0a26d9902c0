"""What is read: the same set from every format and row order, joins, splits, options, templates."""

import io
import mmap

import numpy as np
import pandas as pd
import pytest
import torch
from logit_files import FORMATS, arrays, csv, npz, parquet, shuffled, softmax, table

from duo_core import formats
from duo_core.common.arrays import InputError
from duo_core.formats import Cost, Limits, Options, Upload, read
from duo_core.formats.joining import joined
from duo_core.formats.parts import Part
from duo_core.formats.problems import Report
from duo_core.logits import tensor_digest
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.systems.sweep import evaluate


def metrics(files, options=None):
    logit_set = read(files, options).opened()
    return evaluate(logit_set, "large", "small", "test").document() | {"set": ""}


def test_every_format_and_row_order_gives_the_same_metrics():
    expected = metrics(FORMATS["npz"](arrays()))
    assert expected["n_fit"] == 200
    assert expected["variants"]["duo"]["accuracy"] > 0.8
    for make in FORMATS.values():
        assert metrics(make(arrays())) == expected
        assert metrics(make(shuffled(arrays()))) == expected


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_every_dtype_is_kept_and_read_alike(dtype):
    members = arrays()
    values = {name: values.astype("f2").astype(dtype) if "logits" in name else values for name, values in members.items()}
    found = read(FORMATS["npz"](values))
    assert found.logit_set.logits("large", "val").numpy().dtype == dtype
    assert {model.dtype for model in found.found.models} == {np.dtype(dtype).name}
    for make in FORMATS.values():
        if dtype != "f2" or make is not FORMATS["csv"]:  # text of float16 has too few digits to tell what it was
            assert metrics(make(values)) == metrics(
                FORMATS["npz"](members | {n: v.astype("f2") for n, v in values.items() if "logits" in n})
            )


def test_files_in_other_row_orders_are_joined_on_ids():
    large = csv(table(arrays(), "large").drop(columns="target"))
    small = parquet(table(shuffled(arrays()), "small"))
    assert metrics([Upload("large.csv", large), Upload("small.parquet", small)]) == metrics(FORMATS["npz"](arrays()))


def test_labels_may_come_in_a_table_of_their_own():
    members = arrays()
    logits = npz({name: values for name, values in members.items() if name != "labels"})
    labels = csv(pd.DataFrame({"filename": members["ids"], "target": members["labels"]}).sample(frac=1, random_state=0))
    assert metrics([Upload("logits.npz", logits), Upload("labels.csv", labels)]) == metrics(FORMATS["npz"](members))


def test_images_that_one_file_lacks_are_left_out_and_counted():
    large, small = (table(arrays(), model) for model in ("large", "small"))
    reading = read([Upload("large.csv", csv(large[:500])), Upload("small.csv", csv(small[100:]))])
    assert (reading.found.n, reading.found.left_out) == (400, 200)
    kept = set(large["filename"][100:500])
    assert {name for names in reading.logit_set.ids.values() for name in names} == kept


def test_rows_stay_with_their_labels_and_ids():
    members = arrays()
    logit_set = read(FORMATS["csv"](shuffled(members))).opened()
    row = {name: index for index, name in enumerate(members["ids"])}
    for split, names in logit_set.ids.items():
        rows = [row[name] for name in names]
        assert names == sorted(names)
        assert logit_set.labels[split].tolist() == members["labels"][rows].tolist()
        assert np.array_equal(logit_set.logits("small", split).numpy(), members["logits/small"][rows])


def test_files_without_ids_are_joined_by_position():
    large, small = (table(arrays(), model).drop(columns="filename") for model in ("large", "small"))
    logit_set = read([Upload("large.csv", csv(large)), Upload("small.csv", csv(small.drop(columns="target")))]).opened()
    assert not logit_set.ids
    assert sum(map(len, logit_set.labels.values())) == 600


def test_ids_of_some_files_only_do_not_hide_other_orders():
    parts = [table(arrays(), "large"), table(shuffled(arrays()), "small"), pd.DataFrame({"target": arrays()["labels"]})]
    reading = read([Upload(f"{i}.csv", csv(frame)) for i, frame in enumerate(parts)])
    assert [problem.code for problem in reading.problems] == ["E404"]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (np.arange(600) % 4, {"val": 150, "test": 150, "test2": 150, "test3": 150}),
        (np.array(["shift", "val", "test"] * 200), {"val": 200, "test": 200, "shift": 200}),
        (np.array(["val", "night"] * 300), {"val": 300, "night": 300}),
        ((np.arange(600) % 2).astype("u1"), {"val": 300, "test": 300}),
    ],
)
def test_a_split_of_numbers_or_names(split, expected):
    for make in FORMATS.values():
        reading = read(make(arrays() | {"split": split}))
        assert dict(reading.found.splits) == expected
        assert reading.found.seed is None
        assert reading.opened().evaluation_splits == [name for name in expected if name != "val"]


@pytest.mark.parametrize(("n", "fit"), [(600, 200), (300, 150), (5000, 1000), (30_000, 5000), (3, 1)])
def test_the_drawn_fit_split_is_a_fifth_within_bounds(n, fit):
    part = Part("a.npz", n=n, labels=np.arange(n) % 3, has_labels=True)
    assert len(joined([part], 0, Report()).splits["val"]) == fit


@pytest.mark.parametrize(("fit", "rows"), [(1, 1), (450, 450), (599, 599), (0.5, 300), (0.001, 1)])
def test_how_many_rows_are_drawn_can_be_said(fit, rows):
    for make in FORMATS.values():
        found = read(make(arrays()), Options(fit=fit)).found
        assert dict(found.splits) == {"val": rows, "test": 600 - rows}


def test_rows_that_cannot_be_drawn_are_refused():
    for fit in (600, 0.0001, 0.9999):
        with pytest.raises(
            InputError, match=rf"expected to fit on 1 to 599 of the 600 rows, got {fit}; give another number or share"
        ):
            read(FORMATS["npz"](arrays()), Options(fit=fit))
    with pytest.raises(
        InputError, match=r"--fit only where files name no splits, got 0.5 and the splits 'test', 'val'; leave --fit out"
    ):
        read(FORMATS["csv"](arrays() | {"split": np.array(["val", "test"] * 300)}), Options(fit=0.5))


def test_the_draw_is_stratified_and_follows_its_seed():
    members = arrays(n=2000)
    first, again, other = (read(FORMATS["npz"](members), Options(seed=seed)) for seed in (3, 3, 4))
    assert (first.found.seed, other.found.seed) == (3, 4)
    assert first.logit_set.about["how"]["val"] == "400 of the 2,000 rows, drawn stratified by class with seed 3"
    assert first.logit_set.ids == again.logit_set.ids != other.logit_set.ids
    shares = np.bincount(first.logit_set.labels["val"]) / np.bincount(members["labels"])
    assert np.allclose(shares, 0.2, atol=0.01)


def test_one_image_cannot_be_split():
    members = {name: values[:1] for name, values in arrays().items()}
    assert [problem.code for problem in read(FORMATS["npz"](members)).problems] == ["E405"]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_log_probabilities_do_as_well_as_logits(dtype):
    members = arrays()
    probabilities = {name: softmax(values).astype(dtype) if "logits" in name else values for name, values in members.items()}
    found, expected = metrics(FORMATS["npz"](probabilities), Options(take_log=True)), metrics(FORMATS["npz"](members))
    assert found["variants"]["duo"]["nll"] == pytest.approx(expected["variants"]["duo"]["nll"], rel=1e-2 if dtype == "f2" else 1e-5)


def test_a_probability_of_zero_stays_finite_and_logits_are_left_alone():
    members = arrays()
    members["logits/small"] = np.eye(5, dtype="f4")[members["labels"]]
    logit_set = read(FORMATS["npz"](members), Options(take_log=True)).opened()
    assert logit_set.logits("small", "val").isfinite().all()
    assert logit_set.logits("small", "val").min() == np.log(np.float32(1e-6))
    large = read(FORMATS["npz"](arrays())).opened().logits("large", "val")
    assert torch.equal(logit_set.logits("large", "val"), large)


def test_labels_from_one_only_where_that_is_said():
    shifted = arrays() | {"labels": arrays()["labels"] + 1}
    assert metrics(FORMATS["csv"](shifted), Options(labels_from_one=True)) == metrics(FORMATS["csv"](arrays()))
    reading = read(FORMATS["npz"](arrays()), Options(labels_from_one=True))
    assert "untick" in reading.problems[0].message


def test_costs_and_class_names_come_from_the_file_or_from_a_person():
    plain = read(FORMATS["npz"](arrays()))
    assert plain.found.missing == ("costs", "class_names")
    assert plain.logit_set.classes[:2] == ("class 0", "class 1")
    assert plain.logit_set.flops_balance("large", "small") is None
    said = {
        "flops/large": np.array(400),
        "flops.small": np.array([100.0]),
        "parameters/large": np.array(7),
        "class_names": np.array(list("abcde")),
    }
    filed = read(FORMATS["npz"](arrays() | said))
    assert filed.found.missing == ()
    assert filed.logit_set.classes == tuple("abcde")
    assert filed.logit_set.flops_balance("large", "small") == 0.25
    assert filed.logit_set.cards["large"].parameters == 7
    options = Options(costs={"small": Cost(200), "large": Cost(800, 9)}, class_names=tuple("vwxyz"))
    answered = read(FORMATS["npz"](arrays() | said), options)
    assert answered.logit_set.flops_balance("large", "small") == 0.25
    assert answered.logit_set.cards["large"].parameters == 9
    assert answered.logit_set.classes == tuple("vwxyz")
    wrong = read(FORMATS["npz"](arrays()), Options(class_names=("a", "b")))
    assert [problem.code for problem in wrong.problems] == ["E205"]


def test_base_and_sidekick_are_found_or_said():
    files = FORMATS["npz"](arrays())
    assert (read(files).found.base, read(files).found.sidekick) == ("large", "small")
    said = read(files, Options(base="small"))
    assert (said.found.base, said.found.sidekick) == ("small", "large")
    assert [warning.code for warning in said.warnings] == ["W05"]
    cheaper = read(files, Options(costs={"large": Cost(1), "small": Cost(2)}))
    assert cheaper.found.base == "small"


def test_facts_are_those_of_the_logits_as_they_are():
    members = arrays()
    found = read(FORMATS["npz"](members)).found
    assert (found.n, found.k) == (600, 5)
    facts = found.models[0]
    assert facts.accuracy == (members["logits/large"].argmax(1) == members["labels"]).mean()
    p = softmax(members["logits/large"])
    assert facts.nll == pytest.approx(-np.log(p[np.arange(600), members["labels"]]).mean())
    first = found.rows[0]
    row = members["ids"].tolist().index(first["id"])
    assert first["logits"]["large"] == members["logits/large"][row].tolist()
    assert first["label"] == members["labels"][row]
    assert "logits/large float32 (600, 5)" in found.files[0].members


def test_members_may_have_dots_other_layouts_and_byte_orders():
    members = arrays()
    other = {
        "logits.large": np.asfortranarray(members["logits/large"]),
        "logits.small": members["logits/small"].astype(">f4"),
        "target": members["labels"].astype(">u2"),
        "filename": members["ids"].astype("S"),
    }
    assert metrics([Upload("a.npz", npz(other))]) == metrics(FORMATS["npz"](members))


def test_a_table_may_hold_several_models_and_columns_of_no_concern():
    members = arrays()
    frame = table(members, "large").rename(columns=lambda name: name.replace("logit_", "large.logit_"))
    frame = frame.assign(**{f"small.logit_{i}": members["logits/small"][:, i] for i in range(5)}, label="cat", index=3)
    for file in (Upload("both.csv", csv(frame)), Upload("both.parquet", parquet(frame)), Upload("both.csv", csv(frame, sep=";"))):
        assert metrics([file]) == metrics(FORMATS["npz"](members))


def test_text_in_csv_survives_quotes_bom_line_ends_and_missing_last_newline():
    members = arrays() | {"ids": np.array([f'a, "{row}"\u00e9' for row in range(600)])}
    text = csv(table(members, "large"), lineterminator="\r\n").rstrip()
    files = [Upload("large.csv", b"\xef\xbb\xbf" + text), Upload("small.csv", csv(table(members, "small")))]
    assert read(files).opened().ids["val"][0].startswith('a, "')
    assert metrics(files) == metrics(FORMATS["npz"](members))


def test_float64_text_keeps_its_digits():
    members = arrays()
    precise = members | {name: values.astype("f8") + 1e-12 for name, values in members.items() if "logits" in name}
    assert metrics(FORMATS["csv"](precise)) == metrics(FORMATS["npz"](precise)) != metrics(FORMATS["npz"](members))


def test_an_fd_shifts_array_is_labels_and_splits_too():
    members = arrays()
    numbers = np.repeat([0, 1, 3], 200)
    files = [
        Upload(f"{model}.npz", npz({"arr_0": np.c_[members[f"logits/{model}"], members["labels"], column]}))
        for model, column in (("large", numbers), ("small", numbers))
    ]
    logit_set = read(files).opened()
    assert {split: len(labels) for split, labels in logit_set.labels.items()} == {"val": 200, "test": 200, "test3": 200}
    assert logit_set.labels["test"].tolist() == members["labels"][200:400].tolist()
    assert np.array_equal(logit_set.logits("small", "val").numpy(), members["logits/small"][:200].astype("f8"))
    one = [Upload(file.name, npz({"arr_0": np.load(io.BytesIO(file.content))["arr_0"][:200]})) for file in files]
    assert read(one).found.seed == 0
    broken = npz({"arr_0": np.c_[members["logits/large"], members["labels"] + 0.5, numbers]})
    assert {problem.code for problem in read([files[0], Upload("small.npz", broken)]).problems} == {"E304"}


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO])
def test_an_upload_is_bytes_or_an_open_file(wrap, tmp_path):
    content = npz(arrays())
    assert metrics([Upload("a.npz", wrap(content))]) == metrics(FORMATS["npz"](arrays()))
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert metrics([Upload("a.npz", file)]) == metrics([Upload("a.npz", content)])
        assert read([Upload("a.npz", mapped)]).problems == ()


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
def test_the_set_outlives_the_upload_and_holds_nothing_of_it(make):
    files = [Upload(file.name, bytearray(file.content)) for file in make(arrays())]
    logit_set = read(files).opened()
    for file in files:
        file.content[:] = bytes(len(file.content))
        file.content.clear()  # refused while anything looks into it
    assert {key: tensor_digest(array) for key, array in logit_set.arrays.items()} == logit_set.digests


def test_smaller_limits_where_it_is_hosted():
    files = FORMATS["npz"](arrays())
    for limits in (Limits(file_bytes=100), Limits(decoded_bytes=100), Limits(rows=599), Limits(classes=4)):
        assert {problem.code for problem in read(files, Options(limits=limits)).problems} == {"E105"}
    assert read(files, Options(limits=Limits(rows=600, classes=5))).problems == ()


def test_no_file_is_an_error_of_the_caller():
    with pytest.raises(InputError, match="expected at least one logit file"):
        read([])


@pytest.mark.parametrize("kind", ["npz", "safetensors", "parquet", "csv"])
def test_a_template_can_be_used_as_it_is(kind):
    content = formats.template(kind)
    assert content == formats.template(kind)
    reading = read([Upload(f"template.{kind}", content)])
    assert [warning.code for warning in reading.warnings] == ["W03"]
    found = evaluate(reading.opened(), reading.found.base, reading.found.sidekick)
    assert found.document() | {"flops_balance": 0} == template_document() | {"flops_balance": 0}
    assert found.metrics["duo"]["accuracy"] > found.metrics["base"]["accuracy"]
    assert found.fit.separated == ()
    assert (found.flops_balance is None) == (kind in ("parquet", "csv"))


def template_document():
    return evaluate(read([Upload("template.npz", formats.template("npz"))]).opened(), "base", "sidekick").document()


def test_a_shipped_set_uploaded_is_the_same_set():
    shipped = Store(DEFAULT_STORE).open("cifar10")
    splits, pair = ["val", "test"], ("resnet56", "resnet20")
    members = {f"logits/{m}": np.concatenate([shipped.logits(m, split).numpy() for split in splits]) for m in pair}
    members |= {f"flops/{m}": np.array(shipped.cards[m].multiply_adds) for m in pair}
    members["labels"] = np.concatenate([shipped.labels[split].numpy() for split in splits])
    members["split"] = np.concatenate([[split] * len(shipped.labels[split]) for split in splits])
    expected = evaluate(shipped, *pair).document()
    found = evaluate(read([Upload("cifar10.npz", npz(members))]).opened(), *pair).document()
    for variant, values in expected["variants"].items():
        assert found["variants"][variant] == pytest.approx(values, rel=1e-12)
    assert found["temperatures"] == pytest.approx(expected["temperatures"], rel=1e-12)
    assert (found["set"], found["flops_balance"]) == ("cifar10", expected["flops_balance"])
