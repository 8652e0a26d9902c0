"""Logit files from outside: read with every problem named, and written."""

from duo_core.formats.found import FileFacts, Found, ModelFacts, Reading
from duo_core.formats.limits import Limits
from duo_core.formats.parts import Cost
from duo_core.formats.problems import CODES, Code, Problem, RefusedError
from duo_core.formats.reading import OPENERS, Options, read
from duo_core.formats.uploads import Upload
from duo_core.formats.writing import WRITTEN, template

__all__ = [
    "CODES",
    "OPENERS",
    "WRITTEN",
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
    "read",
    "template",
]
