"""`duo sweep`: every pair of a set, or every system of up to so many members."""

import argparse
import sys
import time
from collections.abc import Mapping
from itertools import combinations
from math import comb, isnan
from pathlib import Path
from typing import Any

import pandas as pd

from duo_core.cli.arguments import not_negative_number, positive
from duo_core.cli.options import Commands, force_option, json_option, new_command, set_options
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import logit_set_of, progress_of, tables_of
from duo_core.common.arrays import InputError
from duo_core.common.files import check_output, csv_text, replaced
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.enumeration import Results, SystemTables, every_system, results, tables
from duo_core.systems.growing import Plan, plan
from duo_core.systems.pair_judging import Memory
from duo_core.systems.remembered_systems import swept_systems
from duo_core.systems.sweep import check_fit_split, check_judged, sweeps
from duo_core.systems.system import RULES, System

PAIRS = 2
"""The size at which the table is that of pairs."""
FEW = 3
"""Pairs that --dry-run times."""
SHOWN = 20
"""Systems of a split that people are shown."""


def add_sweep(commands: Commands) -> None:
    """Add `duo sweep`."""
    command = new_command(commands, "sweep", sweep, "every pair of a set, every variant, every split; or systems of more members")
    command.add_argument("--split", action="append", metavar="SPLIT", help="only this split; may be repeated")
    command.add_argument(
        "--size",
        type=positive,
        default=PAIRS,
        metavar="M",
        help="systems of up to so many members (default 2: pairs)",
    )
    command.add_argument(
        "--budget",
        type=not_negative_number,
        metavar="X",
        help="of --size 3 and more: only systems whose further members add at most X times the first's multiply-adds",
    )
    command.add_argument(
        "--rule", action="append", choices=list(RULES), help="of --size 3 and more: only this rule; may be repeated"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="write the table to a .parquet or .csv file")
    command.add_argument("--dry-run", action="store_true", help="say what there is to do and how long it takes, and sweep nothing")
    force_option(command)
    set_options(command)
    json_option(command)


def sweep(options: argparse.Namespace) -> None:
    """Evaluate every pair, or systems of more members; print the best of them, or all rows as JSON, or write them to a file."""
    _check_asked(options)
    if options.out:
        check_output(options.out, options.force)
    if options.dry_run:
        _estimate(options)
    elif options.size == PAIRS:
        _sweep_pairs(options)
    else:
        _sweep_systems(options)


def _check_asked(options: argparse.Namespace) -> None:
    for name in ("budget", "rule"):
        if getattr(options, name) is not None and options.size == PAIRS:
            raise InputError(f"expected --{name} with --size 3 or more, got it with pairs; add --size, or leave --{name} out")
    if options.out and options.out.suffix not in (".parquet", ".csv"):
        raise InputError(f"expected a file ending in .parquet or .csv for --out, got '{options.out}'")


def _estimate(options: argparse.Namespace) -> None:
    """Say how many pairs or systems there are and how long they take, by the time that a few pairs take; remember nothing."""
    from duo_core.inference.progress import clock

    logit_set = logit_set_of(options, alone=options.size != PAIRS)
    check_fit_split(logit_set)
    splits = list(dict.fromkeys(options.split or logit_set.evaluation_splits))
    for split in splits:
        check_judged(logit_set, split)
    names = logit_set.models(FIT_SPLIT, *splits)
    some = list(combinations(names, 2))[:FEW]
    began = time.perf_counter()
    sweeps(logit_set, splits, only=some)
    each = (time.perf_counter() - began) / max(1, len(some))
    sizes = [2] if options.size == PAIRS else list(range(1, options.size + 1))
    count = sum(comb(len(names), size) for size in sizes)
    worth = sum(comb(len(names), size) * size / 2 for size in sizes)
    images = sum(len(logit_set.labels[split]) for split in (FIT_SPLIT, *splits))
    larger = f"choices of up to {options.size} members, before --budget and the limit of what is swept,"
    what = "pairs" if options.size == PAIRS else larger
    say(
        f"{count:,} {what} of {len(names)} models on {images:,} images of {logit_set.k:,} classes, "
        f"{len(names) * images * logit_set.k * 4 / 1e6:,.1f} MB of logits in float32; about {clock(each * worth)} here, "
        f"as {len(some)} pairs took {each:.3f} s each; what was swept before is remembered and takes none"
    )


def _sweep_pairs(options: argparse.Namespace) -> None:
    logit_set = logit_set_of(options)
    check_fit_split(logit_set)
    table = tables_of(logit_set, options, options.split)[options.uncertainty]
    if options.out:
        _write_table(table, options.out)
    if options.json:
        print_json(table.to_dict("records"))
    elif not options.out:
        duos = table[table["variant"] == "duo"].drop(columns=["set", "variant"])
        say(duos.to_string(index=False, float_format="{:.4f}".format, na_rep="-") if len(duos) else "no pairs")


