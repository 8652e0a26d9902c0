"""Sentences and tables on trained models: runs, trials, soups, and what they cost."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from duo_core.common.plaintext import as_markdown
from duo_core.figures.screen import SCREEN
from duo_core.training.recipes import PASSES
from duo_core.training.watching import Watched

LABELS = {"accuracy": "Accuracy", "macro_f1": "Macro F1"}
START = "duo finetune --name RUN --model timm/mobilenetv3_small_100 --images train=FOLDER val=FOLDER --trials 4"
CHOSEN = "Epoch, trial and soup are chosen on the validation images; training reads no test image."
DECAY = "At these learning rates a weight decay this small has no effect; it is drawn at random because the paper does so."
WHAT_A_SOUP_COSTS = (
    "Training is counted as three forward passes for each image and epoch. A soup is the average of several trials' weights: it "
    "costs the training of every trial that was considered, kept or not, but runs as one model."
)
HASH = 12
"""Letters that stand for a SHA-256 on screen."""


def multiply_adds(count: float | None) -> str:
    """A number of multiply-adds in words.

    >>> multiply_adds(3.02e12), multiply_adds(None)
    ('3.02 trillion multiply-adds', 'an unknown number of multiply-adds')
    """
    if count is None:
        return "an unknown number of multiply-adds"
    units = ((1e18, " quintillion"), (1e15, " quadrillion"), (1e12, " trillion"), (1e9, " billion"), (1e6, " million"), (1, ""))
    factor, unit = next((pair for pair in units if count >= pair[0]), (1, ""))
    return f"{count / factor:.3g}{unit} multiply-adds"


def facts(run: Watched) -> str:
    """What a run is, in one line of Markdown."""
    about, recipe = run.about, _mapping(run.about.get("recipe"))
    images = {name: _mapping(about["images"].get(name)).get("images") for name in ("train", "val")}
    parts = [
        as_markdown(str(about["model"])),
        f"recipe {as_markdown(str(recipe.get('name', 'unknown')))}, {recipe.get('epochs', '?')} epochs",
        f"seed {about['seed']}",
        as_markdown(str(about["precision"])),
        f"{_count(images['train'])} images to train on, {_count(images['val'])} to choose on",
    ]
    return " · ".join(parts)


def standing(run: Watched) -> str:
    """How far a run is and what is best so far, in Markdown."""
    done, metric = run.finished, run.metric
    ended, failed = len(done), int((run.trials["state"] == "failed").sum())
    counted = f"{ended} trial{'s' * (ended != 1)} finished" + (f", {failed} failed" if failed else "")
    if not ended:
        return f"{counted[0].upper()}{counted[1:]}. {_under_way(run)}".strip()
    best = done.iloc[0]
    probe = f"; the linear probe that all start from {SCREEN[metric].text(run.probe[metric])}" if metric in run.probe else ""
    best_value = SCREEN[metric].text(best[metric])
    return (
        f"**Trial {best['trial']} is best{' so far' if run.is_live else ''}**: {LABELS[metric].lower()} {best_value}, NLL "
        f"{SCREEN['nll'].text(best['nll'])}, learning rate {best['learning_rate']:.3g}{probe}. {counted}. {_under_way(run)}"
    ).strip()


def _under_way(run: Watched) -> str:
    """Which trials have not ended, and whether somebody seems to train them."""
    open_trials = run.trials.loc[run.trials["state"] == "under way", "trial"].tolist()
    if not open_trials:
        return ""
    many = len(open_trials) > 1
    which = f"Trial{'s' * many} {', '.join(map(str, open_trials))}"
    if not run.is_live:
        was, it = ("were", "them") if many else ("was", "it")
        return f"{which} {was} interrupted: the same `duo finetune` command goes on with {it}."
    epochs = run.epochs[run.epochs["trial"].isin(open_trials)]
    last = 0 if many or epochs.empty else int(epochs["epoch"].max())
    reached = f", {last} epoch{'s' * (last != 1)} done" if last else ""
    return f"{which} {'are' if many else 'is'} under way{reached}."


def cost(run: Watched) -> str:
    """What a run's trials cost, and how that comes about."""
    each = run.cost
    if each is None:
        return "The multiply-adds of this model are unknown, so the cost of its training is, too."
    recipe, once = run.about["recipe"], run.about["multiply_adds"]
    ended = int(run.trials["state"].isin(["finished", "failed"]).sum())
    images = run.about["images"]["train"]["images"]
    total = f"; {ended} trials {multiply_adds(each * ended)}" if ended > 1 else ""
    return (
        f"A trial costs {multiply_adds(each)}: {PASSES} passes of {multiply_adds(once)} for each of {images:,} images in "
        f"{recipe['epochs']} epochs{total}."
    )


