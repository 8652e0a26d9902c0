"""Method: formulas, conventions, provenance, citation."""

import itertools

import pandas as pd
import streamlit as st

from app import controls, glossary, state, tables
from app.citation import CITATION
from app.controls import THEMED
from duo_core.common.arrays import InputError
from duo_core.common.plaintext import escaped
from duo_core.figures import soups as figures
from duo_core.logits import LogitSet, tensor_digest
from duo_core.report.provenance import versions
from duo_core.systems.newton import BOUND
from duo_core.teaching import soups
from duo_core.wording import training as wording

TITLE = "Method"
LINKED: tuple[str, ...] = ()

PARTS = {
    "The duo": "the-duo",
    "The fit": "the-fit",
    "Soups": "soups",
    "Terms and formulas": "terms",
    "Where the logits are from": "provenance",
    "How to cite": "cite",
    "Versions": "versions",
}
"""Headings and their anchors."""

DUO = r"""
\begin{gathered}
f_\text{duo}(x) = T_\text{base}\, f_\text{base}(x) + T_\text{sidekick}\, f_\text{sidekick}(x) \\
p(x) = \operatorname{softmax}(f_\text{duo}(x)) \\
\hat y = \arg\max_c\, p_c(x), \qquad u = 1 - p_{\hat y}(x)
\end{gathered}
"""
FIT = r"""
\min_{T_\text{base},\, T_\text{sidekick} \,\ge\, 0} \;
-\frac1n \sum_i \log \operatorname{softmax}(f_\text{duo}(x_i))_{y_i}
"""
ABOUT_FIT = f"""
The mean over the images of the fit split is their cross-entropy, the NLL. The combined logits are linear in the two temperatures,
so it is convex in them: any local minimum is the global one. Newton's method with the exact 2 × 2 Hessian finds it in about ten
steps from any start; gradient and Hessian are means and covariances of the two models' logits under the softmax.

* If every positive weight of the sidekick would raise the NLL, its temperature is exactly 0: the duo is the base again.
* Two identical models share the weight evenly: of equally good solutions the one of least norm is taken.
* If some weighting gets every image of the fit split right, larger temperatures always fit better and no finite one is best. The
  fit then stops where a weight times its model's median margin (largest logit less the second) reaches {BOUND:g}, says so, and
  gives no temperature ratio.
* A class whose logit is minus infinity is masked: its probability for that image is 0, and that of the duo, too, if either model
  masks it. Neither masks nor single images with logits of another scale disturb the fit to the others.
* Nothing is fitted on the split that is judged.
"""

SOUPS = """
A **soup** is the average of the weights of several models, tensor by tensor: one model, which costs what one costs. The
*uniform* soup averages all trials of a run, which are several trainings of one model. The *greedy* soup goes through them from the
best to the worst and keeps a trial if with it the soup gets more validation images right, or as many with a lower NLL. So on those
images it is never worse than its best trial, and it may consist of that one alone.
"""
ANCHOR = """
An average of weights only makes sense where the loss stays low all the way from one model to the other. Trials that start from one
**anchor**, the linear probe, stay in one such valley. Models with starts of their own may compute the same with their units in
another order; in between, the mixed weights compute neither. The chart shows this for a small network that is trained for this
page. For the same reason, soups of trials with different heads, classes or anchors are refused.
"""
STOCK = r"""
\begin{gathered}
d_i = w_i - w_0, \qquad c = \operatorname{mean}_{i<j} \cos(d_i, d_j) \\
t = \frac{N c}{1 + (N - 1)\, c}, \qquad w = t\, \bar w + (1 - t)\, w_0
\end{gathered}
"""
ANGLE = 60.0
"""Degrees between the trials that are drawn."""


def show() -> None:
    """Draw the page."""
    st.title("What is computed, and how?", anchor=False)
    st.markdown(" · ".join(f"[{heading}](#{anchor})" for heading, anchor in PARTS.items()))
    with st.container(width=820):
        for draw, (heading, anchor) in zip((_duo, _fit, _soups, _terms, _sets, _citation, _versions), PARTS.items(), strict=True):
            st.header(heading, anchor=anchor)
            draw()


