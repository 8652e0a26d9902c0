"""`duo advise`: what to do with so much more compute than a base takes."""

import argparse
from collections.abc import Sequence
from typing import Any

import pandas as pd

from duo_core.analysis.advisor import Advice, advise
from duo_core.analysis.candidates import BUDGETS
from duo_core.analysis.options import CHOSEN_BY, Option
from duo_core.cli.arguments import budget
from duo_core.cli.options import Commands, json_option, new_command, set_options, split_option
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import logit_set_of, progress_of
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval

SHOWN = ("accuracy", "nll", "aurc")
"""Metrics in the table beside the one that was asked for."""


def add_advise(commands: Commands) -> None:
    """Add `duo advise`."""
    command = new_command(commands, "advise", advised, "what to do with so much more compute than a base takes")
    command.add_argument("--base", required=True, metavar="MODEL", help="the model that is there")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--budget", type=budget, metavar="X", help="compute that may be added: 0.15, or 15%%, of the base's")
    which.add_argument(
        "--budgets",
        nargs="+",
        type=budget,
        metavar="X",
        help="several, one answer each (default 0 5%% 10%% 20%% 50%% 100%% 200%%)",
    )
    command.add_argument("--metric", choices=list(METRICS), default=CHOSEN_BY, help="what the verdict is about (default nll)")
    command.add_argument("--no-cascades", action="store_true", help="leave out cascades, whose cost depends on the images")
    split_option(command)
    set_options(command)
    json_option(command)


def advised(options: argparse.Namespace) -> None:
    """Print a sentence a budget and a table, or the same as JSON."""
    own = logit_set_of(options, alone=True)
    budgets = [options.budget] if options.budget is not None else options.budgets or BUDGETS
    found = advise(
        own,
        options.base,
        list(dict.fromkeys(budgets)),
        split=options.split,
        metric=options.metric,
        kind=options.uncertainty,
        cascades=not options.no_cascades,
        store=None if options.file else Store(options.store).path,
        progress=progress_of("all systems"),
    )
    if options.json:
        documents = [document(one) for one in found]
        print_json(documents[0] if options.budget is not None else documents)
        return
    from duo_core.wording.advising import missing_lines, sentences_of  # how values are written brings plotly

    for one in found:
        say(" ".join(sentences_of(one)) + "\n")
    say(_table(found, options.metric) + "\n")
    for line in missing_lines(found[0]):
        say(line)


def document(advice: Advice) -> dict[str, Any]:
    """What `duo advise --json` prints of one budget."""
    from duo_core.wording.advising import sentences_of

    chosen = advice.chosen
    return {
        "set": advice.set,
        "base": advice.base,
        "budget": advice.budget,
        "chosen_on": advice.chosen_on,
        "judged_on": advice.judged_on,
        "metric": advice.metric,
        "candidates": advice.candidates,
        "keep": advice.keep,
        "answer": _option(chosen),
        "reference": _option(advice.reference),
        "runner_up": _option(advice.runner_up),
        "cheapest": _option(advice.cheapest),
        "fallback": _option(advice.fallback),
        "lost": list(advice.lost),
        "bounded": _bounds(advice),
        "missing": [{"kind": one.action, "why": one.why, "command": one.command} for one in advice.missing],
        "sentence": " ".join(sentences_of(advice)),
    }


def _bounds(advice: Advice) -> dict[str, int | None] | None:
    """What was not searched in full; None where everything was."""
    of = advice.bounds
    return {"models_fitted_a_step": of.fitted, "cascades_of_pairs": of.cascades, "pairs": of.pairs or None} if of else None


def _option(option: Option | None) -> dict[str, Any] | None:
    if option is None:
        return None
    of = option.candidate
    return {
        "kind": of.action,
        "system": of.kind,
        "members": list(option.members),
        "rule": of.rule,
        "gates": list(getattr(of.system, "gates", ())),
        "cost_ratio": option.cost_ratio,
        "cost_ratio_interval": _interval(option.cost_interval),
        "val_nll": of.val_nll,
        "metrics": dict(option.metrics),
        "gain": {key: _interval(gain) for key, gain in option.gain.items()},
    }


def _interval(found: Interval | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.estimate, "low": found.low, "high": found.high, "level": found.level, "stands": found.stands}


def _table(found: Sequence[Advice], metric: str) -> str:
    """One line a budget: what was chosen, what it costs, and what it gives beside the base."""
    from duo_core.wording.advising import named

    keys = list(dict.fromkeys([metric, *SHOWN]))
    rows = [("base", found[0].reference, "")] + [
        (f"+{one.budget * 100:g} %", one.chosen, "" if one.chosen.candidate.action == "keep" else "yes" if one.stands else "no")
        for one in found
    ]
    table = pd.DataFrame(
        {
            "budget": name,
            "system": named(option),
            "kind": option.candidate.action,
            "cost": f"{option.cost_ratio:.2f}",
            **{METRICS[key].label: "-" if option.metrics[key] is None else f"{option.metrics[key]:.4f}" for key in keys},
            "significant": significant,
        }
        for name, option, significant in rows
    )
    return str(table.to_string(index=False))