def of_angle(degrees: float, cosine: float, ratio: float) -> str:
    """What Model Stock makes of the angle between two trials.

    >>> of_angle(60.0, 0.5, 2 / 3).partition(" of the way")[0]
    'Here two trials lie 60° apart as seen from the anchor, the model that both started from. Their cosine is c = 0.50, so **Model \
Stock** goes t = 0.67'
    """
    return (
        f"Here two trials lie {degrees:.0f}° apart as seen from the anchor, the model that both started from. Their cosine is "
        f"c = {cosine:.2f}, so **Model Stock** goes t = {ratio:.2f} of the way from the anchor to their mean. The reason: the part "
        "of their moves that trials share is signal, the rest is noise, which an average of many more would cancel. Trials that "
        "moved alike give t = 1, the mean; at right angles t = 0, the anchor. Each tensor has its own t, 0 where c is negative."
    )


def soup_line(training: Mapping[str, Any]) -> str:
    """What a soup is of and how it did, in one line; of what is said of it as a card or a header has it."""
    rows, method = ingredients(training), as_markdown(str(training.get("methodology", "average")))
    kept = int((rows["kept"] == "yes").sum())
    single = ": the best single trial, as adding any other did not help" if method == "greedy soup" and kept == 1 else ""
    whole, best = _mapping(training.get("score")), rows["right"].max()
    right, n = whole.get("right"), whole.get("n")
    judged = f" {right:,} of {n:,} validation images right" if isinstance(right, int) and isinstance(n, int) else ""
    beside = f", its best ingredient {int(best):,}" if judged and pd.notna(best) else ""
    clamped = training.get("clamped")
    stock = f" {len(clamped)} tensors were left at the anchor, where the trials moved apart." if isinstance(clamped, list) else ""
    anchor = training.get("anchor")
    start = f" All start from the anchor `{anchor[:HASH]}`." if isinstance(anchor, str) and anchor.isalnum() else ""
    return f"{method[0].upper()}{method[1:]} of {kept} of {len(rows)} trials{single}.{judged}{beside}.{stock}{start}".replace(
        "..", "."
    )


def ingredients(training: Mapping[str, Any]) -> pd.DataFrame:
    """The trials that a soup looked at, in its order: `trial`, `kept` (yes, no or copy), `right`, `n`, `nll`, `drop`,
    `learning_rate` and `weights_sha256`.

    `drop` is by how many percentage points the metric was lower with the trial than without; missing where it was not tried.
    """
    found = training.get("ingredients")
    rows = [_ingredient(one) for one in found if isinstance(one, Mapping)] if isinstance(found, list | tuple) else []
    return pd.DataFrame(rows, columns=["trial", "kept", "right", "n", "nll", "drop", "learning_rate", "weights_sha256"])


def _ingredient(one: Mapping[str, Any]) -> dict[str, Any]:
    score = _mapping(one.get("score"))
    return {
        "trial": str(one.get("name", one.get("trial", "unnamed"))),
        "kept": "copy" if one.get("copy") else "yes" if one.get("kept") else "no",
        **{key: _float(score.get(key)) for key in ("right", "n", "nll")},
        "drop": None if (drop := _float(one.get("drop"))) is None else 100 * drop,
        "learning_rate": _float(one.get("learning_rate")),
        "weights_sha256": str(one.get("weights_sha256", ""))[:HASH],
    }


def recipes(cards: Mapping[str, Any]) -> pd.DataFrame:
    """How the models of a set that were trained here came about, one row a model; of cards, those that say nothing left out."""
    rows = [{"model": name, **_trained(card.training)} for name, card in cards.items() if isinstance(card.training, Mapping)]
    columns = [
        "model",
        "method",
        "run",
        "recipe",
        "seed",
        "learning_rate",
        "weight_decay",
        "best_epoch",
        "epochs",
        "cost",
        "anchor",
    ]
    return pd.DataFrame(rows, columns=columns)


def _trained(training: Mapping[str, Any]) -> dict[str, Any]:
    recipe = _mapping(training.get("recipe"))
    anchor = training.get("anchor")
    return {
        "method": _text(training.get("methodology")),
        "run": _text(training.get("run")),
        "recipe": _text(recipe.get("name")),
        **{key: _float(training.get(key)) for key in ("seed", "learning_rate", "weight_decay", "best_epoch")},
        "epochs": _float(recipe.get("epochs")),
        "cost": _float(training.get("training_multiply_adds")),
        "anchor": anchor[:HASH] if isinstance(anchor, str) else None,
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "an unknown number of"
