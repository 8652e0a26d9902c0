"""Exported systems of one, two and three members by every rule say what the set says of them; folders of format 1 still load."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import save_file

from duo_core import deploy
from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.deploy import graphs, sealing
from duo_core.deploy import run as run_alone
from duo_core.deploy.records import Asked
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference import compute
from duo_core.logits.store import Store
from duo_core.metrics import metrics
from duo_core.models.zoo import load as load_model
from duo_core.models.zoo import resolve
from duo_core.systems.judging import fit_system, judge_members
from duo_core.systems.predicting import predictions
from duo_core.systems.system import RULES, System

NAMES = ("large", "a", "middle")
TRANSFORMS = {"large": tiny.AS_IS, "a": tiny.LARGER, "middle": tiny.ON_DEVICE}
OWN = "tiny:network"
FORMAT_1 = Path(__file__).parent / "data" / "format-1"


def pictures(root):
    """A folder of noise with a tint by class, weak enough that a model errs."""
    random = np.random.default_rng(5)
    for place, name in enumerate(("cat", "dog", "fox")):
        (root / name).mkdir(parents=True)
        for number in range(40):
            noise = random.normal(128, 40, (8, 8, 3)) + random.normal(0, 12, 3)
            noise[..., place] += 12
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return open_source(str(root))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with a set of three models, the images, and the models' checkpoints."""
    root = tmp_path_factory.mktemp("made")
    source, checkpoints, models = pictures(root / "images"), {}, []
    for seed, name in enumerate(NAMES):
        how = {"arguments": {name: {"classes": 3, "seed": seed + 3}}, "transforms": {name: TRANSFORMS[name].to_dict()}}
        checkpoints[name] = root / f"{name}.safetensors"
        save_file(tiny.trained(load_model(resolve(f"{name}={OWN}", **how)[0]), source).state_dict(), checkpoints[name])
        models.append(load_model(resolve(f"{name}={OWN}", checkpoints={name: checkpoints[name]}, **how)[0]))
    store = Store(root / "store")
    compute(models, splits({"test": source}, fit=50), store, "pictures", device="cpu", workers=0)
    return store, source, checkpoints


@pytest.fixture
def images(made):
    store, source, _ = made
    rows = {name: row for row, name in enumerate(source.ids)}
    return [source.image(rows[name]) for name in store.open("pictures").ids["test"]]


def exported(made, system, out, **options):
    store, _, checkpoints = made
    given = {name: checkpoints[name] for name in system.members}
    architectures = dict.fromkeys(system.members, OWN)
    return deploy.export(store.open("pictures"), system, out, checkpoints=given, architectures=architectures, **options)


@pytest.fixture
def without_graphs(monkeypatch):
    monkeypatch.setattr(graphs, "write", lambda *_: ["there are no graphs"])


def expected_of(made, system, kind="softmax"):
    own = made[0].open("pictures")
    logits = {name: own.logits(name, "test") for name in system.members}
    (found,) = predictions(logits, own.labels["test"], [(system, fit_system(own, system.members))], kind=kind)
    return found


