"""A whole set: every model alone, and every pair with what both models are and cost."""

import pandas as pd
import streamlit as st

from app.state.pairs import all_pairs, fitted
from app.state.sets import Handle, survey
from duo_core.advice import gains
from duo_core.arrays import UncertaintyKind
from duo_core.logits import LogitSet
from duo_core.metrics import METRICS
from duo_core.sweep import evaluate

UNKNOWN_FAMILY = "unknown"


def singles(handle: Handle, split: str, kind: UncertaintyKind = "softmax") -> pd.DataFrame:
    """Every model alone after its own temperature scaling, indexed by name, most multiply-adds first: card and metrics."""
    models = list(survey(handle, split).accuracy)
    return _singles(handle.stamp, split, kind, models, handle)


@st.cache_resource(max_entries=32, show_spinner="Judging the models alone")
def _singles(stamp: str, split: str, kind: UncertaintyKind, models: list[str], _handle: Handle) -> pd.DataFrame:  # noqa: ARG001
    rows = [_single(_handle, model, models[0] if model != models[0] else models[-1], split, kind) for model in models]
    columns = ["model", "family", "temperature", *METRICS, *CARD]
    return pd.DataFrame(rows, columns=columns).set_index("model")


CARD = ("multiply_adds", "parameters", "images_per_second", "device", "source", "identity", "weights", "weights_sha256", "created")


def _single(handle: Handle, model: str, beside: str, split: str, kind: UncertaintyKind) -> dict[str, object]:
    own, fit = handle.logit_set, fitted(handle, model, beside).fit
    card = own.cards[model]
    facts = {name: getattr(card, name) for name in CARD if name != "identity"}
    metrics = evaluate(own, model, beside, split, kind=kind, fitted=fit, variants=("base",)).metrics["base"]
    family = card.family or UNKNOWN_FAMILY
    return {"model": model, "family": family, "temperature": fit.calibration.base, **metrics, **facts, "identity": card.model}


def landscape(handle: Handle, split: str, kind: UncertaintyKind, metric: str) -> pd.DataFrame:
    """The rows of `all_pairs` with the sidekick's `family`, the `throughput_balance`, and the `gain` in a metric over the base."""
    table = all_pairs(handle, split, kind)
    alone = singles(handle, split, kind)
    pairs = list(zip(table["base"], table["sidekick"], strict=True))
    return table.assign(
        family=table["sidekick"].map(alone["family"]),
        throughput_balance=[_throughput_balance(handle.logit_set, *pair) for pair in pairs],
        gain=gains(metric, table[metric].astype(float), table["base"].map(alone[metric]).astype(float)),
    )


def _throughput_balance(own: LogitSet, base: str, sidekick: str) -> float | None:
    """Time that the sidekick adds to the base's; None where they were not measured on one device."""
    large, small = own.cards[base], own.cards[sidekick]
    if large.device != small.device or not large.images_per_second or not small.images_per_second:
        return None
    return large.images_per_second / small.images_per_second
