"""Your data by its widgets: every problem and warning, what is asked, one's own set on every page, and letting go of it."""

import ast
import gc
import io
import re
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from dashboard import go, labelled, open_page, query, step, text_of
from logit_files import FORMATS, arrays, csv, models, npz, softmax, table
from logit_sets import write_set
from starlette.formparsers import MultiPartParser
from streamlit import config
from streamlit.testing.v1 import AppTest
from test_formats import ERRORS, WARNINGS, cases

from app.state import uploads
from app.state.caches import CACHE
from duo_core import formats
from duo_core.formats import CODES, Upload
from duo_core.logits.store import Store

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def new_session() -> Iterator[None]:
    """All of AppTest's sessions have one name, so that one would find what another has uploaded; all that is left is let go of."""
    yield
    st.cache_resource.clear()
    assert not [key for key in CACHE.keys() if key.upload]  # noqa: SIM118 (a method of its own)
    CACHE.clear()
    assert CACHE.bytes == 0, "nothing of an upload is counted any more"


@pytest.fixture
def page(open_view) -> AppTest:
    return open_view("data")


@pytest.fixture
def used(monkeypatch):
    """The sets that were used."""
    sets, handle_of = [], uploads.handle_of
    monkeypatch.setattr(uploads, "handle_of", lambda own, stamp: (sets.append(own), handle_of(own, stamp))[1])
    return sets


def drop(app, files):
    app.file_uploader[0].set_value([(file.name, bytes(file.content), "") for file in files]).run()
    assert not app.exception
    return app


def drop_arrays(app, **changed):
    members = arrays() | {name.replace("__", "/"): values for name, values in changed.items()}
    return drop(app, [Upload("logits.npz", npz(members))])


def plain(text):
    """What Markdown shows of escaped text."""
    return re.sub(r"\\(.)", r"\1", text)


def buttons(app):
    return [button.label for button in app.button]


def use(app):
    app.button(key="use_upload").click().run()
    assert not app.exception
    return app


def forget(app):
    labelled(app.button, "Forget").click().run()
    assert not app.exception


@pytest.mark.parametrize(("code", "files", "message"), cases(ERRORS))
def test_the_page_shows_every_problem_and_offers_nothing_to_use(page, code, files, message):
    given = files()
    drop(page, given)
    said = [plain(error.value) for error in page.error]
    assert said == [
        f"**{problem.code} · {CODES[problem.code].title}**  \n{problem.where}: {problem.message}"
        for problem in formats.read(given).problems
    ]
    assert all(text.startswith(f"**{code} · ") and re.search(message, text) for text in said)
    assert "Use this set" not in buttons(page)


@pytest.mark.parametrize(("code", "files", "message"), cases(WARNINGS))
def test_the_page_shows_every_warning_and_the_set_can_be_used(page, code, files, message):
    drop(page, files())
    assert {text[2:5] for text in (warning.value for warning in page.warning)} == {code}
    assert re.search(message, plain(page.warning[-1].value))
    use(page)
    assert query(page)["set"].startswith("upload:")


def test_all_problems_stand_there_at_once(page):
    logits = arrays()["logits/large"]
    logits[3] = np.nan
    drop_arrays(page, logits__large=logits, embeddings=np.zeros(2), split=np.arange(600))
    assert {error.value[2:6] for error in page.error} == {"E103", "E208", "E405"}
    assert "3 problems" in text_of(page)


def test_what_was_found_is_shown(page):
    drop_arrays(page)
    assert "**600 images, 5 classes**: `val` 200, `test` 400. The fit split `val` was drawn" in text_of(page)
    found = formats.read([Upload("logits.npz", npz(arrays()))]).found
    shown = page.dataframe[0].value
    assert shown["Model"].tolist() == ["large", "small"]
    assert shown["Logits"].tolist() == ["600 × 5 float32"] * 2
    for column, name, factor in (("Accuracy", "accuracy", 100), ("NLL", "nll", 1), ("ECE", "ece", 100)):
        assert shown[column].tolist() == [getattr(facts, name) * factor for facts in found.models]
    assert page.dataframe[1].value["id"].tolist() == [row["id"] for row in found.rows]


def test_a_tick_takes_the_logarithm_of_probabilities(page):
    drop_arrays(page, logits__large=softmax(arrays()["logits/large"]), logits__small=softmax(arrays()["logits/small"]))
    assert {error.value[2:6] for error in page.error} == {"E202"}
    labelled(page.checkbox, "Take the logarithm").check().run()
    assert not page.error
    plain_scores = formats.read([Upload("logits.npz", npz(arrays()))]).found.models
    assert page.dataframe[0].value["NLL"].tolist() == pytest.approx([facts.nll for facts in plain_scores], abs=1e-5)
    labelled(page.checkbox, "Take the logarithm").uncheck().run()
    assert page.error


