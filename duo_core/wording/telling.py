"""Differences in sentences: what a duo rescues and harms, and whether it would on other images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from duo_core.analysis.diagnosis import Exchange, mean_gap
from duo_core.common.numbers import UNDEFINED, share
from duo_core.figures.diagnosis import SYSTEMS
from duo_core.figures.screen import SCREEN, metric_title
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import LEVEL, REPLICATES, Interval
from duo_core.wording import sentences
from duo_core.wording.sentences import label, signed, verdict


def exchanged(counted: Exchange) -> str:
    """What a duo does to single images, as a title.

    >>> exchanged(Exchange(90, 6, 1, 3)), exchanged(Exchange(99, 0, 0, 1))
    ('The duo rescues 6 images and harms 1', 'The duo is right and wrong on the same images as the base')
    """
    if counted.rescued == counted.harmed == 0:
        return "The duo is right and wrong on the same images as the base"
    return f"The duo rescues {counted.rescued:,} image{'s' * (counted.rescued != 1)} and harms {counted.harmed:,}"


def exchange_line(counted: Exchange, gain: Interval | None, base: str) -> str:
    """What that comes to, and whether it is significant.

    >>> exchange_line(Exchange(90, 6, 1, 3), Interval(0.05, 0.01, 0.09), "large")
    'The duo is right on **6** images that large gets wrong, and wrong on **1** that large gets right: 5 more right of 100. \
Accuracy +5.00 pp, 95 % interval +1.00 to +9.00: **significantly better**.'
    """
    text = sentences.exchanged(counted, base)
    return text if gain is None else f"{text} Accuracy {verdict('accuracy', gain)}."


def exchange_table(counted: Exchange) -> pd.DataFrame:
    """Who is right, as a table of two rows and two columns.

    >>> exchange_table(Exchange(90, 6, 1, 3)).loc["**Base wrong**"].tolist()
    ['**6** rescued', '3 both wrong']
    """
    rows = [[f"{counted.both_right:,} both right", f"**{counted.harmed:,}** harmed"]]
    rows += [[f"**{counted.rescued:,}** rescued", f"{counted.both_wrong:,} both wrong"]]
    return pd.DataFrame(rows, pd.Index(["**Base right**", "**Base wrong**"], name="Images"), ["Duo right", "Duo wrong"])


def calibration_line(tables: Mapping[str, pd.DataFrame]) -> str:
    """The ECE of each system.

    >>> bins = pd.DataFrame({"images": [50, 50], "accuracy": [0.5, 0.9], "confidence": [0.6, 0.9]})
    >>> calibration_line({"base": bins, "duo": bins})
    'Expected calibration error (ECE): Base **5.0 %** · Duo **5.0 %**'
    """
    return "Expected calibration error (ECE): " + " · ".join(
        f"{SYSTEMS[key]} **{SCREEN['ece'].text(mean_gap(table))}**" for key, table in tables.items()
    )


def classes_line(shown: pd.DataFrame, gains: Mapping[int, Interval | None]) -> str:
    """In how many of the classes shown the duo gains, and where that is significant.

    >>> shown = pd.DataFrame({"class": [3, 5, 8], "name": ["cat", "dog", "ship"], "gain": [0.02, 0.0, -0.01]})
    >>> classes_line(shown, {3: Interval(0.02, 0.01, 0.03), 5: None, 8: Interval(-0.01, -0.03, 0.01)})
    'Of 3 classes the duo is better in **1** and worse in **1**. Significant, corrected for the number of classes: cat +2.00 pp.'
    """
    up, down = int((shown["gain"] > 0).sum()), int((shown["gain"] < 0).sum())
    sure = [
        f"{row['name']} {signed('accuracy', row['gain'])} pp"
        for row in shown.to_dict("records")
        if (gain := gains.get(row["class"])) is not None and gain.stands
    ]
    significant = f"Significant, corrected for the number of classes: {', '.join(sure) if sure else 'none'}."
    return f"Of {len(shown)} classes the duo is better in **{up}** and worse in **{down}**. {significant}"


def holm_line(classes: int) -> str:
    """How classes are told from chance."""
    return (
        f"Significance is by exact McNemar tests with Holm's correction for the {classes:,} classes that are large enough: were no "
        "class better or worse, any would be called significant at most once in 20 times. The intervals are not corrected."
    )


def entropy_line(gains: Mapping[str, Interval | None]) -> str:
    """What ranking the duo by entropy instead of softmax changes.

    >>> entropy_line({"aurc": Interval(0.0001, 0.00005, 0.0002), "auroc": None})
    'The duo, with images ranked by entropy instead of 1 − max softmax: AURC +0.10, 95 % interval +0.05 to +0.20: **significantly \
worse**.'
    """
    known = [f"{METRICS[key].label} {verdict(key, gain)}" for key, gain in gains.items() if gain is not None]
    return f"The duo, with images ranked by entropy instead of 1 − max softmax: {'; '.join(known) or 'nothing to compare'}."


def draws_line(gain: Interval | None, level: float = LEVEL) -> str:
    """How the intervals came about; `level` is theirs where there is none to ask.

    >>> draws_line(Interval(0.02, 0.01, 0.03, level=0.99))[:14], draws_line(None)[:14]
    ('99 % intervals', '95 % intervals')
    """
    return sentences.drawn(*((gain.replicates, gain.seed, gain.level) if gain else (REPLICATES, 0, level)))


def every_metric(
    metrics: Mapping[str, Mapping[str, float | None]], gains: Mapping[str, Mapping[str, Interval | None]]
) -> pd.DataFrame:
    """Every metric of base, sidekick and duo as on screen, and the duo's differences to either with their intervals.

    >>> found = {"base": {"aurc": 0.008}, "sidekick": {"aurc": 0.02}, "duo": {"aurc": 0.006}}
    >>> table = every_metric(found, {"base": {"aurc": Interval(-0.002, -0.003, -0.001)}, "sidekick": {"aurc": None}})
    >>> table.to_dict("split")["data"][0]
    ['AURC × 1000, lower is better', 8.0, 20.0, 6.0, -2.0, '−3.00 to −1.00', 'significantly better', -14.0, '', 'n/a']
    """
    return pd.DataFrame([_metric_row(key, metrics, gains) for key in METRICS if key in metrics["duo"]])


def _metric_row(
    key: str, metrics: Mapping[str, Mapping[str, float | None]], gains: Mapping[str, Mapping[str, Interval | None]]
) -> dict[str, Any]:
    factor = SCREEN[key].factor
    shown = {name: math.nan if (value := metrics[name][key]) is None else value * factor for name in ("base", "sidekick", "duo")}
    row: dict[str, Any] = {"Metric": metric_title(key), "Base": shown["base"], "Sidekick": shown["sidekick"], "Duo": shown["duo"]}
    for name, found in gains.items():
        gain = found.get(key)
        row[f"Duo − {name}"] = round(shown["duo"] - shown[name], 9)
        row[f"95 % interval, {name}"] = "" if gain is None else sentences.ends(key, gain)
        row[f"Against {name}"] = UNDEFINED if gain is None else sentences.SIGNIFICANT[sentences.effect(key, gain)]
    return row


def side_by_side(
    systems: Mapping[str, tuple[Mapping[str, float | None], float | None]], gains: Mapping[str, Mapping[str, Interval | None]]
) -> pd.DataFrame:
    """A row a metric and a column a system, given its metrics and FLOPs balance by name, with its gain; the cost comes last.

    >>> side_by_side({"a + b": ({"aurc": 0.006}, 0.25)}, {"a + b": {"aurc": Interval(-0.002, -0.003, -0.001)}})["a + b"].tolist()
    ['6.00 (−2.00 *)', '+25 %']
    """
    keys = next(iter(systems.values()))[0]
    rows: dict[str, list[str]] = {"Metric": [*map(label, keys), "Compute added"]}
    for name, (metrics, balance) in systems.items():
        cells = [with_gain(key, value, gains[name].get(key)) for key, value in metrics.items()]
        rows[name] = [*cells, "unknown" if balance is None else f"+{share(balance)}"]
    return pd.DataFrame(rows)


def with_gain(key: str, value: float | None, gain: Interval | None) -> str:
    """A metric with its difference to another system's in brackets, a star where that is significant.

    >>> with_gain("accuracy", 0.61, Interval(0.008, -0.013, 0.03)), with_gain("aurc", 0.19, None)
    ('61.0 % (+0.80)', '190.00')
    """
    text = SCREEN[key].text(value)
    return text if gain is None else f"{text} ({signed(key, gain.estimate)}{' *' if gain.stands else ''})"


def matrix(table: pd.DataFrame) -> pd.DataFrame:
    """Base, duo and their difference in one cell, a row a metric and a column a split; a star where the difference is significant.

    >>> cells = {"metric": "aurc", "split": "test", "base": 0.0076, "duo": 0.0059, "delta": -0.0017, "stands": True}
    >>> matrix(pd.DataFrame([cells])).to_dict("records")
    [{'Metric': 'AURC × 1000', 'test': '7.60 → 5.90 (−1.70 *)'}]
    """
    rows: dict[str, dict[str, str]] = {}
    for cell in table.to_dict("records"):
        rows.setdefault(cell["metric"], {"Metric": label(cell["metric"])})[cell["split"]] = _change(cell)
    return pd.DataFrame(list(rows.values()))


def _change(cell: Mapping[str, Any]) -> str:
    screen = SCREEN[cell["metric"]]
    text = f"{screen.text(cell['base'])} → {screen.text(cell['duo'])}"
    if pd.isna(cell["delta"]):
        return text
    return f"{text} ({signed(cell['metric'], cell['delta'])}{' *' if cell['stands'] else ''})"


def moves_table(moves: pd.DataFrame, classes: Sequence[str], ids: Sequence[str] | None) -> pd.DataFrame:
    """Rank moves with names for images and classes; an image without an id goes by its row."""
    classes_named = {title: moves[column].map(lambda c: classes[c]) for title, column in _CLASSES.items()}
    table = pd.DataFrame({"Move": moves["move"]} | classes_named | {title: moves[column] for title, column in _NUMBERS.items()})
    return table.assign(Image=moves["row"].map(lambda row: ids[row]) if ids else moves["row"])


_CLASSES = {"Label": "label", "Base says": "base_class", "Duo says": "duo_class"}
_NUMBERS = {"Base sure": "base_confidence", "Duo sure": "duo_confidence", "Base rank": "base_rank", "Duo rank": "duo_rank"}
