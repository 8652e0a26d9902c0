"""An exported duo: its folder says what the set says, runs with and without the project, and is refused where it was touched."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from app.state.exports import exported as exported_by_page
from app.state.sets import Handle
from duo_core import deploy
from duo_core.__main__ import main, parser
from duo_core.analysis.guarantee import thresholds
from duo_core.common.arrays import InputError
from duo_core.deploy import graphs
from duo_core.deploy import run as run_alone
from duo_core.deploy.records import Asked
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference import compute
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics import METRICS, metrics
from duo_core.models.zoo import load as load_model
from duo_core.models.zoo import resolve
from duo_core.systems.duo import Temperatures
from duo_core.systems.pair_predicting import pair_predictions, variant_predictions
from duo_core.systems.sweep import evaluate, fit_pair
from duo_core.systems.system import System

PAIR = System(("resnet14", "resnet8"))
FILES = ["0-resnet14.safetensors", "1-resnet8.safetensors"]
CLASSES = ("cat", "dog", "fox")
ON_DEVICE = {**tiny.ON_DEVICE.to_dict(), "input_size": [3, 40, 40], "resize": [40, 40]}
SMALLER = {**tiny.LARGER.to_dict(), "input_size": [3, 24, 24], "resize": 28}


def own_network(classes=3, seed=0, branches=False):
    """A model of code that is not the project's."""
    return Branching(tiny.network(classes, seed)) if branches else tiny.network(classes, seed)


OWN = dict.fromkeys(("one", "two"), "test_deploy_export:own_network")
"""What the command line says of the models of the set `code`."""


class Branching(nn.Module):
    """A model that no tracer follows: what it does depends on the numbers."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        logits = self.inner(images)
        return logits if float(logits.sum()) > 0 else 2 * logits


def pictures(root):
    """A folder of noise with a tint by class, weak enough that a model errs."""
    random = np.random.default_rng(5)
    for place, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(40):
            noise = random.normal(128, 40, (36, 44, 3)) + random.normal(0, 12, 3)
            noise[..., place] += 12
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return open_source(str(root))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images, two checkpoints, and the set of logits that they give: (set, source, checkpoints)."""
    root = tmp_path_factory.mktemp("made")
    source = pictures(root / "images")
    models, checkpoints = [], {}
    for seed, (name, transform) in enumerate({"resnet14": ON_DEVICE, "resnet8": SMALLER}.items()):
        checkpoints[name] = root / f"{name}.safetensors"
        spec = resolve(f"cifar/{name}", arguments={name: {"num_classes": 3}}, transforms={name: transform})[0]
        torch.manual_seed(seed)
        module = tiny.trained(load_model(spec, random_weights=True), source)
        save_file(module.state_dict(), checkpoints[name])
        models += [
            load_model(s) for s in resolve(spec.reference, checkpoints={name: checkpoints[name]}, transforms={name: transform})
        ]
    store = Store(root / "store")
    compute(models, splits({"test": source}, fit=50), store, "pictures", device="cpu", workers=0, title="Pictures")
    return store.open("pictures"), source, checkpoints


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    """The folder of the pair, with everything in it."""
    logit_set, _, checkpoints = made
    asked = Asked(target_risks=[0.9, 0.5], coverages=[0.7])
    return deploy.export(logit_set, PAIR, tmp_path_factory.mktemp("out") / "duo", checkpoints=checkpoints, asked=asked)


@pytest.fixture
def without_graphs(monkeypatch):
    """Exports without graphs, which take seconds to trace."""
    monkeypatch.setattr(graphs, "write", lambda *_: ["there are no graphs"])


@pytest.fixture
def touched(exported, tmp_path):
    """A copy of the folder that a test may damage."""
    return shutil.copytree(exported.folder, tmp_path / "copy")


@pytest.fixture
def test_images(made):
    logit_set, source, _ = made
    rows = {name: row for row, name in enumerate(source.ids)}
    return [source.image(rows[name]) for name in logit_set.ids["test"]]


def judged(logits, labels):
    """Metrics of logits that are combined already."""
    logits = torch.as_tensor(np.asarray(logits))
    return metrics(pair_predictions(logits, torch.zeros_like(logits), labels, Temperatures(1.0, 0.0)))


def same_metrics(found, expected):
    assert found == {key: pytest.approx(expected[key], rel=0, abs=1e-6) for key in METRICS}