def test_one_is_taken_from_labels_only_where_it_is_said(page):
    drop_arrays(page, labels=arrays()["labels"] + 1)
    assert not [box for box in page.checkbox if box.label == "Take the logarithm"]
    labelled(page.checkbox, "Labels start at 1").check().run()
    assert not page.error
    assert page.dataframe[1].value["label"].tolist() == [
        row["label"] for row in formats.read([Upload("a.npz", npz(arrays()))]).found.rows
    ]


def test_what_the_files_do_not_say_is_asked_and_shown_on_explore(page, used):
    drop_arrays(page)
    assert "The files do not say the models' costs and the classes' names: add what you know" in [e.label for e in page.expander]
    labelled(page.number_input, "GFLOPs of large (multiply-adds of one image, in 10⁹)").set_value(4.0)
    labelled(page.number_input, "GFLOPs of small (multiply-adds of one image, in 10⁹)").set_value(0.4)
    labelled(page.text_area, "Class names, one a line").set_value("ant\nbee\ncat\ndog\nelk")
    labelled(page.button, "Apply").click().run()
    assert page.dataframe[0].value["GFLOPs"].tolist() == [4.0, 0.4]
    assert "Correct what the files say" in [expander.label for expander in page.expander]
    use(page)
    assert page.title[0].value.startswith("10 % more compute")
    assert used[0].classes == ("ant", "bee", "cat", "dog", "elk")


def test_another_number_of_class_names_changes_nothing(page):
    drop_arrays(page)
    labelled(page.text_area, "Class names, one a line").set_value("ant\nbee")
    labelled(page.button, "Apply").click().run()
    assert [error.value for error in page.error] == ["Expected one name for each of the 5 classes, got 2; nothing was changed."]
    assert "Use this set" in buttons(page)


def test_the_base_and_the_seed_can_be_said(page):
    drop_arrays(page)
    first = page.dataframe[1].value["id"].tolist()
    page.selectbox(key="answer_base").set_value("small")
    page.number_input(key="answer_seed").set_value(3)
    labelled(page.button, "Apply").click().run()
    assert [warning.value[2:5] for warning in page.warning] == ["W05"]
    assert "with seed 3" in text_of(page)
    assert page.dataframe[1].value["id"].tolist() != first
    use(page)
    assert (page.selectbox(key="base").value, page.selectbox(key="sidekick").value) == ("small", "large")


def test_the_number_of_rows_to_fit_on_can_be_said(page):
    drop_arrays(page)
    assert page.number_input(key="answer_fit").value == 200
    page.number_input(key="answer_fit").set_value(450)
    labelled(page.button, "Apply").click().run()
    assert "`val` 450, `test` 150. The fit split `val` was drawn" in text_of(page)
    page.number_input(key="answer_seed").set_value(3)
    labelled(page.button, "Apply").click().run()
    assert "`val` 450, `test` 150. The fit split `val` was drawn at random, each class in proportion, with seed 3" in text_of(page)
    drop_arrays(page, labels=arrays()["labels"][::-1].copy())
    assert "`val` 200, `test` 400" in text_of(page), "another file is drawn from as by default"
    drop_arrays(page, split=np.repeat(["val", "test"], 300))
    assert "answer_fit" not in {field.key for field in page.number_input}


def test_files_add_up_are_replaced_by_name_and_can_be_removed(page):
    frames = {model: table(arrays(), model) for model in models(arrays())}
    drop(page, [Upload("large.csv", csv(frames["large"]))])
    assert {error.value[2:6] for error in page.error} == {"E201"}
    drop(page, [Upload("small.csv", csv(frames["small"][:-1]))])
    assert not page.error
    assert "599 images" in text_of(page)
    assert "1 images are not in every file" in text_of(page)
    drop(page, [Upload("small.csv", csv(frames["small"]))])
    assert "600 images" in text_of(page)
    page.button(key="remove_1").click().run()
    assert "small.csv" not in plain(text_of(page))
    assert {error.value[2:6] for error in page.error} == {"E201"}
    page.button(key="remove_0").click().run()
    assert "What was found" not in text_of(page)


def test_files_are_still_there_after_a_look_at_another_page(page):
    drop_arrays(page)
    step(page, "method")
    step(page, "data")
    assert "600 images" in text_of(page)


