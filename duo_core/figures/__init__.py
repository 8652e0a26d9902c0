"""Tables in, plotly figures out; how values and meanings stand on screen."""

from duo_core.figures.charts import metric_by_cost, ratio_by_cost, risk_coverage
from duo_core.figures.landscape import pairs_by_cost

__all__ = ["metric_by_cost", "pairs_by_cost", "ratio_by_cost", "risk_coverage"]