def command(store, out, *words):
    """The command, as the command line calls it."""
    pair = ["--set", "pictures", "--store", str(store), "--base", "resnet14", "--sidekick", "resnet8"]
    options = parser().parse_args(["export", *pair, "--out", str(out), *map(str, words)])
    options.run(options)


def given(checkpoints):
    return ["--checkpoint", *(f"{name}={file}" for name, file in checkpoints.items())]


def refused(*arguments, **options):
    with pytest.raises(InputError) as caught:
        deploy.export(*arguments, **options)
    return str(caught.value)


def unloadable(folder, **options):
    with pytest.raises(InputError) as caught:
        deploy.load(folder, **options)
    return str(caught.value)


def test_the_loaded_duo_gives_the_metrics_of_the_set(made, exported, test_images):
    logit_set = made[0]
    duo = deploy.load(exported.folder)
    with torch.inference_mode():
        answer = duo(test_images)
    found = evaluate(logit_set, *PAIR.members)
    same_metrics(judged(answer.logits, logit_set.labels["test"]), found.metrics["duo"])
    assert exported.record["metrics"]["test"] == {
        "system": found.metrics["duo"],
        "members": [found.metrics["base"], found.metrics["sidekick"]],
    }
    assert answer.predicted.tolist() == found.predictions["duo"].predicted.tolist()
    np.testing.assert_allclose(answer.uncertainty.numpy(), found.predictions["duo"].uncertainty, atol=1e-6)
    assert 0.5 < found.metrics["duo"]["accuracy"] < 1  # neither chance nor trivial
    assert duo.classes == logit_set.classes
    assert not duo.training


