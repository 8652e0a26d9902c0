"""A logit set whose every name tries to be markup, and reports about it."""

from pathlib import Path

import torch

from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.report import pair_report, set_report
from duo_core.systems.sweep import evaluate, sweep

ATTACK = "<script>window.attacked = 1</script>"
IMAGE = "<img src=https://outside.example/x onerror=window.attacked=1>"
MODELS = {f"large {ATTACK}": (4.0, 800), f"middle & {IMAGE}": (3.0, 200), "small </script>\"'": (2.5, 80), "tiny <b>": (2.0, 40)}
PAIR = tuple(MODELS)[:2]


def hostile_set(*, costs: bool = True, n: int = 200, k: int = 4, certain: bool = False) -> LogitSet:
    """A set in memory, as an upload is one: its names were never checked. `certain` models are always right."""
    random = torch.Generator().manual_seed(5)
    splits = ("val", "test", "shift")
    labels = {split: torch.randint(0, k, (n,), generator=random) for split in splits}
    arrays = {}
    for name, (strength, _) in MODELS.items():
        for split in splits:
            noise = torch.randn(n, k, generator=random) * (not certain)
            noise[torch.arange(n), labels[split]] += strength
            arrays[name, split] = noise
    cards = {
        name: Card(name, f"toy/{ATTACK}", "upload", family=f"Net {IMAGE}", multiply_adds=cost if costs else None, weights=ATTACK)
        for name, (_, cost) in MODELS.items()
    }
    about = {"source": f"{IMAGE} https://outside.example", "licence": ATTACK, "how": {"test": ATTACK}}
    return LogitSet("toy", f"The set {ATTACK}", tuple(f"{ATTACK} {i}" for i in range(k)), labels, cards, arrays, about=about)


def hostile_pair_report(**options: object) -> str:
    return pair_report(evaluate(hostile_set(), *PAIR), replicates=50, **options)


def hostile_set_report(**options: object) -> str:
    own = hostile_set()
    return set_report(own, sweep(own, ["test"]), entropy=sweep(own, ["test"], kind="entropy"), replicates=50, **options)


MARKUP = (
    "![evil](https://outside.example/i.png)",
    "[evil](https://outside.example)",
    "<img src=https://outside.example/x onerror=window.attacked=1>",
    "<https://outside.example/evil>",
    "https://outside.example/evil",
    "www.outside.example/evil",
    "evil@outside.example",
    "**evil**",
    "_evil_",
    "`evil`",
    "~~evil~~",
    "$evil$",
    ":red[evil]",
    ":material/skull:",
    "&lt;evil&gt;",
)
"""What Markdown, its extensions in Streamlit, or a chart would make something of."""


def written_names(what: str) -> list[str]:
    """Names that are markup, one of each kind."""
    return [f"{what} {i} {markup}" for i, markup in enumerate(MARKUP)]


def hostile_store(path: Path, n: int = 150) -> Path:
    """A store with a set whose every text is markup; names of models are names of files, which the store has few letters for."""
    random, classes = torch.Generator().manual_seed(3), written_names("class")
    splits = {"val": "val", "test": "test", "shift": f"shift {MARKUP[1]}"}
    labels = {split: torch.randint(0, len(classes), (n,), generator=random) for split in splits.values()}
    every = " ".join(MARKUP)
    store = Store(path)
    store.prepare(
        "hostile",
        title=f"# {every}",
        classes=classes,
        labels=labels,
        ids={split: [f"{at} {every}" for at in range(n)] for split in labels},
        source=every,
        licence=every,
        details={"how": dict.fromkeys(labels, every)},
    )
    for at, name in enumerate(("large", "middle", "small", "www.tiny")):
        logits = {}
        for split, y in labels.items():
            logits[split] = torch.randn(n, len(classes), generator=random)
            logits[split][torch.arange(n), y] += 4 - at
        known = {"multiply_adds": 1000 >> at, "parameters": 1000 >> at, "images_per_second": 10.0 * (at + 1), "device": every}
        card = Card(name, every, "python", weights=every, family=f"{every} {at // 2}", versions={every: every}, **known)
        store.write_model("hostile", card, logits)
    return path
