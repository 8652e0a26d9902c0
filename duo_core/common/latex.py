"""A table as LaTeX."""

import numpy as np
import pandas as pd

from duo_core.common.numbers import UNDEFINED

SPECIAL = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "−": "$-$",
        "×": r"$\times$",
        "→": r"$\to$",
        "≥": r"$\ge$",
        "≤": r"$\le$",
        "±": r"$\pm$",
        "∞": r"$\infty$",
        "✓": r"$\checkmark$",
        "…": r"\dots{}",
    }
)


def latex_text(table: pd.DataFrame) -> str:
    """Return a table for the packages booktabs and amssymb, numbers to the right and with five significant digits.

    >>> print(latex_text(pd.DataFrame({"model": ["resnet_20"], "share": [0.123456], "n": [7]})))
    % \\usepackage{booktabs, amssymb}
    \\begin{tabular}{lrr}
    \\toprule
    model & share & n \\\\
    \\midrule
    resnet\\_20 & 0.12346 & 7 \\\\
    \\bottomrule
    \\end{tabular}
    <BLANKLINE>
    """
    sides = "".join("r" if pd.api.types.is_numeric_dtype(table[column]) else "l" for column in table)
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    lines = [" & ".join(row) + r" \\" for row in ([_cell(str(column)) for column in table], *rows)]
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    return f"% \\usepackage{{booktabs, amssymb}}\n\\begin{{tabular}}{{{sides}}}\n{body}\n\\end{{tabular}}\n"


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return UNDEFINED
    text = f"{value:.5g}" if isinstance(value, float | np.floating) else str(value)
    return " ".join(text.translate(SPECIAL).split())
