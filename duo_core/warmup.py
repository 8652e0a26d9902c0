"""Load what is compiled before somebody waits for it; when installed, also evaluate the sets in the store for pages to open on."""

import functools
import gc
import sys
import time
from collections.abc import Sequence

import torch

from duo_core.figures.curves import risk_coverage
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics.intervals import differences
from duo_core.systems.judging import judge_members
from duo_core.systems.newton import LARGE
from duo_core.systems.pair_predicting import WIDE
from duo_core.systems.remembered import swept
from duo_core.systems.sweep import evaluate, sweep


@functools.cache
def load() -> None:
    """Run everything that is compiled once, on the kinds of arrays that occur, and forget what comes out."""
    for k, n in ((10, 20), (2 * WIDE, LARGE // (2 * WIDE) + 1)):
        own = _noise(k, n)
        sweep(own)
        found = evaluate(own, "one", "other", "test").predictions
        differences(found["duo"], found["base"], replicates=2)
        risk_coverage(found)


def load_systems() -> None:
    """The same for systems of three members, which no page asks for yet: when installed, so that the command line need not wait."""
    for k, n in ((10, 20), (2 * WIDE, LARGE // (2 * WIDE) + 1)):
        judge_members(_noise(k, n, ("one", "other", "third")), ("one", "other", "third"))


def settle() -> None:
    """Have Python's garbage collector pass over all that is there now: a server's libraries stay, and to look through them takes
    a fifth of a second, in the middle of whichever answer has its turn."""
    gc.collect()
    gc.freeze()


def _noise(k: int, n: int, models: Sequence[str] = ("one", "other")) -> LogitSet:
    """Models that know nothing, n images to fit on and ten to judge."""
    generator = torch.Generator().manual_seed(0)
    arrays = {
        (model, split): torch.randn(rows, k, generator=generator)
        for model in models
        for split, rows in ((FIT_SPLIT, n), ("test", 10))
    }
    labels = {split: array.argmax(1) for (_, split), array in arrays.items()}
    cards = {model: Card(model, model, "noise", multiply_adds=1) for model, _ in arrays}
    return LogitSet("noise", "Noise", tuple(map(str, range(k))), labels, cards, arrays)


def main() -> None:
    """Load what is compiled and remember every pair of the store's sets."""
    start = time.perf_counter()
    torch.set_num_threads(1)
    load()
    load_systems()
    store = Store()
    for name in store.names():
        swept(store.open(name), store.path)
    print(f"Compiled and evaluated what is shipped in {time.perf_counter() - start:.0f} s.", file=sys.stderr)


if __name__ == "__main__":
    main()
