"""Step 8: what real pairs cost and gain, and the best within a budget."""

import pandas as pd
import streamlit as st

from app import controls, link
from app.controls import THEMED
from app.state.lessons import Real, Scene, offers
from duo_core.figures import teaching_together
from duo_core.teaching import together
from duo_core.wording import words

LINKED = ("spend", "pair")


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    if scene.real is None:
        return
    table = offers(scene.real)
    if table.empty:
        st.info("This set does not say how many multiply-adds its models take, so there is no price to show.")
        return
    link.settle("spend", range(5, 51), 20)
    st.slider("Budget: the sidekick may add up to", 5, 50, key="spend", format="+%d %%", on_change=link.touched)
    budget = st.session_state["spend"] / 100
    best = together.best_offer(table, budget)
    names = [f"{base}+{sidekick}" for base, sidekick in zip(table["base"], table["sidekick"], strict=True)]
    link.settle("pair", ("", *names), "")
    picked = table.iloc[names.index(st.session_state["pair"])] if st.session_state["pair"] else None
    st.markdown(line(best, budget))
    controls.chart(
        teaching_together.offers(table, budget, best=_models(best), picked=_models(picked), colours=THEMED),
        "offers",
        f"What {len(table)} real pairs gain in AURC against what they cost; the budget is {words.percent(budget, 0)}",
        on_select=_take_pair,
        selection_mode="points",
    )
    shown = best if picked is None else picked
    if shown is not None:
        _open(scene.real, shown)
    controls.numbers(table, "offers", "The pairs as numbers")
    link.share()


def _models(row: "pd.Series[float] | None") -> tuple[str, str] | None:
    return None if row is None else (row["base"], row["sidekick"])


def _take_pair() -> None:
    """Take the pair that was clicked; a second click changes nothing."""
    link.touched()
    if data := link.picked_data(st.session_state.get("chart_offers")):
        link.take({"pair": "+".join(data)})


def _open(found: Real, row: "pd.Series[float]") -> None:
    """The way from a pair to all that is known of it."""
    query = {"set": found.handle.logit_set.name, "split": found.split, "base": row["base"], "sidekick": row["sidekick"]}
    page = st.session_state["pages"]["explore"]
    st.page_link(page, label=f"Open {row['base']} + {row['sidekick']} in {page.title} →", query_params=query)


def line(best: "pd.Series[float] | None", budget: float) -> str:
    """The best within the budget."""
    within = f"+{words.percent(budget, 0)}"
    if best is None:
        return f"No pair costs as little as {within}."
    return (
        f"Best within {within}: **{best['base']} + {best['sidekick']}** for +{words.share(best['flops_balance'])} compute; "
        f"it removes **{words.percent(best['gain'], 0)}** of the base's AURC."
    )
