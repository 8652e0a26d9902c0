"""`duo fit`: the temperatures of a pair, or the weights of any number of members, and every metric of what they make together."""

import argparse
import sys
from collections.abc import Iterable, Mapping

import pandas as pd

from duo_core.cli.checking import metrics_check, print_metrics_check
from duo_core.cli.options import (
    Commands,
    check_member_options,
    json_option,
    member_options,
    new_command,
    set_options,
    split_option,
)
from duo_core.cli.printing import print_json, say, say_idle
from duo_core.cli.uploading import logit_set_of
from duo_core.common.arrays import InputError
from duo_core.metrics import METRICS
from duo_core.systems.duo import VARIANTS
from duo_core.systems.judging import UQ_ONLY, MembersJudged, judge_members
from duo_core.systems.sweep import Evaluation, evaluate
from duo_core.systems.system import RULES


def add_fit(commands: Commands) -> None:
    """Add `duo fit`."""
    text = "weights of a pair, or of any number of models, and all metrics of what they make"
    command = new_command(commands, "fit", fit, text)
    member_options(command, "a pair, with the numbers of the paper", ", together by every rule")
    command.add_argument("--rule", choices=list(RULES), help="of --members: only this rule (default: every one)")
    split_option(command)
    command.add_argument("--check", action="store_true", help="of a pair: have scikit-learn compute the metrics it has as well")
    set_options(command)
    json_option(command)


def fit(options: argparse.Namespace) -> None:
    """Fit a pair, or members, and print what was found."""
    _check_asked(options)
    if options.members:
        _fit_members(options)
    else:
        _fit_pair(options)


def _check_asked(options: argparse.Namespace) -> None:
    """Raise InputError where options that go together are not given together."""
    check_member_options(options)
    if options.rule and not options.members:
        raise InputError("expected --rule with --members only, got it with --base and --sidekick; name both after --members")
    if options.check and options.members:
        raise InputError("expected --check with --base and --sidekick only, got it with --members; leave it out")


def _fit_pair(options: argparse.Namespace) -> None:
    logit_set = logit_set_of(options)
    found = evaluate(logit_set, options.base, options.sidekick, options.split, kind=options.uncertainty)
    _say_separated(found.fit.separated)
    check = metrics_check(found, options.uncertainty) if options.check else None
    if options.json:
        print_json({**found.document(), **({"check": check} if check else {})})
        return
    _print_pair(found)
    if check:
        print_metrics_check(check)


def _say_separated(names: Iterable[str]) -> None:
    for name in names:
        say(
            f"the fit split is separated perfectly by the {name}: no finite temperature is best, its weight stands at the bound",
            file=sys.stderr,
        )


def _print_pair(found: Evaluation) -> None:
    cost = "multiply-adds unknown" if found.flops_balance is None else f"{found.flops_balance:.1%} more multiply-adds"
    ratio = "undefined" if found.fit.ratio is None else f"{found.fit.ratio:.3f}"
    weights, alone = found.fit.temperatures, found.fit.calibration
    say(f"{found.base} + {found.sidekick} on {found.logit_set.name}/{found.split}; {cost}")
    say(f"temperatures  base {weights.base:.4f}  sidekick {weights.sidekick:.4f}  ratio {ratio}")
    say(f"alone         base {alone.base:.4f}  sidekick {alone.sidekick:.4f}")
    say(f"NLL (fit)     {_listed(found.fit.nll)}\n")
    _print_metrics([VARIANTS[key].label for key in found.metrics], found.metrics)


def _fit_members(options: argparse.Namespace) -> None:
    logit_set = logit_set_of(options, alone=len(options.members) == 1)
    rules = [options.rule] if options.rule else list(RULES)
    found = judge_members(logit_set, options.members, options.split, kind=options.uncertainty, rules=rules)
    members = found.fitted.members
    _say_separated(f"member '{name}'" if name in members else f"rule '{name}'" for name in found.fitted.separated)
    if options.json:
        print_json(found.document())
        return
    _print_members(found)


def _print_members(found: MembersJudged) -> None:
    of, ratio = found.fitted, found.cost_ratio
    cost = "multiply-adds unknown" if ratio is None else f"{ratio - 1:.1%} more multiply-adds"
    say(f"{' + '.join(of.members)} on {found.logit_set.name}/{found.split}; {cost}")
    table = pd.DataFrame({"weight": of.weights, "alone": of.calibration, "NLL (fit)": of.nll_alone}, index=list(of.members))
    say(f"\n{table.to_string(float_format='{:.4f}'.format)}\n")
    say_idle(of.members, of.weights)
    if of.temperature:
        say(f"temperature   {_listed(of.temperature)}")
    say(f"NLL (fit)     {_listed(of.nll)}\n")
    labels = {key: rule.label for key, rule in RULES.items()} | {UQ_ONLY: VARIANTS[UQ_ONLY].label}
    _print_metrics([labels.get(key, key) for key in found.metrics], found.metrics)


def _listed(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items())


def _print_metrics(labels: list[str], rows: Mapping[str, Mapping[str, float | None]]) -> None:
    table = pd.DataFrame(list(rows.values()), index=labels).rename(columns={key: metric.label for key, metric in METRICS.items()})
    say(table.to_string(float_format="{:.4f}".format, na_rep="undefined"))
