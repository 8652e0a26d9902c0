"""Tables in, plotly figures out; how values and meanings stand on screen."""

from duo_core.figures.charts import metric_by_cost, ratio_by_cost, risk_coverage
from duo_core.figures.gains import gains_by_metric
from duo_core.figures.landscape import pairs_by_cost
from duo_core.figures.sizes import ensembles_by_cost
from duo_core.figures.systems import systems_by_cost
from duo_core.figures.zoo import quality_by_size, slowdown_by_flops, throughput_by_flops

__all__ = [
    "ensembles_by_cost",
    "gains_by_metric",
    "metric_by_cost",
    "pairs_by_cost",
    "quality_by_size",
    "ratio_by_cost",
    "risk_coverage",
    "slowdown_by_flops",
    "systems_by_cost",
    "throughput_by_flops",
]
