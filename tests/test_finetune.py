"""Fine-tuning: the same bits after any interruption, trials that depend on seed and number alone, statistics that stay frozen."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pictures import folder
from training_models import SMALL, loaded

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference.workers import Crew
from duo_core.models.devices import best_precision
from duo_core.models.zoo.checkpoints import file_sha256
from duo_core.training import checkpoints, finetune
from duo_core.training.costs import training_cost
from duo_core.training.finetune import Job, Trial, schedule
from duo_core.training.folders import Run
from duo_core.training.lessons import Lessons, Plan, lessons, seed_of
from duo_core.training.meter import Meter
from duo_core.training.passes import logits_of
from duo_core.training.recipes import RECIPES, draw
from duo_core.training.runs import job_model, make
from duo_core.training.scores import score

COUNTS = {"ant": 14, "bee": 12, "cow": 14}
RECIPE = RECIPES["paper"].with_options(
    {"trials": 2, "epochs": 3, "batch_size": 13, "learning_rate": (1e-3, 1e-2), "weight_decay": (1e-4, 1e-3)}
)


def quiet(*_):
    pass


def images(root):
    return splits({name: open_source(folder(Path(root) / name, counts, (20, 18))) for name, counts in parts().items()})


def parts():
    return {"train": COUNTS, "val": {"ant": 8, "bee": 8, "cow": 8}}


def found_images(root):
    return splits({name: open_source(str(Path(root) / name)) for name in parts()})


def job_of(made, recipe=RECIPE, seed=0, model=None, **options):
    model = job_model(model or loaded(seed=3), made["train"].source.classes, recipe.probe)
    facts = {"metric": "accuracy", "device": torch.device("cpu"), "precision": "float32", **options}
    return Job(model, made["train"], made["val"], recipe, seed, **facts)


def made_run(root, made, recipe=RECIPE, tell=quiet, progress=quiet, pretrained=None, **options):
    pretrained = pretrained or loaded(seed=3)
    return make(Run(Path(root)), job_of(made, recipe, model=pretrained, **options), pretrained, tell, progress)


def files(root, *patterns):
    names = patterns or ("anchor.safetensors", "table.csv", "trials/*/*")
    return {str(file.relative_to(root)): file.read_bytes() for name in names for file in sorted(Path(root).glob(name))}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    images(root)
    return root


@pytest.fixture
def made(data):
    return found_images(data)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """An uninterrupted run."""
    root = tmp_path_factory.mktemp("runs") / "run"
    made_run(root, found_images(data))
    return root


class StoppedError(Exception):
    pass


def stopping_at(step, trial=0):
    def progress(number, moment):
        if (number, moment.step) == (trial, step):
            raise StoppedError

    return progress


def test_a_run_leaves_its_anchor_its_trials_and_a_table(whole, made):
    assert sorted(files(whole)) == [
        "anchor.safetensors",
        "table.csv",
        "trials/000/model.safetensors",
        "trials/000/trial.json",
        "trials/001/model.safetensors",
        "trials/001/trial.json",
    ]
    table = Run(whole).table()
    assert list(table["state"]) == ["finished", "finished"]
    about, state = checkpoints.read(whole / "trials/001/model.safetensors")
    assert about["anchor"] == file_sha256(whole / "anchor.safetensors")
    assert about["model"] == "training_models:Net"
    assert about["arguments"] == {"seed": 3, "num_classes": 3}
    assert about["classes"] == ["ant", "bee", "cow"]
    assert about["methodology"] == "LP-FT"
    assert about["learning_rate"] == draw(RECIPE, 0, 1).learning_rate
    assert about["recipe"]["epochs"] == 3
    again = loaded(num_classes=3).module
    again.load_state_dict(state)
    found = score(logits_of(again, made["val"], SMALL), made["val"].labels, "accuracy")
    assert found.to_dict() == about["score"], "a trial's score is that of the very file"
    assert table["weights_sha256"][1] == file_sha256(whole / "trials/001/model.safetensors")
    best = max(about["curve"], key=lambda record: (record["accuracy"], -record["nll"]))
    assert best["epoch"] == about["best_epoch"]


def test_a_run_that_is_there_is_left_as_it_is_and_extended_without_a_change(whole, made, tmp_path):
    before = files(whole)
    said = []
    made_run(whole, made, tell=said.append)
    assert files(whole) == before
    more = replace(RECIPE, trials=3)
    made_run(tmp_path / "run", made, more)
    assert {name: content for name, content in files(tmp_path / "run").items() if name in before and name != "table.csv"} == {
        name: content for name, content in before.items() if name != "table.csv"
    }
    assert len(Run(tmp_path / "run").table()) == 3


@pytest.mark.parametrize(("trial", "step"), [(0, 1), (0, 3), (0, 4), (0, 8), (1, 8)])
def test_stopped_at_a_step_it_goes_on_to_the_same_bits(whole, made, tmp_path, monkeypatch, trial, step):
    monkeypatch.setattr(finetune, "SAVE_SECONDS", 0.0)
    root = tmp_path / "run"
    with pytest.raises(StoppedError):
        made_run(root, made, progress=stopping_at(step, trial))
    said = []
    made_run(root, made, tell=said.append)
    assert f"trial {trial} goes on at step {step} of 9" in said
    assert files(root) == files(whole)


@pytest.fixture
def threads():
    """How many threads compute in this process; it is set back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_going_on_with_another_number_of_threads_is_said_and_kept(made, tmp_path, threads):
    threads(2)
    with pytest.raises(StoppedError):
        made_run(tmp_path / "run", made, progress=stopping_at(3))
    stored = checkpoints.read_about(tmp_path / "run/trials/000/resume.safetensors")
    assert stored["threads"] == [2]
    said = []
    threads(1)
    with pytest.raises(StoppedError):
        made_run(tmp_path / "run", made, tell=said.append, progress=stopping_at(6))
    assert "trial 0 goes on at step 3 of 9, with 1 thread where it began with 2: the last bits may differ" in said
    threads(2)
    made_run(tmp_path / "run", made, tell=said.append)
    assert "trial 0 goes on at step 6 of 9, with 2 threads after steps with 1: the last bits may differ" in said
    assert [record["threads"] for record in Run(tmp_path / "run").trials()] == [[2, 1], [2]]
    assert checkpoints.read_about(tmp_path / "run/trials/000/model.safetensors")["threads"] == [2, 1]


