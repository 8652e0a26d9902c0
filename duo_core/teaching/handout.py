"""The course on one sheet of A4: the text of its first eight steps, their questions and, on demand, the answers."""

import re
from html import escape

import pandas as pd

from duo_core.common import places
from duo_core.report.markup import Html, joined, tag
from duo_core.teaching.experts import SEED
from duo_core.teaching.facts import facts
from duo_core.teaching.steps import ON_PAPER, Step

TITLE = "Why a small sidekick helps a large classifier"


def handout(*, answers: bool = False, seed: int = SEED, offers: pd.DataFrame | None = None) -> str:
    """Return the sheet as an HTML document that needs nothing else.

    Parameters
    ----------
    answers
        Whether each question is followed by its answer with the numbers of this draw.
    seed
        Draws the made-up experts; the sheet says which.
    offers
        Of `together.offers`, for the numbers of the last answer; without them it has none.
    """
    about = f"The first eight steps of the page Learn. Numbers are computed from made-up experts, drawn with seed {seed}."
    body = [
        tag("header", tag("h1", TITLE), tag("p", about)),
        tag("main", joined(_step(n, step, answers, seed, offers) for n, step in enumerate(ON_PAPER, 1))),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(TITLE)}</title>\n<style>\n{places.text(__package__, 'handout.css')}</style>\n</head>\n"
        f'<body class="{"answers" if answers else "questions"}">\n{joined(body)}\n</body>\n</html>\n'
    )


def _step(n: int, step: Step, answers: bool, seed: int, offers: pd.DataFrame | None) -> Html:
    question = step.question
    parts = [
        tag("h2", f"{n}. {step.title}"),
        tag("p", _plain(step.idea)),
        tag("p", question.text, class_="question"),
        tag("ol", *(tag("li", option) for option in question.options)),
    ]
    if answers:
        parts.append(tag("p", tag("strong", f"{chr(ord('A') + question.right)}. "), _reason(step, seed, offers), class_="answer"))
    return tag("section", joined(parts))


def _reason(step: Step, seed: int, offers: pd.DataFrame | None) -> Html:
    numbers = facts(step.key, seed=seed, offers=offers)
    return _plain(step.question.because.format(**numbers)) if numbers else Html("")


def _plain(text: str) -> Html:
    """Markdown with its links as strong words: paper has nowhere to lead.

    >>> _plain("a < b: [AURC](#aurc)")
    'a &lt; b: <strong>AURC</strong>'
    """
    return Html(re.sub(r"\[(.+?)\]\(#.+?\)", r"<strong>\1</strong>", escape(text, quote=False)))