def taken(folder):
    """The code for logits that lies in the folder."""
    spec = importlib.util.spec_from_file_location("taken", folder / "combine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Duo()


SYSTEMS = [
    System(("large",)),
    System(("large", "a"), "ensemble"),
    System(("large", "a"), says=0),
    *(System(NAMES, rule) for rule in RULES),
    System(NAMES, says=0),
    System(("middle", "a", "large"), "equal", says=2),
]


@pytest.mark.parametrize("kind", ["softmax", "entropy"])
@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_a_folder_says_what_the_set_says(made, images, tmp_path, without_graphs, system, kind):
    own, expected = made[0].open("pictures"), expected_of(made, system, kind)
    found = exported(made, system, tmp_path / "duo", asked=Asked(kind, coverages=[0.5]))
    assert found.record["metrics"]["test"]["system"] == metrics(expected)
    with torch.inference_mode():
        answers = [deploy.load(found.folder, own_code=True)(images)]
    answers += [taken(found.folder)(*(own.logits(name, "test").numpy() for name in system.members))]
    for answer, closely in zip(answers, (1e-5, 1e-12), strict=True):
        assert answer.predicted.tolist() == expected.predicted.tolist()
        np.testing.assert_allclose(np.asarray(answer.uncertainty), expected.uncertainty, atol=closely)
        assert answer.abstain.tolist() == (expected.uncertainty > found.record["threshold"]).tolist()
    assert len(set(expected.predicted.tolist())) == 3


def test_members_stand_in_their_order_with_what_each_does_alone(made, tmp_path, without_graphs):
    own = made[0].open("pictures")
    record = exported(made, System(NAMES, "ensemble"), tmp_path / "duo").record
    found = judge_members(own, NAMES, "test")
    assert [member["name"] for member in record["members"]] == list(NAMES)
    assert [member["weight"] for member in record["members"]] == [t / 3 for t in found.fitted.calibration]
    assert [member["alone"] for member in record["members"]] == list(found.fitted.calibration)
    assert record["temperature"] == found.fitted.temperature["ensemble"]
    assert record["metrics"]["test"]["members"] == [found.metrics[name] for name in NAMES]
    assert sorted(record["files"]) == ["0-large.safetensors", "1-a.safetensors", "2-middle.safetensors"]
    readme = (tmp_path / "duo" / "README.md").read_text()
    assert readme.startswith("# large + a + middle\n\nThree image classifiers of 3 classes whose logits are added, those of large ")
    assert f"what comes out is multiplied by {record['temperature']:.6g}." in readme
    assert "| test | all together |" in readme


def test_the_order_of_the_members_changes_no_bit(made, tmp_path, without_graphs):
    own = made[0].open("pictures")
    one, other = (exported(made, System(names, "ensemble"), tmp_path / names[0]) for names in (NAMES, NAMES[::-1]))
    logits = [own.logits(name, "test").numpy() for name in NAMES]
    assert np.array_equal(taken(one.folder)(*logits).logits, taken(other.folder)(*logits[::-1]).logits)
    modules = [deploy.load(found.folder, own_code=True) for found in (one, other)]
    tensors = [torch.from_numpy(values) for values in logits]
    assert torch.equal(modules[0].answer(*tensors).logits, modules[1].answer(*tensors[::-1]).logits)


def test_a_weight_of_0_is_said(made, tmp_path, without_graphs, monkeypatch, capsys):
    idle = RULES["equal"].__class__("Idle", lambda _: (1.0, 0.0, 2.0))
    monkeypatch.setitem(RULES, "equal", idle)
    found = exported(made, System(NAMES, "equal"), tmp_path / "duo")
    assert "A weight of 0 adds nothing: a can be left out." in (found.folder / "README.md").read_text()
    assert command(made, tmp_path / "said", "--members", *NAMES, "--rule", "equal") == 0
    assert "weight 0      a adds nothing that the others do not know\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("system", "kind"),
    [(System(("middle",)), "entropy"), (System(NAMES, "ensemble"), "softmax"), (System(NAMES, "probabilities", says=1), "entropy")],
    ids=str,
)
def test_the_graphs_of_a_folder_run_every_member(made, images, tmp_path, system, kind):
    found = exported(made, system, tmp_path / "duo", asked=Asked(kind, coverages=[0.5]))
    assert found.left_out == []
    with torch.inference_mode():
        expected = deploy.load(found.folder, own_code=True)(images[:5])
    alone = run_alone.Duo(found.folder)
    for run in (run_alone._by_onnx(found.folder / graphs.ONNX), run_alone._by_torch(found.folder / graphs.TORCH)):
        alone._graph = run
        answer = alone(images[:5])
        np.testing.assert_allclose(answer.logits, expected.logits.numpy(), atol=1e-4)
        np.testing.assert_allclose(answer.uncertainty, expected.uncertainty.numpy(), atol=1e-4)
        assert answer.predicted.tolist() == expected.predicted.tolist()


def command(made, out, *words):
    store, _, checkpoints = made
    own = [f"{name}={OWN}" for name in NAMES if name in words]
    files = [f"{name}={checkpoints[name]}" for name in NAMES if name in words]
    line = ["export", "--set", "pictures", "--store", str(store.path), "--out", str(out), *words]
    return main([*line, "--architecture", *own, "--checkpoint", *files])


def test_the_command_takes_any_number_of_members(made, tmp_path, without_graphs, capsys):
    assert command(made, tmp_path / "duo", "--members", *NAMES, "--rule", "ensemble", "--says", "a", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rule"], document["says"], len(document["members"])) == ("ensemble", 1, 3)
    assert command(made, tmp_path / "one", "--members", "a") == 0
    assert "a in '" in capsys.readouterr().out
    assert command(made, tmp_path / "pair", "--base", "large", "--sidekick", "a") == 0
    assert command(made, tmp_path / "members", "--members", "large", "a") == 0
    records = [sealing.read(tmp_path / name) for name in ("pair", "members")]
    assert records[0] == records[1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--base", "large"], "expected --members, or --base and --sidekick, got --base alone"),
        (["--members", "large", "large"], "expected different members, got 'large' twice; name each once"),
        (["--base", "large", "--sidekick", "large"], "expected two models, got 'large' as base and as sidekick"),
        (["--base", "large", "--sidekick", "a", "--rule", "equal"], "expected --rule with --members only, got it with a pair"),
        (["--members", "large", "a", "--variant", "uq_only"], "expected --variant with --base and --sidekick only"),
        (["--members", "large", "--says", "middle"], "expected one of the members as --says (large), got 'middle'"),
    ],
)
def test_what_does_not_go_together_is_said(made, tmp_path, capsys, words, complaint):
    assert command(made, tmp_path / "duo", *words) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "duo").exists()