@pytest.mark.parametrize("files", FORMATS.values(), ids=FORMATS)
def test_a_set_of_any_format_is_used_on_every_page(page, files):
    use(drop(page, files(arrays())))
    set_name = query(page)["set"]
    titles = ", ".join(file.name for file in files(arrays()))
    assert page.selectbox(key="set").options == ["toy", f"your upload: {titles}"]
    assert next(card for card in page.metric if card.label == "Accuracy").value
    for name in ("find", "temperatures", "diagnose", "zoo", "claims"):
        step(page, name)
        assert page.selectbox(key="set").value == set_name, name
        assert not page.error
    step(page, "data")
    assert "Your logits are in use" in text_of(page)


def test_a_second_set_takes_the_place_of_the_first(page, used):
    use(drop_arrays(page))
    first = weakref.ref(used[0].arrays["large", "test"])
    step(page, "data")
    use(drop(page, [Upload("other.npz", npz(arrays(seed=1)))]))
    assert page.selectbox(key="set").options == ["toy", "your upload: other.npz"]
    gc.collect()
    assert first() is None


def test_forget_frees_the_logits_and_goes_back_to_the_store(page, used):
    use(drop_arrays(page))
    for name in ("find", "temperatures", "diagnose", "claims"):
        step(page, name)
    own = used[0]
    held = [weakref.ref(array) for array in own.arrays.values()]
    assert len(held) == 4
    step(page, "data")
    forget(page)
    gc.collect()
    assert [ref() for ref in held] == [None] * 4
    assert own.arrays == {}, "who still knows the set has nothing of it"
    assert "Forget" not in buttons(page)
    step(page, "explore")
    assert page.selectbox(key="set").options == ["toy"]
    assert not page.info


def test_what_is_uploaded_and_computed_from_it_is_counted_until_it_ends(page, used):
    CACHE.clear()
    before = CACHE.bytes
    drop_arrays(page)
    dropped = CACHE.bytes
    assert dropped - before > len(npz(arrays()))
    use(page)
    size = sum(array.nbytes for array in used[0].arrays.values())
    own = [key.what for key in CACHE.keys() if key.upload]  # noqa: SIM118 (a method of its own)
    assert {"evaluation", "fit", "memory", "draws", "pairs", "survey"} <= set(own)
    CACHE.clear()
    assert size <= CACHE.bytes < size + len(npz(arrays()))
    step(page, "diagnose")
    step(page, "data")
    forget(page)
    CACHE.clear()
    assert CACHE.bytes == 0


@pytest.mark.parametrize("wrong", [False, True])
def test_forget_lets_go_of_files_that_were_not_used(page, wrong):
    drop_arrays(page, labels=arrays()["labels"] - wrong)
    forget(page)
    assert "What was found" not in text_of(page)


def test_a_link_to_an_upload_opens_the_first_set_and_says_why(open_view):
    app = open_view("explore", set="upload:0123456789abcdef", split="test", base="a", sidekick="b")
    assert app.selectbox(key="set").value == "toy"
    assert app.info[0].value.startswith("This link is about logits that were uploaded in one browser session")
    assert "**toy**" in app.info[0].value
    go(app, "explore")
    assert "set=upload" not in str(query(app))


def test_names_of_a_file_make_no_links_or_pictures(page):
    evil = "![x](https://outside.example/x.png)"
    members = arrays(models=((evil, 3.0), ("[small](https://outside.example)", 2.0)))
    drop(page, [Upload("![y](https://outside.example/y.png).npz", npz(members))])
    assert not page.error
    assert "![" not in text_of(page)
    use(page)
    for name in ("explore", "find", "temperatures", "diagnose", "zoo", "claims", "data"):
        step(page, name)
        assert not re.search(r"\]\(https", text_of(page)), name


def test_no_upload_is_spooled_to_disk():
    assert MultiPartParser.spool_max_size > 1 << 50


def test_the_page_keeps_to_the_limits_of_the_environment(monkeypatch, open_view):
    monkeypatch.setenv("DUO_MAX_ROWS", "599")
    monkeypatch.setenv("DUO_MAX_FILE_MIB", "7")
    app = open_view("data")
    assert "Limits: 7 MiB a file, 599 images and 25,000 classes." in text_of(app)
    assert config.get_option("server.maxUploadSize") == 7
    drop_arrays(app)
    assert {error.value[2:6] for error in app.error} == {"E105"}
    app.button(key="remove_0").click().run()
    drop(app, FORMATS["csv"](arrays()))
    assert {error.value[2:6] for error in app.error} == {"E105"}, "and so after other files"
    monkeypatch.delenv("DUO_MAX_ROWS")
    monkeypatch.setenv("DUO_MAX_FILE_MIB", "300")
    st.cache_resource.clear()  # another session
    drop_arrays(open_view("data"))
    assert config.get_option("server.maxUploadSize") == 300


