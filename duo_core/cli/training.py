"""`duo finetune` and `duo soup`: models trained on images, and averages of their weights."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duo_core.cli.arguments import assignment, json_object, number, positive, seed, unique
from duo_core.cli.options import BENCHMARKS, Commands, class_options, device_option, images_of, json_option, new_command
from duo_core.cli.printing import print_json, say, show
from duo_core.cli.tasks import engine_options, fail_with, run_tasks, write_plan
from duo_core.common import places
from duo_core.common.arrays import InputError
from duo_core.common.files import checked_name

if TYPE_CHECKING:
    from duo_core.models.zoo import LoadedModel
    from duo_core.training.asking import Asked
    from duo_core.training.finetune import Job
    from duo_core.training.folders import Run

METHODS = ("uniform", "greedy", "stock")
RECIPES = ("paper", "paper-v1", "scratch")
METRICS = ("accuracy", "macro_f1")
RANGES = ("learning_rate", "weight_decay")
SPLITS = ("train", "val")
ROLES = {"val": "the images that choose hyper-parameters and soups, and that temperatures may be fitted on"}


def add_finetune(commands: Commands) -> None:
    """Add `duo finetune`."""
    command = new_command(commands, "finetune", finetune, "train trials from one linear probe; stopped, it goes on where it was")
    command.add_argument("--show", metavar="RUN", help="print the table of a run's trials, and do nothing else")
    command.add_argument("--name", metavar="RUN", help="the run: a new one, or one that goes on")
    command.add_argument("--model", metavar="MODEL", help="NAME, timm/NAME, torchvision/NAME[:WEIGHTS] or module:callable")
    command.add_argument("--checkpoint", type=Path, metavar="FILE", help="the weights to start from, where no library has them")
    command.add_argument("--weights", metavar="WHICH", help="of a checkpoint: raw, ema (averaged), or a key")
    command.add_argument("--arguments", type=json_object, default={}, metavar="JSON", help="constructor arguments")
    command.add_argument(
        "--transform", type=json_object, metavar="JSON", help="fields of the evaluation transform that differ from the model's own"
    )
    command.add_argument("--recipe", choices=RECIPES, default="paper", help="default paper; scratch trains from random weights")
    command.add_argument("--trials", type=positive, metavar="N", help="so many draws of learning rate and weight decay")
    command.add_argument("--epochs", type=positive, metavar="E", help="of each trial (default by recipe)")
    command.add_argument("--batch-size", type=positive, metavar="N", help="images a step (default 128)")
    for option in RANGES:
        command.add_argument(
            f"--{option.replace('_', '-')}", nargs=2, type=number, metavar=("LOW", "HIGH"), help="drawn log-uniformly between them"
        )
    command.add_argument("--batchnorm", choices=["frozen", "train"], help="its statistics (default frozen; of scratch: train)")
    command.add_argument("--no-augment", action="store_true", help="leave out RandAugment and the flips")
    command.add_argument("--metric", choices=METRICS, help="what trials are chosen by (default accuracy; of iwildcam macro_f1)")
    command.add_argument("--seed", type=seed, default=0, help="of everything that is drawn (default 0)")
    device_option(command)
    command.add_argument(
        "--precision",
        choices=["auto", "float32", "tf32", "bfloat16"],
        default="auto",
        help="of training; auto (default) is bfloat16 autocast where the processor has it",
    )
    _image_options(command)
    engine_options(command, "the trials")
    command.add_argument("--throughput", type=number, metavar="X", help="multiply-adds a second, to say how long so many take")
    command.add_argument("--dry-run", action="store_true", help="say what there is to do and how long it takes, and train nothing")


def add_soup(commands: Commands) -> None:
    """Add `duo soup`."""
    command = new_command(commands, "soup", soup, "average the weights of a run's trials: uniform or greedy soup, Model Stock")
    command.add_argument("--run", required=True, metavar="RUN", dest="run_name", help="whose trials")
    command.add_argument("--method", required=True, choices=METHODS, help="stock is Model Stock")
    command.add_argument(
        "--of",
        nargs="+",
        action="extend",
        default=[],
        metavar="TRIAL",
        help="numbers of trials, or files (default: all that finished)",
    )
    command.add_argument("--name", metavar="NAME", help="of the file (default: the method, and what it is of)")
    command.add_argument("--model", metavar="MODEL", help="module:callable, where the run is of own code")
    device_option(command)
    _image_options(command)


def _image_options(command: argparse.ArgumentParser) -> None:
    """Add where the images are, how they are read, and where runs lie."""
    command.add_argument(
        "--images",
        nargs="+",
        action="extend",
        default=[],
        type=assignment,
        metavar="SPLIT=SOURCE",
        help=f"train=... val=...; or {BENCHMARKS}",
    )
    command.add_argument("--runs", type=Path, metavar="DIR", help="folder of runs (default: DUO_RUNS, else runs/ of a checkout)")
    class_options(command)
    json_option(command)


def finetune(options: argparse.Namespace) -> None:
    """Train a run to its end, or show one."""
    if options.show:
        _show(_run(options, options.show), options.json)
        return
    for option in ("name", "model"):
        if not getattr(options, option):
            raise InputError(f"expected --name, --model and --images, or --show RUN, got no --{option}")
    asked = _asked(options)
    job, pretrained = asked.job(options.device, _tell)
    _tell(f"{job.precision} on {job.device}; val has {ROLES['val']}; test is not read")
    if options.dry_run:
        _say_cost(job, options)
        return
    if options.plan or options.engine == "ray":
        _tasks(asked, job, pretrained, options)
        if options.plan:
            return
    else:
        _say_cost(job, options)
    _make(asked.run, job, pretrained)
    _show(asked.run, options.json)


def _make(run: "Run", job: "Job", pretrained: "LoadedModel") -> None:
    """Bring a run to its end: what other processes have trained is found."""
    from duo_core.inference.progress import Printer
    from duo_core.training.meter import Meter
    from duo_core.training.runs import make

    make(run, job, pretrained, _tell, Meter(job, Printer(sys.stderr), _best(run, job)))


def _say_cost(job: "Job", options: argparse.Namespace) -> None:
    from duo_core.inference.progress import clock
    from duo_core.training.costs import training_cost

    found = training_cost(job, measured=True)
    rate = options.throughput
    _tell(f"{found}; {clock(found.multiply_adds * found.images / rate)} at {rate:.3g} a second" if rate else str(found))


def _tasks(asked: "Asked", job: "Job", pretrained: "LoadedModel", options: argparse.Namespace) -> None:
    """Write down or run the trials that have not ended; what all start from is made first."""
    from duo_core.cluster.trials import TrialTask, trial_tasks
    from duo_core.training.runs import agree

    agree(asked.run, job, pretrained, _tell)
    tasks = trial_tasks(asked, job.recipe.trials)
    if options.plan:
        write_plan(options, tasks)
        return
    first = [TrialTask(asdict(asked), None)] if job.recipe.probe and tasks else []
    fail_with(run_tasks(options, first))
    fail_with(run_tasks(options, tasks))


def _asked(options: argparse.Namespace) -> "Asked":
    """The options as plain values, paths as other processes find them."""
    from duo_core.images.benchmarks import metric_of
    from duo_core.training.asking import Asked

    images = images_of(options, SPLITS, _tell)
    texts = {name: str(Path(text).resolve()) if Path(text).exists() else text for name, text in images.items()}
    same = [*RANGES, "batchnorm", "no_augment", "seed", "precision", "model", "class_index", "class_folder"]
    same += ["weights", "arguments", "transform", "recipe", "trials", "epochs", "batch_size"]
    return Asked(
        folder=str(_run(options, options.name).folder.resolve()),
        images=texts,
        checkpoint=str(options.checkpoint.resolve()) if options.checkpoint else None,
        metric=options.metric or metric_of(unique(options.images, "--images")),
        **{key: getattr(options, key) for key in same},
    )


def _tell(sentence: str) -> None:
    say(f"duo finetune: {sentence}", sys.stderr)


def _run(options: argparse.Namespace, name: str) -> "Run":
    from duo_core.training.folders import Run

    return Run((options.runs or places.runs()) / checked_name(name, "run"))


def _best(run: "Run", job: "Job") -> Any:
    """The best of the trials that have ended in an earlier call, and its number."""
    from duo_core.training.scores import Score

    ended = [(Score(**record["score"]), record["trial"]) for record in run.trials() if record["score"]]
    return min(ended, key=lambda one: one[0].loss, default=None) if job.recipe.trials else None


def _show(run: "Run", as_json: bool) -> None:
    """Print a run's trials, the best said first."""
    known, table = run.about(), run.table()
    if as_json:
        print_json({"run": run.name, "folder": str(run.folder), **known, "trials": run.trials()})
        return
    recipe, folder = known["recipe"]["name"], run.folder
    say(f"{run.name}: {known['model']}, recipe {recipe}, seed {known['seed']}, {known['precision']}; '{folder}'")
    done = table[table["state"] == "finished"].sort_values([known["metric"], "nll"], ascending=[False, True], kind="stable")
    if len(done):
        best = done.iloc[0]
        say(f"best trial {best['trial']}: {known['metric']} {best[known['metric']]:.4f} on val, NLL {best['nll']:.4f}")
    shown = ["trial", "state", "learning_rate", "weight_decay", "best_epoch", "accuracy", "macro_f1", "nll"]
    if len(table):
        formats = dict.fromkeys(RANGES, "{:.3g}".format)
        say(table[shown].to_string(index=False, float_format="{:.4f}".format, formatters=formats, na_rep="-"))
    for record in run.trials():
        if record["reason"]:
            say(f"trial {record['trial']} failed: {record['reason']}")


