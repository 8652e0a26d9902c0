"""How numbers stand in text, on pages, in charts and in reports: one form of percent, of the minus sign, of what is undefined."""

import math

UNDEFINED = "n/a"
MINUS = "\u2212"


def number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """A number with so many decimals, and with its sign where that is asked for; what rounds to 0 has none.

    >>> number(-0.0004, 2), number(0.5, 2, sign=True), number(-0.5, 2), number(None, 2)
    ('0.00', '+0.50', '−0.50', 'n/a')
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return f"{MINUS if value < 0 else '+' * sign}{text}"


def decimals_from_zero(value: float, least: int) -> int:
    """The decimals with which a number is told from 0, at least so many; what needs four more counts as rounding, and gets none.

    >>> decimals_from_zero(-0.0004, 2), decimals_from_zero(0.5, 2), decimals_from_zero(1e-17, 2), decimals_from_zero(0.0, 2)
    (4, 2, 2, 2)
    """
    return next((more for more in range(least, least + 4) if float(f"{value:.{more}f}") != 0), least)


def significant(value: float, digits: int, *, sign: bool = False) -> str:
    """A number with so many significant digits.

    >>> significant(-0.4286, 3), significant(1234.5, 3, sign=True), significant(math.inf, 3)
    ('−0.429', '+1.23e+03', '∞')
    """
    if math.isnan(value):
        return UNDEFINED
    text = "∞" if math.isinf(value) else f"{abs(value):.{digits}g}"
    return f"{MINUS if value < 0 else '+' * (sign and value > 0 and not math.isinf(value))}{text}"


def percent(value: float | None, decimals: int = 1, *, sign: bool = False) -> str:
    """A fraction in percent.

    >>> percent(0.0667), percent(0.33, 0), percent(-0.031, sign=True), percent(-1e-9, 0), percent(None)
    ('6.7 %', '33 %', '−3.1 %', '0 %', 'n/a')
    """
    text = number(value if value is None else value * 100, decimals, sign=sign)
    return text if text == UNDEFINED else f"{text} %"


def share(value: float) -> str:
    """A cost's share in percent, with as many decimals as it needs.

    >>> share(0.33), share(0.084), share(13.9)
    ('33 %', '8.4 %', '1390 %')
    """
    return percent(value, 0 if value >= 0.0995 else 1)