def test_the_script_in_the_folder_gives_the_metrics_of_the_set(made, exported, test_images, tmp_path):
    names = [f"{place}.png" for place in range(len(test_images))]
    for name, image in zip(names, test_images, strict=True):
        image.save(tmp_path / name)
    code = (
        "import numpy, sys; from PIL import Image; from run import Duo\n"
        f"numpy.save({str(tmp_path / 'logits.npy')!r}, Duo()([Image.open(f) for f in sys.argv[1:]]).logits)\n"
        "assert not {'duo_core', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *(tmp_path / name for name in names)], cwd=exported.folder, check=True)
    found = evaluate(made[0], "resnet14", "resnet8").metrics["duo"]
    same_metrics(judged(np.load(tmp_path / "logits.npy"), made[0].labels["test"]), found)


def test_the_script_prints_a_line_an_image(exported, test_images, tmp_path):
    for place in range(3):
        test_images[place].resize((30 + place, 50)).save(tmp_path / f"{place}.png")
    line = [sys.executable, "run.py", *(tmp_path / f"{place}.png" for place in range(3)), "--threshold", "0"]
    out = subprocess.run(line, cwd=exported.folder, check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in out.stdout.splitlines()]
    with torch.inference_mode():
        answer = deploy.load(exported.folder)([test_images[place].resize((30 + place, 50)) for place in range(3)])
    assert [row["class"] for row in rows] == [exported.record["classes"][c] for c in answer.predicted]
    assert [row["uncertainty"] for row in rows] == pytest.approx(answer.uncertainty.tolist(), abs=1e-5)
    assert all(row["abstain"] is True for row in rows)
    assert out.stderr == ""


@pytest.mark.parametrize("file", [graphs.ONNX, graphs.TORCH])
def test_both_graphs_agree_with_the_module_for_any_number_of_images(exported, test_images, file):
    alone = run_alone.Duo(exported.folder)
    alone._graph = {graphs.ONNX: run_alone._by_onnx, graphs.TORCH: run_alone._by_torch}[file](exported.folder / file)
    for images in (1, 4):
        with torch.inference_mode():
            expected = deploy.load(exported.folder)(test_images[:images])
        answer = alone(test_images[:images])
        np.testing.assert_allclose(answer.logits, expected.logits.numpy(), atol=1e-4)
        np.testing.assert_allclose(answer.uncertainty, expected.uncertainty.numpy(), atol=1e-4)
        assert answer.predicted.tolist() == expected.predicted.tolist()
        assert answer.abstain.tolist() == expected.abstain.tolist()


def test_the_record_says_what_the_set_says(made, exported):
    logit_set, _, checkpoints = made
    record = json.loads((exported.folder / "duo.json").read_text())
    found = evaluate(logit_set, *PAIR.members)
    assert (record["format"], record["rule"], record["says"], record["temperature"]) == (2, "fitted", None, None)
    assert tuple(member["weight"] for member in record["members"]) == found.fit.temperatures
    assert tuple(member["alone"] for member in record["members"]) == found.fit.calibration
    assert record["provenance"]["nll_fit"] == {
        "system": found.fit.nll["duo"],
        "members": [found.fit.nll["base"], found.fit.nll["sidekick"]],
    }
    assert record["classes"] == ["cat", "dog", "fox"]
    assert record["provenance"]["images"] == {"val": 50, "test": 70}
    assert record["provenance"]["digests"]["logits"]["resnet8/val"] == logit_set.digests["resnet8", "val"]
    assert set(record["provenance"]["versions"]) >= {"torch", "timm", "numpy"}
    for member, file, name in zip(record["members"], FILES, PAIR.members, strict=True):
        card = logit_set.cards[name]
        assert (member["model"], member["weights_sha256"]) == (f"cifar/{name}", card.weights_sha256)
        assert (member["transform"], member["file"]) == (card.transform, file)
        assert (exported.folder / file).read_bytes() == checkpoints[name].read_bytes()
    assert set(record["files"]) == {*FILES, "duo.pt2", "duo.onnx"}
    assert record["left_out"] == []


def test_thresholds_are_those_of_the_guarantee(made, exported):
    logit_set = made[0]
    logits = [logit_set.logits(model, "val") for model in ("resnet14", "resnet8")]
    fitted = fit_pair(logit_set, *PAIR.members)
    own = variant_predictions(*logits, logit_set.labels["val"], fitted, variants=["duo"])["duo"]
    expected = thresholds(own, [0.9, 0.5])
    entries = exported.record["thresholds"]["entries"]
    assert [(e["goal"], e["value"], e["method"]) for e in entries] == [
        ("target_risk", 0.9, "sequence"),
        ("target_risk", 0.9, "sgr"),
        ("target_risk", 0.9, "empirical"),
        ("target_risk", 0.5, "sequence"),
        ("target_risk", 0.5, "sgr"),
        ("target_risk", 0.5, "empirical"),
        ("coverage", 0.7, "empirical"),
    ]
    for entry, row in zip(entries, expected.to_dict("records"), strict=False):
        assert entry["threshold"] == (None if np.isnan(row["threshold"]) else row["threshold"])
        assert entry["coverage"] == row["coverage"]
    assert exported.record["threshold"] == entries[0]["threshold"]
    assert "exchangeable" in exported.record["thresholds"]["assumption"]
    covered = (own.uncertainty <= entries[-1]["threshold"]).sum()
    assert covered == 35  # of 50
    assert entries[-1]["coverage"] == 0.7
    assert entries[-1]["risk"] == pytest.approx(1 - own.correct[own.uncertainty <= entries[-1]["threshold"]].mean())
    judged_on_test = entries[0]["judged"]["test"]
    duo = evaluate(logit_set, "resnet14", "resnet8").predictions["duo"]
    assert judged_on_test["coverage"] == (duo.uncertainty <= entries[0]["threshold"]).mean()


def test_the_duo_abstains_as_often_as_the_record_says(made, exported, test_images):
    duo = deploy.load(exported.folder)
    duo.threshold = exported.record["thresholds"]["entries"][-1]["threshold"]
    with torch.inference_mode():
        answered = 1 - duo(test_images).abstain.double().mean().item()
    assert answered == pytest.approx(exported.record["thresholds"]["entries"][-1]["judged"]["test"]["coverage"], abs=1e-9)
    assert 0 < answered < 1


@pytest.mark.parametrize("kind", ["softmax", "entropy"])
def test_uq_only_predicts_the_class_of_the_base(made, test_images, tmp_path, without_graphs, kind):
    logit_set, _, checkpoints = made
    asked = Asked(kind, coverages=[0.5])
    says = System(PAIR.members, says=0)
    found = deploy.export(logit_set, says, tmp_path / "duo", checkpoints=checkpoints, asked=asked)
    duo, expected = deploy.load(found.folder), evaluate(logit_set, "resnet14", "resnet8", kind=kind).predictions["uq_only"]
    with torch.inference_mode():
        answer = duo(test_images)
    assert answer.predicted.tolist() == expected.predicted.tolist()
    np.testing.assert_allclose(answer.uncertainty.numpy(), expected.uncertainty, atol=1e-6)
    assert duo.threshold == found.record["thresholds"]["entries"][-1]["threshold"]


def test_the_readme_says_how_to_run_it(exported):
    readme = (exported.folder / "README.md").read_text()
    assert readme.startswith("# resnet14 + resnet8\n")
    for said in (
        "pip install -r requirements.txt",
        "python run.py photo.jpg",
        "deploy.load(",
        "exchangeable",
        "`duo.onnx`",
        "Guaranteed",
    ):
        assert said in readme
    requirements = (exported.folder / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in requirements] == ["numpy", "pillow", "onnxruntime"]
    assert all("==" in line for line in requirements)


def test_the_command_prints_what_it_wrote(made, tmp_path, capsys, without_graphs):
    store, checkpoints = Path(made[1].text).parent / "store", made[2]
    command(store, tmp_path / "a", "--no-onnx", *given(checkpoints))
    out, err = capsys.readouterr()
    assert "abstains      never; duo.json lists thresholds" in out
    assert err == "duo export: there are no graphs\n"
    command(store, tmp_path / "b", "--no-onnx", "--coverage", "0.8", "--json", *given(checkpoints))
    document = json.loads(capsys.readouterr().out)
    assert document["folder"] == str(tmp_path / "b")
    assert document["threshold"] == next(e["threshold"] for e in document["thresholds"]["entries"] if e["goal"] == "coverage")
    with pytest.raises(InputError, match="expected one --checkpoint for"):
        command(store, tmp_path / "c", "--checkpoint", "resnet8=a", "resnet8=b")


def test_a_folder_is_not_overwritten_unless_asked(made, exported, touched, tmp_path, without_graphs):
    logit_set, _, checkpoints = made
    pair = (logit_set, PAIR)
    assert "holds an exported duo; name another, or replace it with --force" in refused(*pair, touched, checkpoints=checkpoints)
    (touched / "mark").touch()
    deploy.export(*pair, touched, checkpoints=checkpoints, onnx=False, force=True)
    assert not (touched / "mark").exists()
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").touch()
    assert "got something that no export wrote" in refused(*pair, foreign, checkpoints=checkpoints, force=True)
    assert (foreign / "thesis.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mine"]


@pytest.mark.parametrize("there", [False, True])
def test_an_export_that_fails_leaves_what_was_there(made, touched, tmp_path, monkeypatch, there):
    logit_set, _, checkpoints = made
    out = touched if there else tmp_path / "new"
    before = sorted(file.name for file in touched.iterdir())

    def fails(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(graphs, "write", fails)
    with pytest.raises(OSError, match="No space"):
        deploy.export(logit_set, PAIR, out, checkpoints=checkpoints, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert sorted(file.name for file in touched.iterdir()) == before


def test_a_checkpoint_has_to_be_the_one_of_the_set(made, tmp_path, without_graphs):
    logit_set, _, checkpoints = made
    pair = (logit_set, PAIR, tmp_path / "duo")
    own, other = checkpoints["resnet14"], tmp_path / "resnet14.safetensors"
    complaint = refused(*pair, checkpoints={"resnet14": own})
    assert complaint == (
        "the weights of 'resnet8' are those of the file 'resnet8.safetensors'; give it with --checkpoint "
        "resnet8=resnet8.safetensors"
    )
    save_file({key: value + 1 for key, value in load_file(own).items()}, other)
    complaint = refused(*pair, checkpoints={**checkpoints, "resnet14": other})
    assert complaint.startswith("expected the weights that the logits of 'resnet14' came from (resnet14.safetensors, SHA-256 ")
    assert complaint.endswith("give that file with --checkpoint resnet14=FILE")
    assert "--checkpoint names the model 'resnet44', which is not in this system" in refused(*pair, checkpoints={"resnet44": own})
    assert "--arguments names the model 'x'" in refused(*pair, checkpoints=checkpoints, arguments={"x": {}})
    assert "expected a model of the set 'pictures', got 'y'" in refused(logit_set, System(("y", "resnet8")), tmp_path / "duo")
    assert not (tmp_path / "duo").exists()


def test_goals_that_cannot_be_met_are_refused(made, tmp_path, without_graphs):
    logit_set, _, checkpoints = made
    asked = Asked(target_risks=[0.001])
    complaint = refused(logit_set, PAIR, tmp_path / "duo", checkpoints=checkpoints, asked=asked)
    assert complaint == (
        "expected a target risk that 50 images of 'val' can guarantee with a confidence of 0.95, got 0.001, which no threshold "
        "reaches; ask for a larger one, or for a coverage"
    )
    with pytest.raises(InputError, match=r"expected a coverage in \(0, 1\], got 90; 0.9 is 90 %"):
        Asked(coverages=[90])


ON_LOGITS = {"duo.json", "README.md", "requirements.txt", "combine.py"}
"""What is in a folder whose models cannot be built: enough to run the duo on their logits."""


def test_uploaded_logits_say_nothing_of_a_model(made, tmp_path):
    logit_set = made[0]
    cards = {name: Card(name, f"upload/{name}", "upload") for name in logit_set.cards}
    uploaded = LogitSet("mine", "Mine", logit_set.classes, logit_set.labels, cards, logit_set.arrays)
    complaint = refused(uploaded, PAIR, tmp_path / "duo")
    assert complaint == "the logits of 'resnet14' were uploaded, so nothing says how the model is built"
    names = unzipped(deploy.packed(uploaded, PAIR), tmp_path)
    assert names == ON_LOGITS
    assert "resnet8 alone" not in (readme := (tmp_path / "resnet14+resnet8" / "README.md").read_text())
    assert "Compute the logits with `duo logits`" in readme
    assert "duo export --set" not in readme
    assert "how 'resnet14' is built: its logits were uploaded" in unloadable(tmp_path / "resnet14+resnet8")


def test_a_zip_says_which_model_cannot_be_had(made, tmp_path):
    logit_set = made[0]
    cards = {**logit_set.cards, "resnet8": Card("resnet8", "nobody.knows:it", "python")}
    other = LogitSet("other", "Other", logit_set.classes, logit_set.labels, cards, logit_set.arrays)
    assert unzipped(deploy.packed(other, PAIR), tmp_path) == ON_LOGITS
    readme = (tmp_path / "resnet14+resnet8" / "README.md").read_text()
    assert "say --architecture resnet8=nobody.knows:it" in readme


HOSTILE = [
    ("os:system", "python"),
    ("os:system", "timm"),
    ("evil:Net", "checkpoint"),
    ("evil.models:Net", "cifar"),
    ("models.yaml", "timm"),
    ("x=evil:Net", "timm"),
    ("timm/hf-hub:somebody/model", "timm"),
    ("timm/../../evil", "timm"),
    ("evil/Net:now", "timm"),
]


@pytest.mark.parametrize(("reference", "source"), HOSTILE)
def test_a_set_decides_of_no_code_and_no_file(made, tmp_path, monkeypatch, reference, source):
    """Neither what a card names is imported, nor a file that it names opened, whatever it says of its source."""
    code = "from pathlib import Path\nPath('ran').touch()\nclass Net: pass\n"
    (tmp_path / "evil.py").write_text(code)
    (tmp_path / "models.yaml").write_text("models: [{model: 'evil:Net'}]")
    monkeypatch.chdir(tmp_path)
    logit_set, _, checkpoints = made
    cards = {**logit_set.cards, "resnet8": Card("resnet8", reference, source, arguments={"command": "touch ran"})}
    other = LogitSet("other", "Other", logit_set.classes, logit_set.labels, cards, logit_set.arrays)
    with pytest.raises(InputError):
        deploy.export(other, PAIR, tmp_path / "duo", checkpoints=checkpoints)
    assert unzipped(deploy.packed(other, PAIR), tmp_path) == ON_LOGITS
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"checkpoint_path": "evil.pt"},
        {"pretrained": True},
        {"pretrained_cfg": {"file": "evil.pt"}},
        {"pretrained_cfg_overlay": {"hf_hub_id": "somebody/model"}},
        {"cache_dir": "elsewhere"},
        {"weights": "DEFAULT"},
        {"norm_layer": "os:system"},
        {"act_layer": "../evil"},
        {"num_classes": {"deep": 1}},
    ],
)
def test_arguments_of_a_set_are_plain_values(made, tmp_path, arguments):
    logit_set, _, checkpoints = made
    cards = {**logit_set.cards, "resnet8": Card("resnet8", "timm/resnet18", "timm", arguments=arguments)}
    other = LogitSet("other", "Other", logit_set.classes, logit_set.labels, cards, logit_set.arrays)
    with pytest.raises(InputError, match="expected arguments of 'timm/resnet18' that are plain values"):
        deploy.export(other, PAIR, tmp_path / "duo", checkpoints=checkpoints)


