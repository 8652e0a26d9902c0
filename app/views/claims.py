"""Does it hold: the claims of the paper, computed on the chosen set."""

from collections.abc import Sequence

import streamlit as st

from app import controls, link, state, tables
from app.controls import THEMED
from app.views import explore
from duo_core.analysis.claims import BANDS, Claim
from duo_core.figures.claims import measured_metric, pairs_behind
from duo_core.logits import FIT_SPLIT
from duo_core.wording import verdicts
from duo_core.wording.sentences import claims_by_chance, claims_rule, reversed_pairs

TITLE = "Does it hold?"
LINKED = (*link.SET, "band", "claim", "with_reversed")
REVERSED = {"no": "Left out", "yes": "Included"}
EVERY, WHOLE = "every", "all"
SHOWN = {EVERY: "Every claim", WHOLE: "All pairs", **{band.key: band.words.capitalize() for band in BANDS}}


def show() -> None:
    """Draw the page."""
    if st.session_state.pop("opening", False):
        # With its address at once: one step in the browser's history.
        address = st.session_state.get("address", {}) | link.state_of(explore.LINKED)
        st.switch_page(st.session_state["pages"]["explore"], query_params=address)
    place = controls.set_sidebar()
    if place is None:
        return
    own = place.handle.logit_set
    if len(place.known.accuracy) < 2:
        st.title("No pair to judge", anchor=False)
        st.markdown(f"The claims are about pairs; on `{place.split}` **{own.title}** has fewer than two models.")
        return
    too = link.held("with_reversed") == "yes"
    found = state.claims_of(place.handle, place.split, reversed_too=too)
    every = found.claims
    st.title(verdicts.headline(every, own.title), anchor=False)
    st.caption(
        f"{own.title} · {place.split} · {len(own.labels[place.split]):,} images · {found.pairs} pairs of "
        f"{len(place.known.accuracy)} models; of each pair the more expensive model is the base"
    )
    st.markdown(verdicts.counted(every))
    if chance := claims_by_chance(every):
        st.caption(chance)
    if found.reversed:
        where = f"{FIT_SPLIT}, or clearly on {place.split}"
        controls.switch(
            "Reversed pairs",
            "with_reversed",
            REVERSED,
            f"In a reversed pair the sidekick is more accurate than the base on {where}.",
        )
        st.caption("" if too else reversed_pairs(found.reversed, found.pairs, f"{where},"))
    band = controls.switch(
        "Claims about",
        "band",
        SHOWN,
        "Claims about the pairs whose sidekick adds that much to the base's compute (FLOPs balance), or about all pairs.",
    )
    shown = [claim for claim in every if band in (EVERY, claim.band.key if claim.band else WHOLE)]
    _claims(shown)
    st.caption(claims_rule(every))
    _claim(shown)


def _claims(shown: Sequence[Claim]) -> None:
    """Every claim as one line; selecting one shows its pairs."""
    keys = [claim.key for claim in shown]
    link.settle("claim", keys, keys[0])
    link.select_row("table_claims", keys.index(st.session_state["claim"]))
    tables.frame(
        verdicts.claims_table(shown),
        key="table_claims",
        row_height=66,
        height=600,
        columns={
            "Verdict": st.column_config.TextColumn(width=112),
            "Claim": st.column_config.TextColumn(width=310),
            "0 to 100 %": st.column_config.ImageColumn(
                width=176, help="Dot: share of pairs that agree. Bar: its interval. Tick: the share that the claim asks for."
            ),
            "Pairs that agree": st.column_config.TextColumn(width=132),
            "Pairs": st.column_config.NumberColumn(width=52),
        },
        on_select=lambda: _choose(keys),
        selection_mode="single-row",
    )
    tables.downloads(verdicts.claims_numbers(shown), "claims")


def _choose(keys: Sequence[str]) -> None:
    """Take the claim of the row that was selected."""
    if (row := link.chosen_row("table_claims")) is not None:
        link.take({"claim": keys[row]})


def _claim(shown: Sequence[Claim]) -> None:
    """One claim and the pairs behind it."""
    by_key = {claim.key: claim for claim in shown}
    st.header("Which pairs are behind it?", anchor=False)
    st.selectbox("Claim", list(by_key), key="claim", format_func=lambda key: by_key[key].text, on_change=link.touched)
    claim = by_key[st.session_state["claim"]]
    st.markdown(f"{claim.text} {verdicts.why(claim)} Paper: {claim.source}.")
    st.markdown(f"Measured: {verdicts.measured(claim)}. Click a point, or select a row, to open its pair in Explore.")
    left, right = st.columns(2, gap="medium")
    with left:
        controls.chart(
            pairs_behind(claim, colours=THEMED),
            "claim_pairs",
            f"{claim.measured} of every pair behind the claim, against the cost of the sidekick",
            on_select=lambda: open_pair(claim, link.picked_data(st.session_state.get("chart_claim_pairs"))),
            selection_mode="points",
        )
    with right:
        tables.frame(
            verdicts.pairs_table(claim),
            shares={"Balance": "FLOPs balance"},
            key="table_claim_pairs",
            height=400,
            columns={
                "Measured": st.column_config.NumberColumn(format="%.3g", help=verdicts.measured(claim)),
            },
            on_select=lambda: open_pair(claim, _selected(claim)),
            selection_mode="single-row",
        )
        tables.downloads(claim.pairs, "claim_pairs")


def _selected(claim: Claim) -> Sequence[str] | None:
    rows = st.session_state["table_claim_pairs"]["selection"]["rows"]
    return claim.pairs.loc[rows[0], ["base", "sidekick"]].tolist() if rows else None


def open_pair(claim: Claim, pair: Sequence[str] | None) -> None:
    """Have a pair opened in Explore, with what the claim measures; None, of a selection taken back, opens nothing."""
    link.touched()
    if pair:
        pair = pair[1].split(" + ") if " + " in pair[1] else pair  # two models that were held against a third
        uncertainty = "entropy" if claim.key.startswith("entropy") else "softmax"
        metric = measured_metric(claim) or st.session_state.get("metric")
        link.take({"base": pair[0], "sidekick": pair[1], "uncertainty": uncertainty, "metric": metric})
        st.session_state["opening"] = True