KILLED = """
import sys, time
import torch
sys.path.insert(0, {tests!r})
torch.set_num_threads({threads})  # of this process: another number adds up in another order
from test_finetune import finetune, found_images, made_run

finetune.SAVE_SECONDS = 0.0
slowly = lambda trial, moment: (print(trial, moment.step, flush=True), time.sleep(0.02))
made_run({run!r}, found_images({data!r}), progress=slowly)
"""


def test_killed_at_any_step_and_started_again_gives_the_same_bits(whole, data, tmp_path, rng):
    root = tmp_path / "run"
    script = KILLED.format(tests=str(Path(__file__).parent), run=str(root), data=str(data), threads=torch.get_num_threads())
    for _ in range(2):
        lines = int(rng.integers(1, 7))
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _, _line in zip(range(lines), process.stdout, strict=False):
                pass
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    made_run(root, found_images(data))
    assert files(root) == files(whole)


def test_what_was_stored_of_another_trial_or_altered_is_not_gone_on_from(whole, made, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "SAVE_SECONDS", 0.0)
    root = tmp_path / "run"
    with pytest.raises(StoppedError):
        made_run(root, made, progress=stopping_at(5))
    file = root / "trials/000/resume.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))
    said = []
    made_run(root, made, tell=said.append)
    assert [line for line in said if line.startswith("the trial begins anew: ") and "was altered" in line]
    assert files(root) == files(whole)


def test_another_seed_gives_another_model_and_the_same_anchor(whole, made, tmp_path):
    made_run(tmp_path / "run", made, replace(RECIPE, trials=1), seed=1)
    theirs, ours = (checkpoints.read(root / "trials/000/model.safetensors")[1] for root in (whole, tmp_path / "run"))
    assert not torch.equal(theirs["fc.weight"], ours["fc.weight"])
    anchors = [checkpoints.read(root / "anchor.safetensors")[1] for root in (whole, tmp_path / "run")]
    assert all(torch.equal(value, anchors[1][key]) for key, value in anchors[0].items())


