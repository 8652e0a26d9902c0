"""Compare our multiply-adds with published figures: torchvision's, for every classification weight, and a timm table.

    python -m benchmarks.published_costs [--timm-csv FILE]

torchvision states them in `weights.meta["_ops"]`, in 1e9 to three decimals, by the convention of `duo_core.models.cost`. timm's
tables (columns model, img_size, infer_gmacs, to two decimals) come from a counter that also charges norm layers, so these
are added before comparing. A figure agrees where the difference, less what the printed decimals leave open, is at most
0.5 % (torchvision) or 1 % (timm). Exit status 1 where one of torchvision's does not.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from duo_core.models.cost import cost
from duo_core.models.zoo import outline, resolve

TORCHVISION_TOLERANCE, TIMM_TOLERANCE = 0.005, 0.01


@dataclass(frozen=True)
class Row:
    model: str
    ours: float
    published: float
    step: float
    """Last printed decimal of the published figure."""

    @property
    def difference(self) -> float:
        return self.ours / self.published - 1

    @property
    def excess(self) -> float:
        """Relative difference beyond the rounding of the published figure."""
        return max(0.0, abs(self.ours - self.published) - self.step / 2) / self.published


def torchvision_rows(names: list[str] | None = None) -> Iterator[Row]:
    """Every classification weight of torchvision (of the named architectures), at its own input size."""
    from torchvision import models

    for name in names or models.list_models(module=models):
        for weights in models.get_model_weights(name):
            reference = f"torchvision/{name}:{weights.name}"
            yield Row(reference, _billions(reference, None, norms=False), weights.meta["_ops"], step=0.001)


def timm_rows(file: Path) -> Iterator[Row]:
    """Every model of a table of timm's, norm layers counted as that table does."""
    with file.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            reference, size = f"timm/{line['model']}", int(line["img_size"])
            yield Row(reference, _billions(reference, (size, size), norms=True), float(line["infer_gmacs"]), step=0.01)


def _billions(reference: str, input_size: tuple[int, int] | None, norms: bool) -> float:
    [spec] = resolve(f"model={reference}")
    model = outline(spec, input_size)
    return cost(model.module, model.transform.input_size, norms=norms).multiply_adds / 1e9


def report(rows: Iterator[Row], tolerance: float) -> int:
    """Print a table and its worst row; return how many rows do not agree."""
    print(f"{'model':58} {'ours':>10} {'published':>10} {'difference':>10} {'beyond rounding':>16}")
    seen = []
    for row in rows:
        seen.append(row)
        mark = "" if row.excess <= tolerance else "  DISAGREES"
        print(f"{row.model:58} {row.ours:10.4f} {row.published:10.3f} {row.difference:10.2%} {row.excess:16.2%}{mark}", flush=True)
    wrong = sum(row.excess > tolerance for row in seen)
    worst, rounded = max(seen, key=lambda row: row.excess), max(seen, key=lambda row: abs(row.difference))
    print(f"\n{len(seen)} figures, {wrong} beyond {tolerance:.1%}; worst beyond rounding: {worst.model} {worst.excess:.3%};")
    print(f"largest as printed: {rounded.model} {rounded.difference:.2%} ({rounded.ours:.4f} against {rounded.published})\n")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timm-csv", type=Path, metavar="FILE", help="a table of timm's with model, img_size and infer_gmacs")
    options = parser.parse_args()
    if options.timm_csv and not options.timm_csv.is_file():
        parser.error(f"expected a table at '{options.timm_csv}', got no file there")
    began = time.perf_counter()
    wrong = report(torchvision_rows(), TORCHVISION_TOLERANCE)
    if options.timm_csv:
        report(timm_rows(options.timm_csv), TIMM_TOLERANCE)
    print(f"{time.perf_counter() - began:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
