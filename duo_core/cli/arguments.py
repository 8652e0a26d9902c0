"""Values of options, read from the command line; argparse says what was expected where one is wrong."""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.formats import Cost


def assignment(text: str) -> tuple[str, str]:
    """Read NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got '{text}'")
    return name, value


def choice(text: str) -> tuple[str, str]:
    """Read VALUE, which is for every model, or MODEL=VALUE.

    >>> choice("raw"), choice("net=ema")
    (('', 'raw'), ('net', 'ema'))
    """
    return assignment(text) if "=" in text or not text else ("", text)


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    return _object(text, "a JSON object, {...}", text)


def json_assignment(text: str) -> tuple[str, dict[str, Any]]:
    """Read MODEL=JSON, a JSON object."""
    name, value = assignment(text)
    return name, _object(value, "MODEL={...}, a JSON object", text)


def _object(value: str, expected: str, whole: str) -> dict[str, Any]:
    try:
        content, why = json.loads(value), ""
    except ValueError as error:
        content, why = None, f" ({error})"
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(f"expected {expected}, got '{whole}'{why}")
    return content


def real(expected: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """Return what reads a finite number that fits, which `expected` says in words."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fits(value)):
            raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")
        return value

    return read


def whole(expected: str, least: int, most: float = math.inf) -> Callable[[str], int]:
    """Return what reads a whole number in a range, which `expected` says in words."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")
        return int(text)

    return read


number = real("a number above 0", lambda value: value > 0)
not_negative_number = real("a number of at least 0", lambda value: value >= 0)
probability = real("a probability above 0 and below 1", lambda value: 0 < value < 1)
not_negative = whole("a whole number of at least 0", 0)
positive = whole("a whole number of at least 1", 1)
port = whole("a port in 1..65535", 1, 65535)
seed = whole("a whole number from 0 to 2^64 - 1", 0, 2**64 - 1)


def budget(text: str) -> float:
    """Read a share of at least 0, or per cent with their sign; a number that is meant as per cent is not read as a multiple.

    >>> budget("0.15"), budget("15%"), budget("2")
    (0.15, 0.15, 2.0)
    """
    expected = "a share such as 0.15, or 15%, of the base's multiply-adds"
    if text.endswith("%"):
        return real(expected, lambda value: value >= 0)(text[:-1].rstrip()) / 100
    return real(f"{expected}, at most 10 (1000%)", lambda value: 0 <= value <= 10)(text)


def unique(pairs: Sequence[tuple[str, Any]], option: str) -> dict[str, Any]:
    """Return what an option says by name; InputError where it says two things of one."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        whose = f" for '{twice}'" if twice else ""
        raise InputError(f"expected one {option}{whose}, got several; leave all but one out")
    return values


def count_or_fraction(text: str) -> int | float:
    """Read a number of images, or a fraction in (0, 1)."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if "." in text and 0 < number < 1:
        return number
    if text.isdecimal() and number >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of images or a fraction in (0, 1), got '{text}'")


def input_size(text: str) -> tuple[int, int]:
    """Read PX or HxW as (height, width)."""
    sides = text.lower().split("x")
    if not 1 <= len(sides) <= 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"expected pixels such as 224 or 224x320, got '{text}'")
    return int(sides[0]), int(sides[-1])


def cost_of(text: str) -> tuple[str, Cost]:
    """Read MODEL=MULTIPLY_ADDS[:PARAMETERS].

    >>> cost_of("resnet50=4.1e9:25557032")
    ('resnet50', Cost(multiply_adds=4100000000, parameters=25557032))
    """
    name, _, numbers = text.rpartition("=")
    try:
        counts = [int(float(number)) for number in numbers.split(":")]
    except (ValueError, OverflowError):
        counts = []
    if not name or not 1 <= len(counts) <= 2 or min(counts) <= 0:
        raise argparse.ArgumentTypeError(f"expected MODEL=MULTIPLY_ADDS[:PARAMETERS], numbers above 0, got '{text}'")
    return name, Cost(*counts)