def test_frozen_statistics_stay_equal_to_the_bit_and_trained_ones_do_not(whole, made, tmp_path):
    anchor = checkpoints.read(whole / "anchor.safetensors")[1]
    kept = [key for key in anchor if "running" in key or "num_batches" in key]
    assert len(kept) == 6
    state = checkpoints.read(whole / "trials/000/model.safetensors")[1]
    assert all(torch.equal(anchor[key], state[key]) for key in kept)
    assert not torch.equal(anchor["trunk.1.weight"], state["trunk.1.weight"]), "what scales and shifts is trained"
    made_run(tmp_path / "run", made, replace(RECIPE, trials=1, statistics="train"))
    state = checkpoints.read(tmp_path / "run" / "trials/000/model.safetensors")[1]
    assert not any(torch.equal(anchor[key], state[key]) for key in kept)


def test_the_linear_probe_leaves_the_trunk_as_it_was(whole):
    anchor, pretrained = checkpoints.read(whole / "anchor.safetensors")[1], loaded(seed=3).module.state_dict()
    assert {key for key in anchor if anchor[key].numpy().tobytes() != pretrained[key].numpy().tobytes()} == {"fc.weight", "fc.bias"}


def test_from_random_weights_every_trial_has_its_own_and_there_is_no_anchor(made, tmp_path):
    recipe = replace(RECIPES["scratch"], trials=2, epochs=1, batch_size=20)
    made_run(tmp_path / "run", made, recipe)
    assert not (tmp_path / "run" / "anchor.safetensors").exists()
    first, second = (checkpoints.read(tmp_path / "run" / f"trials/00{i}/model.safetensors") for i in (0, 1))
    assert first[0]["anchor"] is None
    assert first[0]["methodology"] == "from random weights"
    assert not torch.equal(first[1]["fc.weight"], second[1]["fc.weight"])


def test_a_trial_that_diverges_is_listed_and_the_others_go_on(made, tmp_path, monkeypatch):
    learn = Trial._learn

    def broken(self, lesson, tell):
        if self.draw.trial == 0 and lesson.step == 5:
            raise finetune.FailedError("the loss was nan at step 6 of 9")
        learn(self, lesson, tell)

    monkeypatch.setattr(Trial, "_learn", broken)
    said = []
    table = made_run(tmp_path / "run", made, tell=said.append)
    assert list(table["state"]) == ["failed", "finished"]
    assert "trial 0 failed: the loss was nan at step 6 of 9" in said
    assert not (tmp_path / "run/trials/000/model.safetensors").exists()


def test_a_loss_that_is_not_finite_ends_a_trial(made):
    trial = Trial(job_of(made, replace(RECIPE, learning_rate=(1e30, 1e30))), draw(RECIPE, 0, 0))
    with torch.no_grad():
        trial._module.fc.bias.fill_(torch.nan)

    nowhere = SimpleNamespace(read=quiet, write=quiet)
    assert trial.train(nowhere, quiet, quiet).failed == "the loss was nan at step 1 of 9"


def test_training_images_vary_between_epochs_and_trials_and_validation_images_do_not(made):
    def pixels(plan, step):
        return Lessons(made["train"], SMALL, plan, True, range(step, step + 1))[0].pixels

    plan = Plan(images=40, batch_size=40, epochs=2, seed=0, trial=0)
    one = pixels(plan, 0)
    assert torch.equal(one, pixels(plan, 0))
    assert not torch.equal(one, pixels(plan, 1))
    assert not torch.equal(one, pixels(replace(plan, trial=1), 0))
    assert not torch.equal(one, pixels(replace(plan, seed=1), 0))
    plain = Lessons(made["train"], SMALL, plan, False, range(1))[0]
    row = plan.rows(0)[0]
    assert torch.equal(plain.pixels[0], SMALL.pixels(made["train"].source.image(row)))
    module = loaded(num_classes=3).module
    assert torch.equal(logits_of(module, made["val"], SMALL), logits_of(module, made["val"], SMALL))


def test_every_image_is_seen_once_an_epoch_and_a_last_batch_of_one_is_left_out():
    plan = Plan(images=40, batch_size=13, epochs=2, seed=5, trial=1)
    assert [len(plan.rows(step)) for step in range(plan.steps_an_epoch)] == [13, 13, 13]
    plan = replace(plan, batch_size=12)
    rows = [row for step in range(plan.steps_an_epoch) for row in plan.rows(step)]
    assert sorted(rows) == list(range(40))
    assert rows != [row for step in range(4, 8) for row in plan.rows(step)]
    assert Plan(images=5, batch_size=128, epochs=1, seed=0, trial=0).steps == 1


