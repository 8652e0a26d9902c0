"""Costs as people have them: a table that is pasted, and those of models that `duo cost` knows by name."""

import csv
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from duo_core.common import places
from duo_core.common.arrays import InputError
from duo_core.formats.parts import Cost
from duo_core.formats.problems import shown

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
NUMBER = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)\s*([kmgbt]?)\s*(?:macs?|flops?|params?)?", re.I)
THOUSANDS = re.compile(r"\d{1,3}([,_' ]\d{3})+")
EMPTY = ("", "-", "?", "n/a", "none", "nan", "null")
COLUMNS = {"model": r"model|name|arch", "multiply_adds": r"mac|flop|mult", "parameters": r"param"}


def costs_of(text: str) -> dict[str, Cost]:
    """Read a table of models: name, multiply-adds, parameters; a line each, cells apart by tabs, semicolons, bars, commas, blanks.

    The first line may name the columns, in another order and beside others, with a unit (`GMACs`, `params (M)`); numbers may have
    one (1.2G, 300M). An empty cell is unknown.

    >>> costs_of("resnet50, 4.1G, 25557032")
    {'resnet50': Cost(multiply_adds=4100000000, parameters=25557032)}
    >>> costs_of("model\\tparams (M)\\tGFLOPs\\nvit\\t86.5\\t17.5")
    {'vit': Cost(multiply_adds=17500000000, parameters=86500000)}

    Raises
    ------
    InputError
        Where a line is no model with its numbers, or a model stands there twice.
    """
    lines = [
        (number, line)
        for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1)
        if line.strip(" |-:\t") and line[0] != "#"
    ]
    if not lines:
        raise InputError("expected a table of costs, a line a model, got none; write model, multiply-adds, parameters")
    rows = [(number, _cells(line)) for number, line in lines]
    headed = any(re.search(COLUMNS["multiply_adds"], cell, re.I) and not re.match(r"[\d.]", cell) for cell in rows[0][1][1:])
    places = _places(rows[0][1]) if headed else {"model": (0, 1), "multiply_adds": (1, 1), "parameters": (2, 1)}
    found: dict[str, Cost] = {}
    for number, cells in rows[headed:]:
        name = cells[places["model"][0]] if places["model"][0] < len(cells) else ""
        if not name or name in found:
            raise InputError(f"expected the name of another model in line {number} of the costs, got '{shown(name)}'; correct it")
        if len(cells) < 2:
            raise InputError(f"expected model, multiply-adds, parameters in line {number} of the costs, got '{shown(name)}' alone")
        found[name] = Cost(*(_count(cells, *places[what], number) for what in Cost._fields if what in places))
    return found


def _cells(line: str) -> list[str]:
    delimiter = next((sign for sign in "\t;|," if sign in line), None)
    if delimiter is None:
        return line.split()
    if delimiter == "|":
        line = line.strip().strip("|")
    return [cell.strip().strip("`") for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]


def _places(cells: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Where the first line says that each column is, and the unit of its numbers; parameters are behind multiply-adds always."""
    found: dict[str, tuple[int, int]] = {}
    for what, pattern in COLUMNS.items():
        place = next((place for place, cell in enumerate(cells) if re.search(pattern, cell, re.I)), None)
        if place is not None:
            unit = re.search(r"(?:^|[\s(_/])([kmgbt])(?:macs?|flops?|params?|mult|\)|$)", cells[place], re.I)
            found[what] = place, UNITS[unit[1].lower()] if unit and what != "model" else 1
    if "model" not in found or "multiply_adds" not in found:
        names = ", ".join(shown(cell, 20) for cell in cells[:6])
        raise InputError(
            f"expected columns model, multiply_adds and parameters in the first line of the costs, got {names}; name them"
        )
    return found


def _count(cells: Sequence[str], place: int, unit: int, line: int) -> int | None:
    text = cells[place] if place < len(cells) else ""
    if text.lower() in EMPTY:
        return None
    plain = re.sub(r"[,_' ]", "", text) if THOUSANDS.fullmatch(text) else text
    number = NUMBER.fullmatch(plain)
    value = float(number[1]) * UNITS[number[2].lower()] * (1 if number[2] else unit) if number else 0.0
    if not 1 <= value < 1e18 or abs(value - round(value)) > 1e-6 * value:
        raise InputError(
            f"expected a whole number as 4100000000 or 4.1G in line {line} of the costs, got '{shown(text)}'; correct it"
        )
    return round(value)


@dataclass(frozen=True)
class Known:
    """What `duo cost` counts of a model, and for what."""

    cost: Cost
    classes: int
    input_size: str


def known_cost(name: str) -> Known | None:
    """Return the cost of a model that `duo zoo` lists, by its name with or without a library and weights; None for others.

    >>> known_cost("timm/resnet18.a1_in1k").cost
    Cost(multiply_adds=1814073344, parameters=11689512)
    """
    return _known().get(name.rpartition("/")[2].partition(":")[0].partition(".")[0])


@functools.cache
def _known() -> dict[str, Known]:
    text = places.text(__package__, "costs.csv")
    return {
        row["model"]: Known(Cost(int(row["multiply_adds"]), int(row["parameters"])), int(row["classes"]), row["input_size"])
        for row in csv.DictReader(io.StringIO(text))
    }