def test_the_script_says_in_a_sentence_what_is_wrong(made, tmp_path, without_graphs):
    folder = exported(made, System(NAMES), tmp_path / "duo").folder
    np.save(tmp_path / "one.npy", np.zeros((2, 3)))
    for words, said in (
        (["one.npy"], "combine.py: expected the logits of 3 models (large, a, middle), got 1 arrays\n"),
        (["one.npy", "one.npy", "none.npy"], "combine.py: [Errno 2] No such file or directory: 'none.npy'\n"),
    ):
        line = [sys.executable, "-I", str(folder / "combine.py"), *words]
        out = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (out.returncode, out.stderr) == (2, said)


@pytest.mark.parametrize("variant", ["", "-uq-only"])
def test_a_folder_of_format_1_loads_and_answers_as_it_did(tmp_path, variant):
    folder = shutil.copytree(FORMAT_1, tmp_path / "duo")
    shutil.copy(FORMAT_1 / f"duo{variant}.json", folder / "duo.json")
    answers = json.loads((FORMAT_1 / f"answers{variant}.json").read_text())
    images = np.random.default_rng(11).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    duo = deploy.load(folder, own_code=True)
    with torch.inference_mode():
        answer = duo(list(images))
    np.testing.assert_allclose(answer.logits.numpy(), answers["logits"], rtol=1e-5)
    np.testing.assert_allclose(answer.uncertainty.numpy(), answers["uncertainty"], rtol=1e-5)
    assert (answer.predicted.tolist(), answer.abstain.tolist()) == (answers["predicted"], answers["abstain"])
    assert [member["name"] for member in duo.record["members"]] == ["large", "small"]
    assert duo.says == (0 if variant else None)


def rewritten(folder, change):
    """The folder's duo.json changed, with a digest that fits."""
    record = json.loads((folder / "duo.json").read_text())
    record.pop("digest")
    change(record)
    (folder / "duo.json").write_text(sealing.sealed(record))


def elsewhere(record, place, file):
    """Have a member's weights lie in another file, whose digest is told as well."""
    record["members"][place]["file"] = file
    record["files"][file] = "0" * 64


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda r: elsewhere(r, 0, "../0-large.safetensors"), r"\(members\[0\].file missing or of another type\)"),
        (lambda r: elsewhere(r, 1, "duo.json"), r"\(members\[1\].file missing"),
        (lambda r: r["members"][2].pop("weight"), r"\(members\[2\].weight missing"),
        (lambda r: r["members"].__setitem__(1, "a"), r"\(members\[1\].name, members\[1\].model, "),
        (lambda r: r.update(rule="best"), r"expected a rule \(fitted, .*\), got 'best'"),
        (lambda r: r.update(says=3), r"expected the place of a member in 0..2"),
        (lambda r: r["files"].clear(), r"members\[0\].file, members\[1\].file, members\[2\].file missing"),
        (lambda r: r.update(format=[2]), r"expected format 1 or 2 in .*, got \[2\]"),
    ],
)
def test_a_record_that_was_made_up_is_refused(made, tmp_path, without_graphs, change, complaint):
    folder = exported(made, System(NAMES), tmp_path / "duo").folder
    rewritten(folder, change)
    with pytest.raises(InputError, match=complaint):
        deploy.load(folder, own_code=True)


def test_a_record_of_format_1_that_was_made_up_is_refused(tmp_path):
    folder = shutil.copytree(FORMAT_1, tmp_path / "duo")
    rewritten(folder, lambda r: r["temperatures"].pop("base"))
    with pytest.raises(InputError, match=r"\(members\[0\].weight missing"):
        deploy.load(folder, own_code=True)
    rewritten(folder, lambda r: r["models"].pop("sidekick"))
    with pytest.raises(InputError, match=r"members\[1\].name, "):
        deploy.load(folder, own_code=True)