def test_seeds_of_different_uses_have_nothing_to_do_with_each_other():
    seeds = {seed_of(s, t, p, n) for s in (0, 1) for t in (0, 1) for p in range(4) for n in range(5)}
    assert len(seeds) == 80


def test_the_number_of_processes_changes_nothing(made, monkeypatch):
    plan = Plan(images=40, batch_size=8, epochs=1, seed=0, trial=0)
    one = [lesson.pixels for lesson in lessons(made["train"], SMALL, plan, True, range(5))]
    monkeypatch.setattr("duo_core.training.lessons.crew", lambda *_, **__: Crew(2, 8, ""))
    two = [lesson.pixels for lesson in lessons(made["train"], SMALL, plan, True, range(5))]
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_draws_depend_on_seed_and_number_alone_and_fill_their_range():
    first = [draw(RECIPES["paper"], 7, trial) for trial in range(12)]
    assert [draw(replace(RECIPES["paper"], trials=16), 7, trial) for trial in range(16)][:12] == first
    assert draw(RECIPES["paper"], 8, 0).learning_rate != first[0].learning_rate
    rates = np.log([draw(RECIPES["paper"], 0, trial).learning_rate for trial in range(400)])
    low, high = np.log([1e-6, 3e-4])
    assert low < rates.min() < low + 0.1 < high - 0.1 < rates.max() < high
    assert abs(np.mean(rates) - (low + high) / 2) < 0.3


def test_the_learning_rate_rises_and_then_falls():
    share = schedule(RECIPES["paper"], 100)
    values = [share(step) for step in range(101)]
    assert values[0] == 0.1
    assert max(values) == values[10] == 1
    assert values[:11] == sorted(values[:11])
    assert values[10:] == sorted(values[10:], reverse=True)
    assert values[100] == pytest.approx(0)


def test_parts_of_a_batch_add_up_to_its_gradient(made):
    trial = Trial(job_of(made), draw(RECIPE, 0, 0))
    trial._module.drop.p = 0.0
    finetune.to_training(trial._module, "frozen")
    (lesson,) = lessons(made["train"], SMALL, trial.plan, True, range(1))
    one = trial._gradients(lesson, quiet)
    gradient = trial._module.fc.weight.grad.clone()
    trial._chunk = 5
    assert trial._gradients(lesson, quiet) == pytest.approx(one, abs=1e-6)
    assert torch.allclose(trial._module.fc.weight.grad, gradient, atol=1e-6)


def test_a_batch_that_does_not_fit_is_halved_down_to_eight_images_and_never_on_a_cpu(made, monkeypatch):
    trial = Trial(job_of(made), draw(RECIPE, 0, 0))
    (lesson,) = lessons(made["train"], SMALL, trial.plan, True, range(1))

    def full(self, *_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Trial, "_backward", full)
    with pytest.raises(torch.OutOfMemoryError):
        trial._gradients(lesson, quiet)
    trial.job = replace(trial.job, device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "empty_cache", quiet)
    said = []
    with pytest.raises(InputError, match=r"^'net' cannot be trained in the memory of cuda with 8 images at once"):
        trial._gradients(lesson, said.append)
    assert said == ["13 images do not fit into memory: 8 at once, added up to batches of 13"]


def refused(function, *arguments, **options):
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_run_of_the_same_name_is_refused_and_says_in_what_it_differs(whole, made):
    before = files(whole)
    assert refused(made_run, whole, made, replace(RECIPE, epochs=4), seed=1) == (
        "the run 'run' is another one: it differs in recipe, seed; name a new run, or give the same options as before"
    )
    assert files(whole) == before


def test_two_processes_do_not_train_one_run(whole, made):
    with Run(whole).held():
        assert refused(made_run, whole, made) == "another process trains the run 'run'; wait for it, or name another run"


def test_folded_statistics_are_not_trained(made, tmp_path):
    recipe = replace(RECIPE, statistics="train")
    assert "is folded into its convolutions" in refused(made_run, tmp_path / "run", made, recipe, pretrained=loaded("Folded"))
    assert not (tmp_path / "run").exists()


