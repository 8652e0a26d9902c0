"""Done once after installing: compile what is compiled on first use, and evaluate the sets in the store, for pages to open on."""

import sys
import time

import torch

from duo_core.duo import LARGE, fit
from duo_core.intervals import differences
from duo_core.results import swept
from duo_core.store import Store
from duo_core.sweep import evaluate, pairs


def warm_up() -> None:
    """Run everything that is compiled, on the kinds of arrays that occur, and remember every pair of the store's sets."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    k = 256
    one, other = (torch.randn(LARGE // k + 1, k, generator=generator) for _ in range(2))
    fit(one, other, one.argmax(1))
    fit(one.double(), other.double(), one.argmax(1))
    store = Store()
    for name in store.names():
        own = store.open(name)
        swept(own, store.path)
        for split in own.evaluation_splits[:1]:
            for pair in pairs(own, *own.labels)[:1]:
                found = evaluate(own, *pair, split).predictions
                differences(found["duo"], found["base"], replicates=2)


if __name__ == "__main__":
    start = time.perf_counter()
    warm_up()
    print(f"Compiled and evaluated what is shipped in {time.perf_counter() - start:.0f} s.", file=sys.stderr)