def soup(options: argparse.Namespace) -> None:
    """Average trials of a run; say what went in and what came of it."""
    from duo_core.inference.progress import Printer
    from duo_core.models.devices import compute_device
    from duo_core.training.asking import images_of as splits_of
    from duo_core.training.soups import make_soup

    def tell(sentence: str) -> None:
        say(f"duo soup: {sentence}", sys.stderr)

    device = compute_device(options.device)
    run = _run(options, options.run_name)
    run.about()  # before images are listed
    found = make_soup(
        run,
        options.method,
        splits_of(images_of(options, SPLITS, tell), options.class_index, options.class_folder, ["val"], tell),
        of=options.of,
        name=options.name,
        own_code=options.model,
        device=device,
        show=Printer(sys.stderr),
    )
    if options.json:
        print_json({"file": str(found.file), "sha256": found.sha256, **found.about})
        return
    _print_soup(found.file, found.about)


def _print_soup(file: Path, about: Mapping[str, Any]) -> None:
    whole, best, kept = about["score"], about["best_alone"], about["kept"]
    single = " (the greedy soup is the best single trial)" if about["methodology"] == "greedy soup" and kept == 1 else ""
    say(f"{about['methodology']} of {kept} of {len(about['ingredients'])} trials{single} in '{file}'")
    for name, one in (("soup", whole), ("best trial", best)):
        say(f"{name:10}  {one['right']:,} of {one['n']:,} right on val, macro F1 {one['macro_f1']:.4f}, NLL {one['nll']:.4f}")
    if "clamped" in about:
        ratios = sorted(about["ratios"].values())
        middle = f", median t {ratios[len(ratios) // 2]:.3f}" if ratios else ""
        say(f"{len(about['clamped'])} of {len(ratios)} tensors clamped at t = 0{middle}")
    statistics = about["statistics"]
    say(f"BatchNorm statistics {statistics['taken']}{f' ({why})' if (why := statistics.get('why')) else ''}")
    rows = [
        {
            "trial": one["name"],
            "kept": "copy" if one.get("copy") else "yes" if one["kept"] else "no",
            "right": one["score"]["right"],
            "nll": f"{one['score']['nll']:.4f}",
            "drop": one.get("drop"),
            "learning_rate": f"{one['learning_rate']:.3g}",
            "weights_sha256": one["weights_sha256"][:12],
        }
        for one in about["ingredients"]
    ]
    show(rows, False)
    if about["failed"]:
        say(f"failed, and in no soup: trial {', '.join(map(str, about['failed']))}")