def test_an_image_that_cannot_be_read_ends_the_run_and_nothing_is_lost(tmp_path, whole):
    made = images(tmp_path / "images")
    file = tmp_path / "images" / "train" / "bee" / "3.png"
    content = file.read_bytes()
    made_run(tmp_path / "run", made, replace(RECIPE, trials=1))
    file.write_bytes(b"no image")
    assert "the image 'bee/3.png'" in refused(made_run, tmp_path / "run", made)
    file.write_bytes(content)
    made_run(tmp_path / "run", made)
    assert files(tmp_path / "run", "trials/*/*") == files(whole, "trials/*/*")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"trials": 0}, "at least one trial, got 0"),
        ({"epochs": 0}, "at least one epoch, got 0"),
        ({"batch_size": 1}, "batches of at least 2 images, got 1"),
        ({"statistics": "no"}, "statistics frozen or train, got 'no'"),
        ({"learning_rate": (0.0, 1.0)}, "learning rates from a number above 0 to one as high, got (0.0, 1.0)"),
        ({"weight_decay": (1.0, 0.5)}, "weight decays from a number above 0 to one as high, got (1.0, 0.5)"),
        ({"warm_up": 2.0}, "a warm-up between 0 and 1, got 2.0 from 0.1"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(change, expected):
    assert refused(replace, RECIPES["paper"], **change) == f"expected a recipe with {expected}"


def test_bfloat16_is_another_run(whole, made, tmp_path):
    assert "differs in precision" in refused(made_run, whole, made, precision="bfloat16")
    made_run(tmp_path / "run", made, replace(RECIPE, trials=1, epochs=1), precision="bfloat16")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["precision"] == "bfloat16"


def test_bfloat16_goes_on_to_the_same_bits(made, tmp_path, monkeypatch):
    recipe = replace(RECIPE, trials=1, epochs=2)
    made_run(tmp_path / "whole" / "run", made, recipe, precision="bfloat16")
    monkeypatch.setattr(finetune, "SAVE_SECONDS", 0.0)
    with pytest.raises(StoppedError):
        made_run(tmp_path / "run", made, recipe, progress=stopping_at(4), precision="bfloat16")
    made_run(tmp_path / "run", made, recipe, precision="bfloat16")
    assert files(tmp_path / "run") == files(tmp_path / "whole" / "run")


def test_trials_are_chosen_by_macro_f1_where_it_is_asked_for(made, tmp_path):
    made_run(tmp_path / "run", made, replace(RECIPE, trials=1), metric="macro_f1")
    about = checkpoints.read_about(tmp_path / "run/trials/000/model.safetensors")
    best = max(about["curve"], key=lambda record: (record["macro_f1"], -record["nll"]))
    assert about["best_epoch"] == best["epoch"]
    assert about["score"]["macro_f1"] == best["macro_f1"]


def test_progress_says_trial_epoch_rate_time_left_and_the_best_so_far(made, monkeypatch):
    seconds = iter([0.0, 0.0, 10.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr("duo_core.training.meter.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    shown = []
    meter = Meter(job_of(made), shown.append)
    best = score(torch.eye(3), torch.tensor([0, 1, 1]), "accuracy")
    meter(0, finetune.Moment(step=2))
    meter(0, finetune.Moment(step=3, best=best))
    assert [str(one) for one in shown] == [
        " 11%  trial 0 of 0..1, epoch 1 of 3, 0 images/s",
        " 17%  trial 0 of 0..1, epoch 2 of 3, 1 images/s, 2:30 left, best 0.6667 (trial 0)",
    ]
    assert (shown[1].done, shown[1].total) == (3, 18)


def test_costs_are_three_passes_a_training_image_and_are_said(made):
    job = job_of(made)
    found = training_cost(job, measured=True)
    once = 27 * 6 * 7 * 7 + 54 * 8 * 3 * 3 + 8 * 3
    assert (found.multiply_adds, found.a_trial) == (once, 3 * once * 40 * 3)
    assert found.images == 2 * (3 * 40 * 3 + 24 * 3) + 64
    assert str(found).startswith("2 trials of 4.27 M multiply-adds (3 x 11.8 k x images x epochs), 8.53 M together; about 0:0")
    assert best_precision(torch.device("cpu")) in ("float32", "bfloat16")
