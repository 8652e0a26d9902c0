"""The glossary as the pages show it: its terms, by section, with their formulas as LaTeX."""

import functools
import re
from dataclasses import dataclass

from duo_core.common import places

FILE = places.ROOT / "docs" / "glossary.md"

FORMULAS = {
    "Duo": r"f_\text{duo}(x) = T_\text{base}\, f_\text{base}(x) + T_\text{sidekick}\, f_\text{sidekick}(x)",
    "Calibration temperature": r"t = \arg\min_{t' \ge 0} \; -\frac1n \sum_i \log \operatorname{softmax}(t' f(x_i))_{y_i}",
    "Softmax": r"\operatorname{softmax}(f)_c = \frac{e^{f_c}}{\sum_{c'} e^{f_{c'}}}",
    "Newton step": r"T_\text{new} = T - H^{-1} g, \qquad g = \nabla \text{NLL}(T), \; H = \nabla^2 \text{NLL}(T)",
    "Confidence": r"p_{\hat y} = \max_c \operatorname{softmax}(f)_c",
    "Overconfidence": r"\text{mean confidence} - \text{accuracy}",
    "Errors in common": r"\frac{\sum_i [\hat y_i \ne y_i]\,[\hat y'_i \ne y_i]}{\sum_i [\hat y_i \ne y_i]}",
    "Temperature ratio": r"T_\text{ratio} = \frac{T_\text{base} / t_\text{base}}{T_\text{sidekick} / t_\text{sidekick}}",
    "FLOPs balance": r"\frac{\text{multiply-adds}(\text{sidekick})}{\text{multiply-adds}(\text{base})}",
    "Throughput balance": r"\frac{\text{images a second}(\text{base})}{\text{images a second}(\text{sidekick})}",
    "Parameter balance": r"\frac{\text{parameters}(\text{sidekick})}{\text{parameters}(\text{base})}",
    "Unweighted": r"f(x) = \tfrac12 \left( t_\text{base}\, f_\text{base}(x) + t_\text{sidekick}\, f_\text{sidekick}(x) \right)",
    "UQ only": r"\hat y = \arg\max f_\text{base}(x), \qquad u = 1 - \operatorname{softmax}(f_\text{duo}(x))_{\hat y}",
    "Softmax uncertainty": r"u = 1 - p_{\hat y} = \sum_{c \ne \hat y} p_c",
    "Entropy": r"u = -\sum_c p_c \log p_c",
    "Accuracy": r"\frac1n \sum_i [\hat y_i = y_i]",
    "Macro F1": r"\frac1{|C|} \sum_{c \in C} \frac{2\, \text{hits}_c}{\text{labels}_c + \text{predictions}_c}",
    "NLL": r"\frac1n \sum_i \Bigl( \log \sum_c e^{f_c(x_i)} - f_{y_i}(x_i) \Bigr)",
    "Brier": r"\frac1n \sum_i \sum_c \left( p_{ic} - [y_i = c] \right)^2",
    "ECE": r"\sum_{b=1}^{15} \frac{n_b}{n} \left| \text{accuracy}_b - \text{mean confidence}_b \right|",
    "Relative improvement": (
        r"\begin{gathered} \frac{m - b}{1 - b} \text{ (higher is better)} \\[4pt] "
        r"\frac{b - m}{b} \text{ (lower is better)} \end{gathered}"
    ),
    "AUROC": r"P(u_\text{right} < u_\text{wrong}) + \tfrac12\, P(u_\text{right} = u_\text{wrong})",
    "Selective risk": (
        r"\begin{gathered} r_j = \frac1j \sum_{i \le j} [\hat y_{(i)} \ne y_{(i)}] \\ "
        r"u_{(1)} \le \dots \le u_{(n)} \end{gathered}"
    ),
    "AURC": r"\frac1n \sum_{j=1}^{n} r_j",
    "Guaranteed threshold": r"P(\operatorname{Bin}(m, r) \le e) \le \delta",
    "SGR": r"\text{bound} = b: \; P(\operatorname{Bin}(m, b) \le e) = \delta / \lceil \log_2 n \rceil",
    "SAC@98": r"\max \left\{ \tfrac{j}{n} : 1 - r_j \ge 0.98, \; j \text{ at the end of a tie} \right\}",
    "Rule": (
        r"\begin{aligned} \text{fitted} &: \textstyle\sum_i w_i f_i, \; w_i \ge 0 \\ "
        r"\text{equal} &: \textstyle\frac1m \sum_i t_i f_i \\ "
        r"\text{ensemble} &: T \cdot \textstyle\frac1m \sum_i t_i f_i \\ "
        r"\text{mean} &: \textstyle\frac1m \sum_i f_i \\ "
        r"\text{probabilities} &: T \log \textstyle\frac1m \sum_i \operatorname{softmax}(t_i f_i) \end{aligned}"
    ),
    "Model Stock": r"t = \frac{N c}{1 + (N - 1)\, c}, \qquad 0 \le t \le 1",
}
"""Formula of each term that has one."""


@dataclass(frozen=True)
class Term:
    """One entry of the glossary."""

    name: str
    section: str
    text: str
    """Markdown with the formula as LaTeX."""

    @property
    def anchor(self) -> str:
        """What links of the glossary call it.

        >>> Term("SAC@98", "", "").anchor, Term("UQ only", "", "").anchor
        ('sac98', 'uq-only')
        """
        return re.sub(r"[^\w\- ]", "", self.name.lower()).replace(" ", "-")


@functools.cache
def terms() -> tuple[Term, ...]:
    """Every term, in the order of the file."""
    return parsed(FILE.read_text(encoding="utf-8"))


def parsed(source: str) -> tuple[Term, ...]:
    """Terms of a glossary: sections begin with `##`, terms with `###`, formulas stand in indented blocks.

    >>> parsed("## Metrics\\n\\n### AURC\\nThe mean risk:\\n\\n    mean of r_j\\n\\nIn [0, 1].\\n")[0].text
    'The mean risk:\\n\\n$$\\n\\\\frac1n \\\\sum_{j=1}^{n} r_j\\n$$\\n\\nIn [0, 1].'
    """
    found = []
    for section in re.split(r"^## ", source, flags=re.MULTILINE)[1:]:
        title, *entries = re.split(r"^### ", section, flags=re.MULTILINE)
        for entry in entries:
            name, _, body = entry.partition("\n")
            found.append(Term(name.strip(), title.strip(), _with_formula(name.strip(), body.strip("\n"))))
    return tuple(found)


def _with_formula(name: str, body: str) -> str:
    """The text with its indented formula in LaTeX; at its head where the glossary says the formula in words."""
    if name not in FORMULAS:
        return body
    formula = f"$$\n{FORMULAS[name]}\n$$"
    text, blocks = re.subn(r"(^    .+$\n?)+", lambda _: f"{formula}\n", body, flags=re.MULTILINE)
    return text.strip() if blocks else f"{formula}\n\n{text}"