def _sweep_systems(options: argparse.Namespace) -> None:
    logit_set = logit_set_of(options, alone=True)
    check_fit_split(logit_set)
    splits, memory = list(dict.fromkeys(options.split or logit_set.evaluation_splits)), Memory()
    for split in splits:
        check_judged(logit_set, split)
    planned = plan(logit_set, options.size, splits, budget=options.budget, memory=memory, progress=progress_of("growing"))
    _say_left_out(planned, options.size)
    asked = every_system(planned.members, list(dict.fromkeys(options.rule or RULES)))
    found = _results(logit_set, options, asked, splits, memory)
    of = tables(logit_set, found, options.uncertainty)
    if options.out:
        _write_table(_flat(of, found), options.out)
    if options.json:
        print_json(_document(of, found))
    elif not options.out:
        _print_best(of, splits)


def _say_left_out(planned: Plan, size: int) -> None:
    if planned.whole < size:
        grown = sum(len(members) > planned.whole for members in planned.members)
        say(f"every system of up to {planned.whole} members, and {grown} larger ones, grown member by member", sys.stderr)
    if planned.beyond:
        say(f"{planned.beyond:,} choices of members cost more than the budget", sys.stderr)
    if planned.unknown:
        say(f"{planned.unknown:,} choices of members are left out, as the multiply-adds of some are unknown", sys.stderr)


def _results(logit_set: LogitSet, options: argparse.Namespace, asked: list[System], splits: list[str], memory: Memory) -> Results:
    """Those of a set in the store are remembered there."""
    told = progress_of("all systems")
    if options.file is None:
        return swept_systems(logit_set, Store(options.store).path, asked, splits, memory=memory, progress=told)
    return results(logit_set, asked, splits, memory=memory, progress=told)


def _flat(of: SystemTables, found: Results) -> pd.DataFrame:
    """One table of everything: weights and own temperatures as text in the order of the members."""
    texts = {name: [" + ".join(map(repr, getattr(one, name))) for one in found.values()] for name in ("weights", "alone")}
    facts = of.fits.assign(**texts)
    return of.systems.merge(facts, on="system", validate="many_to_one").drop(columns="system")


def _document(of: SystemTables, found: Results) -> list[dict[str, Any]]:
    """One object a system and split, with its members, weights and own temperatures by name."""
    systems = list(found.items())

    def row(values: Mapping[str, Any], at: int) -> dict[str, Any]:
        system, result = systems[at]
        by_member = {name: dict(zip(system.members, getattr(result, name), strict=True)) for name in ("weights", "alone")}
        fit = {"temperature": result.temperature, "nll_fit": result.nll_fit, "separated": result.separated}
        return {**values, "says": system.says, "members": list(system.members), **by_member, **fit}

    rows = of.systems.drop(columns="system").to_dict("records")
    rows = [{**values, "cost": None if isnan(values["cost"]) else int(values["cost"])} for values in rows]
    return [row(values, at) for values, at in zip(rows, of.systems["system"], strict=True)]


def _print_best(of: SystemTables, splits: list[str]) -> None:
    """Of each split the systems of least NLL on the fit split: chosen there, judged here.

    Left out are rules that nobody is recommended, `uq_only`, and systems with a member of weight 0: they are smaller ones again.
    """
    table = of.systems.merge(of.fits, on="system")
    idle = of.weights.loc[of.weights["weight"] == 0, "system"]
    may = table[table["rule"].map(lambda rule: RULES[rule].recommended) & table["says"].isna() & ~table["system"].isin(idle)]
    labels = {"cost_ratio": "cost", "nll_fit": "NLL (fit)"} | {key: metric.label for key, metric in METRICS.items()}
    for split in splits:
        rows = may[may["split"] == split].sort_values("nll_fit", kind="stable").head(SHOWN)
        shown = rows[["members", "rule", *labels]].rename(columns=labels)
        say(f"{split}: {len(rows)} of {(table['split'] == split).sum():,} systems, those of least NLL on the fit split")
        say(shown.to_string(index=False, float_format="{:.4f}".format, na_rep="-") + "\n")


def _write_table(table: pd.DataFrame, file: Path) -> None:
    with replaced(file) as beside:
        if file.suffix == ".csv":
            beside.write_text(csv_text(table), encoding="utf-8", newline="")
        else:
            table.to_parquet(beside, index=False)
    say(f"{len(table):,} rows, {len(table.columns)} columns in '{file}'", file=sys.stderr)