def _duo() -> None:
    st.latex(DUO)
    st.markdown(
        "The temperatures T multiply the logits; much of the literature divides by them. The uncertainty u is 1 minus the "
        "probability of the class that the duo predicts. Images are ranked by u. Those of equal u share their errors evenly, so "
        "that the order of a file changes no result."
    )


def _fit() -> None:
    st.latex(FIT)
    st.markdown(ABOUT_FIT)


def _soups() -> None:
    st.markdown(SOUPS)
    path = soups.between()
    controls.chart(
        figures.accuracy_between(path, colours=THEMED),
        "between",
        "Accuracy on the straight line between the weights of two trials, of one anchor and of anchors of their own",
    )
    st.markdown(ANCHOR)
    controls.numbers(path, "between", "The line as numbers")
    st.latex(STOCK)
    found = soups.angle(ANGLE)
    controls.chart(
        figures.stock_angle(found.trials, found.mean, found.stock, colours=THEMED),
        "angle",
        f"Two trials {ANGLE:g} degrees apart as seen from their anchor, their mean, and Model Stock between the two",
    )
    st.markdown(wording.of_angle(ANGLE, found.cosine, found.ratio))


def _terms() -> None:
    st.markdown("n images, k classes; f(x) the k logits of an image x, y its label, p = softmax(f(x)); log is natural.")
    for section, terms in itertools.groupby(glossary.terms(), key=lambda term: term.section):
        with st.expander(section, expanded=True):
            for term in terms:
                st.subheader(term.name, anchor=term.anchor)
                st.markdown(term.text)


def _sets() -> None:
    names = state.set_names()
    if not names:
        st.info(f"The store `{state.store_path()}` has no logit set.")
    for name in names:
        try:
            _provenance(state.open_set(name))
        except InputError as error:
            st.warning(escaped(str(error)))


def _provenance(handle: state.Handle) -> None:
    own, about = handle.logit_set, handle.logit_set.about
    st.subheader(own.title, anchor=False)
    facts = {"Source": about.get("source"), "Licence": about.get("licence"), "Made": about.get("created")}
    st.markdown("\n".join(f"* {label}: {escaped(text or 'not said')}" for label, text in facts.items()))
    how = about.get("how", {})
    splits = zip(own.labels.items(), handle.as_written()[0].labels, strict=True)
    st.markdown(
        "\n".join(
            f"* `{split}`: {len(labels):,} images" + (f", {escaped(how[written])}" if written in how else "")
            for (split, labels), written in splits
        )
    )
    for reason in own.broken.values():
        st.warning(escaped(reason))
    controls.numbers(_weights(own), f"weights_{own.name}", "Models and the SHA-256 digests of their weights")
    controls.numbers(_digests(own), f"digests_{own.name}", "SHA-256 digests of logits and labels")


def _weights(own: LogitSet) -> pd.DataFrame:
    columns = ("model", "weights", "weights_sha256", "input_size", "precision", "tf32", "computed_on", "created", "versions")
    rows = [{"name": name, **{column: _plain(getattr(card, column)) for column in columns}} for name, card in own.cards.items()]
    return pd.DataFrame(rows, columns=["name", *columns])


def _plain(value: object) -> str | None:
    """A card's entry as a table shows it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " × ".join(map(str, value)) if isinstance(value, tuple) else None if value is None else str(value)


def _digests(own: LogitSet) -> pd.DataFrame:
    """Of each tensor: its bytes with its type and shape, as `duo_core.logits.tensor_digest` takes them."""
    labels = [("labels", split, tensor_digest(y)) for split, y in own.labels.items()]
    logits = [(model, split, own.digests.get((model, split), "not recorded")) for model, split in own.arrays]
    return pd.DataFrame(labels + logits, columns=["file", "split", "sha256"])


def _citation() -> None:
    st.markdown("The method is the paper's; please cite it.")
    st.code(CITATION, language="bibtex")


def _versions() -> None:
    tables.frame(pd.DataFrame(versions(), columns=["Package", "Version"]))
