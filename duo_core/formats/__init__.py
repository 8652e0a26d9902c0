"""Logit files from outside: read with every problem named, and written."""

from duo_core.formats.checks import FLOOR
from duo_core.formats.costs import costs_of, known_cost
from duo_core.formats.found import ArrayFacts, FileFacts, Found, ModelFacts, Reading
from duo_core.formats.limits import Limits
from duo_core.formats.parts import Cost
from duo_core.formats.problems import CODES, Code, Problem, RefusedError
from duo_core.formats.reading import OPENERS, Options, read
from duo_core.formats.uploads import Upload
from duo_core.formats.writing import WRITTEN, template

__all__ = [
    "CODES",
    "FLOOR",
    "OPENERS",
    "WRITTEN",
    "ArrayFacts",
    "Code",
    "Cost",
    "FileFacts",
    "Found",
    "Limits",
    "ModelFacts",
    "Options",
    "Problem",
    "Reading",
    "RefusedError",
    "Upload",
    "costs_of",
    "known_cost",
    "read",
    "template",
]
