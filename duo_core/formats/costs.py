"""Costs of models as people have them in a table: model, multiply-adds, parameters."""

import re

from duo_core.arrays import InputError
from duo_core.formats.parts import Cost

UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
NUMBER = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?(?:e\+?[0-9]+)?)\s*([kmgbt]?)(?:macs?|flops?|params?)?", re.IGNORECASE)
HEADINGS = {"model", "name"}


def costs_of(text: str) -> dict[str, Cost]:
    """Read a table, one model a line, cells between tabs, semicolons, commas or blanks; a line of headings is passed over.

    Numbers may end in k, M, G (or B) or T; an empty cell or - says that a number is not known.

    >>> costs_of("model,multiply_adds,parameters\\nresnet50,4.09G,25.6M\\nb0 390e6 -")
    {'resnet50': Cost(multiply_adds=4090000000, parameters=25600000), 'b0': Cost(multiply_adds=390000000, parameters=None)}
    """
    found: dict[str, Cost] = {}
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        cells = _cells(line)
        if not any(cells) or cells[0].lower() in HEADINGS:
            continue
        if not 2 <= len(cells) <= 3 or not cells[0]:
            raise InputError(f"expected a model, its multiply-adds and parameters in line {number} of the costs, got '{line:.80}'")
        if cells[0] in found:
            raise InputError(f"expected each model once in the costs, got '{cells[0]}' again in line {number}; leave one out")
        found[cells[0]] = Cost(*(_number(cell, number) for cell in cells[1:]))
    return found


def _cells(line: str) -> list[str]:
    separator = next((mark for mark in "\t;," if mark in line), None)
    cells = line.split(separator) if separator else line.split()
    return [cell.strip().strip('"') for cell in cells]


def _number(cell: str, line: int) -> int | None:
    if cell in ("", "-"):
        return None
    part = NUMBER.fullmatch(cell)
    if part is None:
        raise InputError(f"expected a number as 4.09G or 25600000 in line {line} of the costs, got '{cell:.40}'")
    return round(float(part[1].replace("_", "").replace(",", "")) * UNITS[part[2].lower()])
