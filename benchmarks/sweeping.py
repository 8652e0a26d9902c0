"""All systems of up to three members: those of the shipped set, and those of thirty models at ImageNet size.

Figures are ratios to the exponentials needed, taken in this one run: one an element for each sum of logits, and one a member for
each mean of probabilities. Times are of the processors that this process had, over their number, so that what else a machine does
counts little. The large set is extrapolated from some of its systems and images, unless --share 1 and --images 47500 have all of
them computed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import synthetic
from benchmarks.speed import line
from benchmarks.yardsticks import floor
from duo_core.common.parallel import cores
from duo_core.common.places import ROOT
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.logits.store import Store
from duo_core.systems.enumeration import every_system, fit_all, results, subsets, systems_of
from duo_core.systems.pair_judging import Memory, Steps
from duo_core.systems.sweep import calibrate_models, sweep
from duo_core.systems.system import RULES, System

IMAGES = 47_500


def shipped() -> None:
    """Every system of the shipped set, after one run that compiles and reads."""
    own = Store(ROOT / "data").open("cifar10")
    systems_of(own, 3, ["test"])
    found, start = [], time.perf_counter()
    at_work = of_processors(lambda: found.append(systems_of(own, 3, ["test"]).systems))
    took, table = time.perf_counter() - start, found[0]
    needed = exponentials([System(tuple(m.split(" + ")), rule) for m, rule in zip(table["members"], table["rule"], strict=True)])
    at_least = needed * floor(own.logits("resnet56", "test")).exponential
    print(f"\nAll {table['members'].nunique():,} systems of 13 shipped models by every rule, every metric: {took:.1f} s")
    line("seconds, whatever else this machine does", f"{took:.1f}")
    line("seconds of processors over how many there are", f"{at_work:.1f}", "target <= 6 on two")
    line(f"times the exponentials needed ({at_least:.2f} s)", f"{at_work / at_least:.1f}")
    start = time.perf_counter()
    sweep(own, ["test"])
    line("all pairs by their own loop, seconds", f"{time.perf_counter() - start:.2f}")


def of_processors(work: Callable[[], object]) -> float:
    """Seconds that all processors of this process were at work, over how many there are: others that compete do not count."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / cores()


def exponentials(systems: list[System]) -> int:
    """Exponentials an element that the systems need, in arrays of one model's size; who says shares those of `fitted`."""
    return sum(s.m if RULES[s.rule].pools_probabilities else 1 for s in dict.fromkeys(System(s.members, s.rule) for s in systems))


def thirty(own: LogitSet, share: float, rules: list[str]) -> None:
    """Some systems of thirty models, and what all of them would take."""
    n, every = len(own.labels["test"]), list(subsets(own.models(), 3))
    some = every[:: max(1, round(1 / share))]
    systems, memory = every_system(some, rules), Memory()
    calibrated = of_processors(lambda: calibrate_models(own, own.models(), memory))
    results(own, every_system(some[-1:], rules), ["test"], memory=Memory())  # compiles
    fitted = of_processors(lambda: fit_all(own, systems, memory, Steps(0, None)))
    judged = of_processors(lambda: results(own, systems, ["test"], memory=memory))
    times, larger = len(every) / len(some), IMAGES / n
    whole = calibrated + times * fitted + times * larger * judged
    needed = exponentials(systems) * times * larger * floor(own.logits("model00", "test")).exponential
    computed = f"{len(some):,} of {len(every):,} systems, {n:,} of {IMAGES:,} images"
    print(f"\nThirty models, {', '.join(rules)} ({computed})")
    line("seconds of processors over how many there are, in all", f"{whole:.0f}", "target <= 300 on two")
    line("of which fits, and what is judged", f"{times * fitted:.0f} + {times * larger * judged:.0f}")
    line(f"times the exponentials needed ({needed:.0f} s)", f"{whole / needed:.1f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=IMAGES // 10)
    options.add_argument("--share", type=float, default=0.02, help="of the systems (default 0.02)")
    chosen = options.parse_args()
    shipped()
    own = synthetic.logit_set(30, n=chosen.images, n_fit=2500, k=1000)
    for rules in (["fitted"], [key for key, rule in RULES.items() if rule.recommended], list(RULES)):
        thirty(own, chosen.share, rules)
    print(f"\nFits are of {len(own.labels[FIT_SPLIT]):,} images")


if __name__ == "__main__":
    main()
