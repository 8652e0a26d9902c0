"""What more than two members cost, as ratios to a pair's times taken in this one run; the logits are synthetic."""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import synthetic
from benchmarks.speed import line
from benchmarks.yardsticks import floor
from duo_core.common.parallel import cores
from duo_core.logits import FIT_SPLIT
from duo_core.logits.store import Store
from duo_core.systems.enumeration import systems_of
from duo_core.systems.fitting import calibrate, fit_calibrated
from duo_core.systems.judging import fit_system
from duo_core.systems.predicting import predictions
from duo_core.systems.sweep import sweep
from duo_core.systems.system import System
from duo_core.systems.weighing import fit_members

ROOT = Path(__file__).resolve().parents[1]
TURNS = 9


def ratio(work: Callable[[], object], yardstick: Callable[[], object]) -> float:
    """Median over turns of how many times as long the work takes; neighbours in time share the machine's speed."""
    work(), yardstick()
    return median(timed(work) / timed(yardstick) for _ in range(TURNS))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fitting(n: int, k: int) -> None:
    """The weights of more members, each calibrated before, against a pair's."""
    own = synthetic.logit_set(8, n=1, n_fit=n, k=k)
    names, labels = list(own.cards), own.labels[FIT_SPLIT]
    alone = [calibrate(own.logits(name, FIT_SPLIT), labels) for name in names]
    print(f"\nFit on {n:,} x {k:,}: times a pair's ({timed(lambda: fit_calibrated(*alone[:2])) * 1e3:.0f} ms)")
    for m in (3, 4, 8):
        found = ratio(lambda m=m: fit_members(names[:m], alone[:m], ["fitted"]), lambda: fit_calibrated(*alone[:2]))
        line(f"{m} members", f"{found:.2f}", "target <= 3" if m == 3 else "")


def reduction(n: int, k: int) -> None:
    """One system on the judged split, against a pair: the class, the doubts and what is averaged of every image."""
    own = synthetic.logit_set(8, n=n, n_fit=500, k=k)
    names, labels = list(own.cards), own.labels["test"]
    logits = {name: own.logits(name, "test") for name in names}

    def work(m: int, rule: str = "fitted") -> Callable[[], object]:
        members = tuple(names[:m])
        asked = [(System(members, rule), fit_system(own, members, rules=[rule]))]
        return lambda: predictions({name: logits[name] for name in members}, labels, asked)

    def several(m: int) -> Callable[[], object]:
        """Ten systems from one pass over eight models, as an enumeration has them."""
        groups = [tuple(names[(i + j) % 8] for j in range(m)) for i in range(8)] + [tuple(names[i::2][:m]) for i in (0, 1)]
        asked = [(System(members), fit_system(own, members, rules=["fitted"])) for members in groups]
        return lambda: predictions(logits, labels, asked)

    print(f"\nReduction of {n:,} x {k:,}: times a pair's")
    target = "target <= 2.2" if k == 1000 else "target <= 1.1"
    line("3 members, one system", f"{ratio(work(3), work(2)):.2f}")
    line("3 members, ten systems of eight models", f"{ratio(several(3), several(2)):.2f}", target)
    line("4 members, ten systems of eight models", f"{ratio(several(4), several(2)):.2f}")
    line("3 members, mean of probabilities", f"{ratio(work(3, 'probabilities'), work(2)):.2f}")


def enumeration() -> None:
    """Every system of up to three of the shipped models, by every rule and every metric, against all pairs both ways."""
    own = Store(ROOT / "data").open("cifar10")
    sweep(own, ["test"])
    everything = timed(lambda: systems_of(own, 3, ["test"]))  # compiled by then
    seconds, pairs = timed(lambda: systems_of(own, 3, ["test"])), timed(lambda: sweep(own, ["test"]))
    print(f"\nAll systems of up to three of {len(own.cards)} shipped models: {min(seconds, everything):.1f} s on {cores()} cores")
    line("seconds", f"{min(seconds, everything):.1f}", "target <= 6 on two free cores")
    line("times the sweep over all pairs", f"{seconds / pairs:.1f}")


def of_imagenet_size(models: int) -> None:
    """Every system of up to three of so many models, weights fitted, at ImageNet size, against one exponential a logit each."""
    own = synthetic.logit_set(models, n=47_500, n_fit=2_500, k=1000)
    name = next(iter(own.cards))
    at_least = floor(own.logits(name, "test")).exponential
    count = models + math.comb(models, 2) + math.comb(models, 3)
    seconds = timed(lambda: systems_of(own, 3, ["test"], rules=["fitted"]))
    print(f"\nAll {count:,} systems of up to three of {models} models, 47,500 x 1,000: {seconds:.0f} s on {cores()} cores")
    line("seconds, of all 4,525 of thirty models", f"{seconds * 4525 / count:.0f}", "target <= 300 on two free cores")
    line(f"times one exponential a system ({at_least * 1e3:.1f} ms)", f"{seconds / (at_least * count):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=8, help="at the size of ImageNet (default 8; all 4,525 systems: 30, 12 GB)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    of_imagenet_size(options.models)
    enumeration()
    fitting(2500, 1000)
    for n, k in ((200_000, 10), (50_000, 100), (10_000, 1000)):
        reduction(n, k)


if __name__ == "__main__":
    main()
