"""`duo sweep`: every pair of a set."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from duo_core.cli.options import Commands, force_option, json_option, new_command, set_options
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import logit_set_of, tables_of
from duo_core.common.arrays import InputError
from duo_core.common.files import check_output, csv_text, replaced
from duo_core.systems.sweep import COLUMNS


def add_sweep(commands: Commands) -> None:
    """Add `duo sweep`."""
    command = new_command(commands, "sweep", sweep, "every pair of a set, every variant, every split")
    command.add_argument("--split", action="append", metavar="SPLIT", help="only this split; may be repeated")
    command.add_argument("--out", type=Path, metavar="FILE", help="write the table to a .parquet or .csv file")
    force_option(command)
    set_options(command)
    json_option(command)


def sweep(options: argparse.Namespace) -> None:
    """Evaluate every pair; print the duos, or all rows as JSON, or write them to a file."""
    if options.out and options.out.suffix not in (".parquet", ".csv"):
        raise InputError(f"expected a file ending in .parquet or .csv for --out, got '{options.out}'")
    if options.out:
        check_output(options.out, options.force)
    logit_set = logit_set_of(options)
    table = tables_of(logit_set, options, options.split)[options.uncertainty]
    if options.out:
        _write_table(table, options.out)
    if options.json:
        print_json(table.to_dict("records"))
    elif not options.out:
        duos = table[table["variant"] == "duo"].drop(columns=["set", "variant"])
        say(duos.to_string(index=False, float_format="{:.4f}".format, na_rep="-") if len(duos) else "no pairs")


def _write_table(table: pd.DataFrame, file: Path) -> None:
    with replaced(file) as beside:
        if file.suffix == ".csv":
            beside.write_text(csv_text(table), encoding="utf-8", newline="")
        else:
            table.to_parquet(beside, index=False)
    say(f"{len(table):,} rows, {len(COLUMNS)} columns in '{file}'", file=sys.stderr)
