"""A pair, or a whole set, as one HTML file that asks no other machine for anything."""

from duo_core.report.pair import pair_report
from duo_core.report.whole import set_report

__all__ = ["pair_report", "set_report"]