def test_the_command_line_may_say_which_code_is_run(made, tmp_path, monkeypatch, without_graphs):
    """Own code with the set's own weights; the folder says so and asks again."""
    (tmp_path / "mine.py").write_text(
        "from duo_core.models.zoo.cifar_resnet import CifarResNet\n\ndef net(depth):\n    return CifarResNet(depth, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    logit_set, _, checkpoints = made
    card = replace(logit_set.cards["resnet8"], model="mine:net", source="python", arguments={"depth": 8})
    other = LogitSet("other", "Other", logit_set.classes, logit_set.labels, {**logit_set.cards, "resnet8": card}, logit_set.arrays)
    assert refused(other, PAIR, tmp_path / "duo", checkpoints=checkpoints).endswith("--architecture resnet8=mine:net")
    deploy.export(other, PAIR, tmp_path / "duo", checkpoints=checkpoints, architectures={"resnet8": "mine:net"}, onnx=False)
    assert "say own_code=True if you trust the folder" in unloadable(tmp_path / "duo")
    assert deploy.load(tmp_path / "duo", own_code=True).record["members"][1]["model"] == "mine:net"


@pytest.mark.parametrize(("reference", "source"), HOSTILE)
def test_a_folder_decides_of_no_code_unless_trusted(made, tmp_path, monkeypatch, without_graphs, reference, source):
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    logit_set, _, checkpoints = made
    deploy.export(logit_set, PAIR, tmp_path / "duo", checkpoints=checkpoints, onnx=False)
    record = json.loads((tmp_path / "duo" / "duo.json").read_text())
    record["members"][1] |= {"model": reference, "source": source}
    (tmp_path / "duo" / "duo.json").write_text(json.dumps(record))
    with pytest.raises(InputError):
        deploy.load(tmp_path / "duo")
    assert not (tmp_path / "ran").exists()


def unzipped(content, where):
    """Unpack a zip of one folder; the names of its files."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        archive.extractall(where)
        return {Path(name).name for name in archive.namelist()}


def test_a_zip_is_completed_by_the_checkpoints(made, test_images, tmp_path):
    logit_set, _, checkpoints = made
    content = exported_by_page(Handle(logit_set, "", {}), System(("resnet14", "resnet8")), "entropy")()
    assert unzipped(content, tmp_path) == ON_LOGITS
    folder = tmp_path / "resnet14+resnet8"
    readme = (folder / "README.md").read_text()
    (line,) = re.findall(r"^    (duo export .*)$", readme, re.MULTILINE)
    assert line == (
        "duo export --set pictures --members resnet14 resnet8 --out resnet14+resnet8 --uncertainty entropy "
        "--checkpoint resnet14=resnet14.safetensors resnet8=resnet8.safetensors"
    )
    assert "put the weights here as `0-resnet14.safetensors` and `1-resnet8.safetensors`" in readme
    listed = re.findall(r"^\* `(.+?)`", readme.partition("## Files")[2], re.MULTILINE)
    assert listed == ["duo.json"], "what is not in the zip is not said to be there"
    assert "expected the weights of resnet14 with SHA-256" in unloadable(folder)
    for file, name in zip(FILES, PAIR.members, strict=True):
        shutil.copy(checkpoints[name], folder / file)
    with torch.inference_mode():
        logits = deploy.load(folder)(test_images).logits
    same_metrics(judged(logits, logit_set.labels["test"]), evaluate(logit_set, "resnet14", "resnet8").metrics["duo"])


@pytest.mark.parametrize(
    "asked", [Asked(kind="entropy"), Asked(target_risks=(0.3, 0.01), confidence=0.9), Asked(kind="entropy", coverages=(0.7,))]
)
def test_the_command_of_a_zip_writes_the_whole_folder(made, tmp_path, monkeypatch, without_graphs, asked):
    logit_set, source, checkpoints = made
    unzipped(deploy.packed(logit_set, PAIR, asked), tmp_path)
    packed = json.loads((tmp_path / "resnet14+resnet8" / "duo.json").read_text())
    readme = (tmp_path / "resnet14+resnet8" / "README.md").read_text()
    (line,) = re.findall(r"^    duo (export .*)$", readme, re.MULTILINE)
    monkeypatch.setenv("DUO_STORE", str(Path(source.text).parent / "store"))
    monkeypatch.chdir(checkpoints["resnet14"].parent)
    assert main([*shlex.split(line), "--no-onnx", "--force"]) == 0
    record = json.loads(Path("resnet14+resnet8", "duo.json").read_text())
    assert (record["threshold"], record["thresholds"]) == (packed["threshold"], packed["thresholds"])
    assert (record["uncertainty"], record["members"]) == (asked.kind, packed["members"])
    assert sorted(record["files"]) == FILES


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: (f / "duo.json").unlink(), "expected the file '.*duo.json', got nothing there; name a folder that duo export"),
        (lambda f: (f / "duo.json").write_text("{"), "expected JSON in"),
        (
            lambda f: edit(f, temperature=2.0),
            "'.*duo.json' was altered after it was exported; export it",
        ),
        (lambda f: edit(f, members=None), r"was altered after it was exported \(members missing or of another type\)"),
        (lambda f: edit(f, format=9), "expected format 1 or 2 in '.*', got 9; export it again with this version"),
        (lambda f: (f / FILES[0]).unlink(), "expected the weights of resnet14 with SHA-256 .* got no file there"),
        (
            lambda f: flip(f / FILES[1]),
            "1-resnet8.safetensors' was altered after it was exported: expected the weights",
        ),
        (lambda f: torch.save({"a": 1}, f / FILES[0]), "0-resnet14.safetensors' was altered"),
    ],
)
def test_what_is_missing_or_altered_is_named(touched, damage, complaint):
    damage(touched)
    with pytest.raises(InputError, match=complaint) as caught:
        deploy.load(touched)
    assert "\n" not in str(caught.value)


def edit(folder, **changes):
    record = json.loads((folder / "duo.json").read_text())
    (folder / "duo.json").write_text(json.dumps({**record, **changes}))


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_an_altered_graph_is_not_run(touched):
    flip(touched / "duo.onnx")
    with pytest.raises(ValueError, match=r"duo\.onnx' was altered after it was exported"):
        run_alone.Duo(touched)


@pytest.fixture
def code(made, tmp_path):
    """A set of models that are own code, one of which no tracer follows."""
    arguments = {"one": {"seed": 3, "branches": True}, "two": {"seed": 4}}
    transform = {**tiny.AS_IS.to_dict(), "input_size": [3, 36, 44]}
    specs = [
        resolve(f"{name}=test_deploy_export:own_network", arguments={name: own}, transforms={name: transform})[0]
        for name, own in arguments.items()
    ]
    models = [load_model(spec) for spec in specs]
    store = Store(tmp_path / "store")
    compute(models, splits({"test": made[1]}, fit=50), store, "code", device="cpu", workers=0)
    return store.open("code")


def test_models_that_cannot_be_traced_are_exported_without_graphs(code, test_images, tmp_path):
    found = deploy.export(code, System(("one", "two")), tmp_path / "duo", architectures=OWN)
    assert found.left_out[0].startswith("duo.pt2 and duo.onnx were left out: torch.export cannot trace the members (")
    assert {file.name for file in found.folder.iterdir()} == {
        *ON_LOGITS,
        *("0-one.safetensors", "1-two.safetensors"),
    }
    assert "run.py" not in (found.folder / "README.md").read_text().partition("## When")[0]
    assert "torch==" in (found.folder / "requirements.txt").read_text()
    with torch.inference_mode():
        logits = deploy.load(found.folder, own_code=True)(test_images).logits
    same_metrics(judged(logits, code.labels["test"]), evaluate(code, "one", "two").metrics["duo"])


def test_arguments_are_those_of_the_set(code, tmp_path, without_graphs):
    arguments = {"one": {"seed": 3, "branches": True}, "two": {"seed": 4}}
    assert {name: card.arguments for name, card in code.cards.items()} == arguments
    found = deploy.export(code, System(("one", "two")), tmp_path / "duo", arguments={"two": {"seed": 4}}, architectures=OWN)
    assert found.record["members"][0]["arguments"] == arguments["one"]
    assert refused(code, System(("one", "two")), tmp_path / "other", arguments={"two": {"seed": 5}}, architectures=OWN) == (
        'expected the arguments that the logits of \'two\' were computed with, {"seed": 4}, got {"seed": 5}; leave --arguments out'
    )


def test_a_set_that_holds_no_arguments_takes_those_that_are_given(code, tmp_path, without_graphs):
    older = replace(code, cards={name: replace(card, arguments=None) for name, card in code.cards.items()})
    assert "expected the weights that the logits of 'one' came from" in refused(
        older, System(("one", "two")), tmp_path / "duo", architectures=OWN
    )
    found = deploy.export(
        older,
        System(("one", "two")),
        tmp_path / "duo",
        arguments={"one": {"seed": 3, "branches": True}, "two": {"seed": 4}},
        architectures=OWN,
    )
    assert isinstance(deploy.load(found.folder, own_code=True).members[0].module, Branching)


def test_code_that_a_folder_names_runs_only_if_trusted(code, tmp_path, without_graphs):
    found = deploy.export(code, System(("one", "two")), tmp_path / "duo", architectures=OWN, onnx=False)
    assert unloadable(found.folder) == (
        "'one' is built by running 'test_deploy_export:own_network', code that is not this project's; say own_code=True if you "
        "trust the folder"
    )


def test_without_onnx_the_rest_is_written(made, tmp_path, monkeypatch):
    logit_set, _, checkpoints = made
    found = importlib.util.find_spec
    monkeypatch.setattr(
        graphs.importlib.util, "find_spec", lambda name, *rest: None if name == "onnxscript" else found(name, *rest)
    )
    said = {
        True: "duo.onnx was left out: onnxscript not installed; pip install onnx onnxscript onnxruntime and export again",
        False: "duo.onnx was left out, as asked for",
    }
    alone, own = System(("resnet8",)), {"resnet8": checkpoints["resnet8"]}
    for onnx, why in said.items():
        out = deploy.export(logit_set, alone, tmp_path / f"{onnx}", checkpoints=own, onnx=onnx)
        assert out.left_out == [why]
        assert (out.folder / "duo.pt2").exists()
        last = (out.folder / "requirements.txt").read_text().splitlines()[-1]
        assert last == f"torch=={torch.__version__.partition('+')[0]}"


def test_a_graph_that_says_something_else_is_not_kept(tmp_path):
    file, own = tmp_path / "duo.onnx", [torch.ones(2, 3), torch.zeros(2), torch.ones(2)]
    for far, kept in ((0.00005, True), (0.0003, False)):
        file.touch()
        said = graphs._unless_same(own, [own[0], own[1], own[2] + far], file)
        assert file.exists() == kept
        assert said == ([] if kept else ["duo.onnx was left out: it differs from the model by 0.0003, more than 0.0001"])


def other_weights(state):
    return {key: value * 2 if value.is_floating_point() else value.clone() for key, value in state.items()}


CHECKPOINTS = {
    "nested": ("x.pt", lambda state: {"state_dict": state}, None),
    "averages beside raw weights": ("x.pth.tar", lambda state: {"state_dict": other_weights(state), "state_dict_ema": state}, None),
    "raw weights beside averages": ("x.ckpt", lambda state: {"state_dict": state, "ema": other_weights(state)}, "raw"),
    "of a compiled model": ("x.bin", lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()}, None),
    "one of two by its prefix": (
        "x.safetensors",
        lambda state: (
            {f"model.{key}": value for key, value in state.items()}
            | {f"ema_model.{key}": value for key, value in other_weights(state).items()}
        ),
        "raw",
    ),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_the_weights_that_gave_the_logits_are_written(made, tmp_path, without_graphs, kind):
    _, source, checkpoints = made
    name, wrapped, choice = CHECKPOINTS[kind]
    pickled = tmp_path / name
    (save_file if name.endswith(".safetensors") else torch.save)(wrapped(load_file(checkpoints["resnet8"])), pickled)
    models = [
        load_model(
            replace(resolve("cifar/resnet8", checkpoints={"resnet8": pickled}, transforms={"resnet8": SMALLER})[0], choice=choice)
        ),
        load_model(
            resolve("cifar/resnet14", checkpoints={"resnet14": checkpoints["resnet14"]}, transforms={"resnet14": ON_DEVICE})[0]
        ),
    ]
    store = Store(tmp_path / "store")
    compute(models, splits({"test": source}, fit=50), store, "pickled", device="cpu", workers=0)
    given_files = {**checkpoints, "resnet8": pickled}
    found = deploy.export(store.open("pickled"), PAIR, tmp_path / "duo", checkpoints=given_files)
    written, expected = load_file(found.folder / FILES[1]), load_file(checkpoints["resnet8"])
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[key], expected[key]) for key in expected)
    deploy.load(found.folder)
