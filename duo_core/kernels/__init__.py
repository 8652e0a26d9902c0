"""The loops over every logit, compiled: they see a block of rows at a time and leave a few numbers an image.

One pass over a row, while it is in the cache, yields all that is kept of it, so no (n, k) array is ever made. Exponentials are
powers of two: the weights carry the factor log2(e). All run without Python's lock, so that threads share the rows.
"""

from duo_core.kernels.fitting import moments, separates, spread
from duo_core.kernels.ranking import running_risks, tie_ends
from duo_core.kernels.rows import COLUMNS, classes, reduce

__all__ = ["COLUMNS", "classes", "moments", "reduce", "running_risks", "separates", "spread", "tie_ends"]