def test_streamlit_itself_keeps_nothing_but_the_shelf_of_a_session():
    found = {}
    for file in (ROOT / "app").rglob("*.py"):
        tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        found[file.name] = sum(isinstance(node, ast.Attribute) and node.attr in {"cache_resource", "cache_data"} for node in tree)
    assert {name: count for name, count in found.items() if count} == {"uploads.py": 1}


def test_the_commands_are_filled_in(page):
    code = [block.value for block in page.code]
    assert code[0].startswith("duo logits --set my-set --images test=images/test --fit 0.2 --models convnext_base resnet18")
    labelled(page.text_input, "Models, by their names in timm, torchvision or this project").set_value("timm/vit_b resnet50").run()
    page.text_input(key="val_images").set_value("my images/val")
    page.text_input(key="checkpoint_timm/vit_b").set_value("a.pt").run()
    assert [block.value for block in page.code] == [
        "duo logits --set my-set --images 'val=my images/val' test=images/test --models timm/vit_b resnet50 "
        "--checkpoint timm/vit_b=a.pt",
        "duo convert --model timm/vit_b=timm/vit_b.pt resnet50=resnet50.pt --labels labels.npy --out my-set.npz --dtype float16",
    ]


def role_of(app, name):
    return labelled(app.selectbox, f"What {name} is")


def test_what_the_arrays_are_can_be_said(page):
    members = {
        "arr_0": arrays()["logits/small"],
        "arr_1": arrays()["logits/large"],
        "one": arrays()["labels"],
        "two": arrays()["labels"][::-1],
    }
    drop(page, [Upload("run.npz", npz(members))])
    assert {error.value[2:6] for error in page.error} == {"E302"}
    assert "`float32 (600, 5)` · run.npz" in plain(text_of(page))
    assert role_of(page, "arr\\_0").value == "logits"
    role_of(page, "one").set_value("labels")
    labelled(page.text_input, "Model of arr\\_1").set_value("large")
    labelled(page.text_input, "Model of arr\\_0").set_value("small")
    labelled(page.button, "Read the files again").click().run()
    assert not page.error
    assert sorted(page.dataframe[0].value["Model"]) == ["large", "small"]
    accuracy = dict(zip(page.dataframe[0].value["Model"], page.dataframe[0].value["Accuracy"], strict=True))
    right = arrays()["logits/large"].argmax(1) == arrays()["labels"]
    assert accuracy["large"] == pytest.approx(right.mean() * 100)
    role_of(page, "one").set_value("")
    role_of(page, "two").set_value("labels")
    labelled(page.button, "Read the files again").click().run()
    assert "W02" in {warning.value[2:5] for warning in page.warning}


def test_two_models_of_one_name_change_nothing(page):
    drop(
        page,
        [Upload("run.npz", npz({"arr_0": arrays()["logits/small"], "arr_1": arrays()["logits/large"], "y": arrays()["labels"]}))],
    )
    labelled(page.text_input, "Model of arr\\_0").set_value("same")
    labelled(page.text_input, "Model of arr\\_1").set_value("same")
    labelled(page.button, "Read the files again").click().run()
    assert [plain(error.value) for error in page.error] == [
        "Expected a name of its own for each model, got 'same' twice; nothing was changed."
    ]
    assert sorted(page.dataframe[0].value["Model"]) == ["arr_0", "arr_1"]


def test_columns_of_a_table_can_be_said(page):
    frame = (
        table(arrays(), "large").rename(columns={"target": "first", **{f"logit_{i}": f"c{i}" for i in range(5)}}).assign(second=1)
    )
    drop(page, [Upload("large.csv", csv(frame.assign(third=arrays()["labels"]))), *FORMATS["csv"](arrays())[1:]])
    assert not page.error  # labels are in the other file
    drop(page, [Upload("small.csv", csv(table(arrays(), "small").drop(columns="target")))])
    assert {error.value[2:6] for error in page.error} == {"E302"}
    role_of(page, "third").set_value("labels")
    labelled(page.button, "Read the files again").click().run()
    assert not page.error
    assert "600 images" in text_of(page)


