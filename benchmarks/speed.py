"""Speed at ImageNet size: the fit, one pair, all pairs. Every figure is a ratio of times taken in this one run.

Logits are synthetic (benchmarks/synthetic.py says how). Three yardsticks: the naive torch expression of the definitions; the floor,
that is reading the logits once and one exponential an element on all cores; and the same quantities through torchmetrics,
torch-uncertainty and scikit-learn, where they are installed (benchmarks/requirements.txt).
"""

import argparse
import importlib.util
import math
import resource
import sys
import tempfile
import time
import warnings
from itertools import combinations
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import synthetic
from benchmarks.yardsticks import Floor, floor, lbfgs, naive_pair, seconds
from duo_core.common.parallel import cores
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.duo import VARIANTS, Fit
from duo_core.systems.fitting import calibrate, fit, fit_calibrated
from duo_core.systems.sweep import evaluate, sweep

BASE, SIDEKICK = "model00", "model10"
NAIVE_PAIRS = 10
TURNS = 9


def line(name: str, value: str, target: str = "") -> None:
    print(f"  {name:<66}{value:>14}  {target}", flush=True)


def naive_seconds(own: LogitSet) -> float:
    """Mean time of the naive expression over ten pairs from all over the set."""
    every = list(combinations(own.cards, 2))
    chosen = [every[i * len(every) // NAIVE_PAIRS] for i in range(NAIVE_PAIRS)]
    fits = [fit(*(own.logits(model, FIT_SPLIT) for model in pair), own.labels[FIT_SPLIT]) for pair in chosen]
    start = time.perf_counter()
    for pair, found in zip(chosen, fits, strict=True):
        naive_pair(*(own.logits(model, "test") for model in pair), own.labels["test"], found)
    return (time.perf_counter() - start) / NAIVE_PAIRS


def one_pair(own: LogitSet, at_least: Floor) -> None:
    """Print the figures of one pair."""
    found = evaluate(own, BASE, SIDEKICK)
    arrays = own.logits(BASE, "test"), own.logits(SIDEKICK, "test"), own.labels["test"]
    ours = seconds(lambda: evaluate(own, BASE, SIDEKICK, fitted=found.fit))
    naive = seconds(lambda: naive_pair(*arrays, found.fit), 1)
    exponentials = 4  # the two models alone, the duo, the unweighted pair; UQ only shares the duo's
    bound = 2 * at_least.read + exponentials * at_least.exponential
    n, k = arrays[0].shape
    print(f"\nOne pair, five variants, all metrics, {n:,} x {k:,}: {ours * 1e3:.0f} ms")
    line(f"times the floor (2 reads, {exponentials} exponentials: {bound * 1e3:.0f} ms)", f"{ours / bound:.2f}", "target <= 2.5")
    line(f"naive torch, times as long ({naive:.2f} s)", f"{naive / ours:.0f}", "target >= 15")
    expected = naive_pair(*arrays, found.fit)
    worst = max(abs(v / expected[key][m] - 1) for key, values in found.metrics.items() for m, v in values.items() if v)
    line("largest relative difference of any metric to the naive one", f"{worst:.1e}", "(which is single precision)")
    libraries(own, found.fit, ours)


def libraries(own: LogitSet, found: Fit, ours: float) -> None:
    """The duo alone through the libraries people use; ours is all five variants."""
    if not all(importlib.util.find_spec(name) for name in ("torchmetrics", "torch_uncertainty", "sklearn")):
        line("torchmetrics, torch-uncertainty, scikit-learn", "not installed", "pip install -r benchmarks/requirements.txt")
        return
    warnings.simplefilter("ignore")
    from sklearn.metrics import f1_score, roc_auc_score
    from torch_uncertainty.metrics import AURC, BrierScore, CategoricalNLL
    from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

    base, sidekick, labels = own.logits(BASE, "test"), own.logits(SIDEKICK, "test"), own.labels["test"]
    k = base.shape[1]

    def duo() -> None:
        probability = torch.softmax(found.temperatures.base * base + found.temperatures.sidekick * sidekick, 1)
        for metric in (
            MulticlassAccuracy(k, average="micro", validate_args=False),
            MulticlassCalibrationError(k, n_bins=15, validate_args=False),
            AURC(),
            BrierScore(num_classes=k),
            CategoricalNLL(),
        ):
            metric.update(probability, labels)
            metric.compute()
        confidence, predicted = probability.max(1)
        roc_auc_score(predicted == labels, confidence)
        f1_score(labels, predicted, average="macro")

    theirs = seconds(duo, 1)
    line(
        f"torchmetrics, torch-uncertainty, scikit-learn: duo alone ({theirs:.2f} s)",
        f"{theirs / ours:.0f}",
        "times as long as all five",
    )


def fitting(own: LogitSet) -> None:
    """The fit, against L-BFGS on the same problem run to the same gradient."""
    base, sidekick, labels = own.logits(BASE, FIT_SPLIT), own.logits(SIDEKICK, FIT_SPLIT), own.labels[FIT_SPLIT]
    ours = seconds(lambda: fit(base, sidekick, labels), 9)
    found = fit(base, sidekick, labels)

    both = base.double(), sidekick.double()

    def theirs() -> list[Tensor]:
        return [lbfgs(models, labels) for models in (both[:1], both[1:], both)]

    took = seconds(theirs, 3)
    print(f"\nFit on {len(labels):,} x {base.shape[1]:,}, both single temperatures and the duo's: {ours * 1e3:.0f} ms")
    line("milliseconds", f"{ours * 1e3:.0f}", "target <= 40")
    line("gradient norm at the end", f"{found.gradient:.0e}", "target < 1e-8")
    line(f"torch's L-BFGS, strong Wolfe, the same three to 1e-8 ({took:.2f} s)", f"{took / ours:.0f}", "times as long; target >= 8")
    line("largest difference of a weight to L-BFGS's", f"{(theirs()[2] - torch.tensor(found.temperatures)).abs().max():.0e}")
    single = calibrate(base, labels), calibrate(sidekick, labels)
    line("a pair whose models are calibrated", f"{seconds(lambda: fit_calibrated(*single), 9) * 1e3:.0f} ms")


def all_pairs(own: LogitSet, at_least: Floor) -> None:
    """A whole sweep: time a pair, split into fits and evaluation, and what memory it takes beside the mapped files."""
    marks: list[tuple[int, float]] = []
    for model in own.cards:  # the files are read, and compared with their digests, once a process
        own.logits(model, "test").sum()
    before, start = resident(), time.perf_counter()
    peak = [before]

    def watch(done: int, _: int) -> None:
        marks.append((done, time.perf_counter() - start))
        peak[0] = max(peak[0], resident())

    table = sweep(own, ["test"], progress=watch)
    whole = time.perf_counter() - start
    pairs = len(table) // len(VARIANTS)
    fits = next(t for done, t in marks if done >= pairs)
    n, k = own.logits(BASE, "test").shape
    needed = 2 * at_least.exponential * pairs
    print(f"\nAll {pairs} pairs of {len(own.cards)} models, {n:,} x {k:,}: {whole:.1f} s, {whole / pairs * 1e3:.1f} ms a pair")
    line(
        f"evaluation, times two exponentials a pair ({2 * at_least.exponential * 1e3:.1f} ms)",
        f"{(whole - fits) / needed:.2f}",
        "target <= 2.5",
    )
    line("fits and evaluation, ms a pair", f"{whole / pairs * 1e3:.1f}", "target <= 60")
    naive = naive_seconds(own) * pairs
    line(
        f"naive torch ({naive:.0f} s, extrapolated from {NAIVE_PAIRS} pairs), times as long",
        f"{naive / (whole - fits):.0f}",
        "target >= 40",
    )
    line("peak memory beside the mapped files, MB", f"{(peak[0] - before) / 1e6:.0f}", "target < 1000")


def resident() -> int:
    """Bytes in memory that are this process's own, mapped files not counted."""
    try:
        fields = dict(part.split(":") for part in Path("/proc/self/status").read_text().splitlines())
        return int(fields["RssAnon"].split()[0]) * 1024
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def scaling(n: int, n_fit: int, k: int) -> None:
    """How the time of a pair grows with each size: 1 is proportional, 0 not at all."""
    print(f"\nScaling of a sweep's evaluation, as exponents (1: proportional), {TURNS} runs of each size in turns")

    def models(m: int, images: int, wide: int) -> LogitSet:
        return synthetic.logit_set(m, n=images, n_fit=n_fit // 8, k=wide)

    def pair(own: LogitSet) -> float:
        marks: list[tuple[int, float]] = []
        start = time.perf_counter()
        sweep(own, ["test"], progress=lambda done, _: marks.append((done, time.perf_counter() - start)))
        pairs = len(own.cards) * (len(own.cards) - 1) // 2
        return (marks[-1][1] - next(t for done, t in marks if done >= pairs)) / pairs

    def exponent(name: str, small: LogitSet, large: LogitSet, factor: float, target: str) -> None:
        pair(small), pair(large)
        # Neighbours in time share whatever speed the machine has just then; the median leaves out what disturbed one of them.
        ratios = [pair(large) / pair(small) for _ in range(TURNS)]
        line(name, f"{math.log(median(ratios)) / math.log(factor):.2f}", target)

    half = models(6, n // 2, k)
    exponent("images, doubled", half, models(6, n, k), 2, "target within 10 % of twice: 0.86 to 1.14")
    exponent("classes, doubled", models(6, n // 2, k // 2), half, 2, "")
    exponent("models, 6 to 12, time a pair", half, models(12, n // 2, k), 2, "target <= 0")


def half_precision(own: LogitSet) -> None:
    """What storing half the bytes changes, on every metric of the duo."""
    print("\nHalf-precision stores: largest relative change of each metric over the variants")
    full = evaluate(own, BASE, SIDEKICK).metrics
    for dtype in (torch.float16, torch.bfloat16):
        arrays = {key: own.logits(*key).to(dtype) for key in ((m, s) for m in (BASE, SIDEKICK) for s in own.labels)}
        rough = LogitSet(own.name, own.title, own.classes, own.labels, {m: own.cards[m] for m in (BASE, SIDEKICK)}, arrays)
        found = evaluate(rough, BASE, SIDEKICK).metrics
        change = {m: max(abs(found[v][m] / full[v][m] - 1) for v in full if full[v][m]) for m in full["duo"]}
        line(str(dtype).removeprefix("torch."), "", "  ".join(f"{m} {v:.0e}" for m, v in change.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=30, help="of the sweep; 30 take 6 GB of disk")
    parser.add_argument("--images", type=int, default=47_500)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--fit-images", type=int, default=2500)
    parser.add_argument("--folder", type=Path, help="where the synthetic set is kept (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        own = synthetic.stored(
            options.folder or Path(temporary), options.models, n=options.images, n_fit=options.fit_images, k=options.classes
        )
        at_least = floor(own.logits(BASE, "test"))
        read, exponential = (f"{value * 1e3:.1f} ms" for value in (at_least.read, at_least.exponential))
        print(f"{cores()} cores; reading one array takes {read}, one exponential of each of its logits {exponential}")
        fitting(own)
        one_pair(own, at_least)
        all_pairs(own, at_least)
        half_precision(own)
    scaling(options.images, options.fit_images, options.classes)


if __name__ == "__main__":
    main()