@pytest.mark.parametrize("ending", ["npz", "csv", "npy"])
def test_a_file_that_took_the_place_of_another_is_said_and_both_can_be_kept(page, ending):
    first, second = arrays()["logits/large"], arrays()["logits/small"]
    make = {
        "npz": lambda values: npz({"logits": values, "labels": arrays()["labels"]}),
        "csv": lambda values: csv(table({"logits/m": values, "labels": arrays()["labels"], "ids": arrays()["ids"]}, "m")),
        "npy": npy,
    }[ending]
    drop(
        page,
        [Upload("labels.npy", npy(arrays()["labels"])), Upload(f"logits.{ending}", make(first))]
        if ending == "npy"
        else [Upload(f"logits.{ending}", make(first))],
    )
    drop(page, [Upload(f"logits.{ending}", make(first))])
    assert "replaced an earlier file" not in text_of(page), "the same file again"
    drop(page, [Upload(f"logits.{ending}", make(second))])
    assert f"logits.{ending}** replaced an earlier file of the same name" in plain(text_of(page))
    assert {error.value[2:6] for error in page.error} == {"E201"}
    labelled(page.button, "Keep both").click().run()
    assert not page.error
    assert sorted(page.dataframe[0].value["Model"]) == ["logits", "logits-2"]
    assert "Keep both" not in buttons(page)


def npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def test_the_floor_of_probabilities_can_be_given(page):
    votes = np.eye(5)[arrays()["labels"][::-1]]
    drop_arrays(page, logits__large=votes, logits__small=softmax(arrays()["logits/small"]))
    labelled(page.checkbox, "Take the logarithm").check().run()
    assert {warning.value[2:5] for warning in page.warning} >= {"W08"}
    scores = page.dataframe[0].value.set_index("Model")["NLL"]["large"]
    page.number_input(key="say_floor").set_value(1e-3).run()
    assert "1e-03" in text_of(page) or "0.001" in plain(" ".join(warning.value for warning in page.warning))
    assert page.dataframe[0].value.set_index("Model")["NLL"]["large"] < scores


def test_costs_are_pasted_as_a_table(page):
    drop_arrays(page)
    page.text_area(key="answer_costs").set_value("model\tGMACs\tparams (M)\nlarge\t4.1\t25.6\nother\t1\t1\nsmall\t0.41\t5")
    labelled(page.button, "Apply").click().run()
    assert not page.error
    assert page.dataframe[0].value["GFLOPs"].tolist() == [4.1, 0.41]
    page.text_area(key="answer_costs").set_value("large, many")
    labelled(page.button, "Apply").click().run()
    assert "line 1 of the costs, got 'many'; correct it; nothing was changed" in plain(page.error[0].value)
    page.text_area(key="answer_costs").set_value("none, 3G")
    labelled(page.button, "Apply").click().run()
    assert "Expected costs of large, small, got those of none" in plain(page.error[0].value).replace("expected", "Expected")


def test_costs_of_known_models_are_filled_in(page):
    drop(page, [Upload("a.npz", npz(arrays(models=(("resnet50", 3.0), ("timm/resnet18", 2.0), ("mine", 1.0)))))])
    values = [page.number_input(key=f"answer_flops_{place}").value for place in range(3)]
    assert values == [4.089184256, 1.814073344, None]
    assert "filled in as duo cost counts it for 1,000 classes" in plain(text_of(page)).replace("`", "")
    assert "GFLOPs" not in page.dataframe[0].value.columns, "nothing is taken before it is applied"
    labelled(page.button, "Apply").click().run()
    assert page.dataframe[0].value["GFLOPs"].dropna().tolist() == [4.089184256, 1.814073344]


def test_a_set_is_saved_and_everybody_may_choose_it(open_view, tmp_path):
    page = open_view("data", store=write_set(tmp_path))
    drop(page, [Upload("my run.npz", npz(arrays(models=(("large one", 3.0), ("small", 2.0)))))])
    assert page.text_input(key="save_name").value == "my-run"
    assert page.text_input(key="save_model_0").value == "large-one"
    page.text_input(key="save_title").set_value("Ours")
    page.text_input(key="save_model_1").set_value("tiny")
    labelled(page.button, "Save").click().run()
    assert "Saved in the set my-run: large-one, tiny" in plain(page.success[0].value)
    own = Store().open("my-run")
    assert (own.title, set(own.cards)) == ("Ours", {"large-one", "tiny"})
    page.text_input(key="save_name").set_value("toy")
    labelled(page.button, "Save").click().run()
    assert not page.success
    assert "name a new set" in plain(page.error[0].value)
    assert open_page("explore", set="my-run").selectbox(key="set").value == "my-run"


@pytest.mark.parametrize("setting", ["no", "NO", " no "])
def test_whoever_runs_the_dashboard_may_forbid_saving(setting, monkeypatch, open_view):
    monkeypatch.setenv("DUO_SAVE_UPLOADS", setting)
    app = open_view("data")
    drop_arrays(app)
    assert "Save" not in buttons(app)
    assert "Use this set" in buttons(app)
