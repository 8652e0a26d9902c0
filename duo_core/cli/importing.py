"""`duo import`: logits from files become a set of the store."""

import argparse
import sys
from pathlib import Path

from duo_core.cli.options import Commands, about_options, file_options, force_option, json_option, new_command, store_option
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import read_files
from duo_core.common.files import checked_name
from duo_core.formats import OPENERS
from duo_core.logits.store import Imported, Store, import_set


def add_import(commands: Commands) -> None:
    """Add `duo import`."""
    command = new_command(commands, "import", import_files, "logits from files become a set of the store")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help=f"{', '.join(OPENERS)}; several are joined")
    command.add_argument("--set", required=True, metavar="NAME", help="set to make, or to add models to")
    about_options(command, "logits")
    force_option(command, "write over models that are there with other logits")
    file_options(command)
    store_option(command)
    json_option(command)


def import_files(options: argparse.Namespace) -> None:
    """Write the logits of files into the store; say what of the set is new."""
    checked_name(options.set, "set")
    reading = read_files(options.files, options, alone=True)
    options.warnings = reading.warnings
    own, store = reading.opened(), Store(options.store)
    made = import_set(
        store, options.set, own, title=options.title, source=options.source, licence=options.licence, force=options.force
    )
    _print_changes(made)
    if options.json:
        found = {"set": options.set, "store": str(store.path), "written": made.written, "present": made.present}
        print_json({**found, "renamed": made.renamed, "splits": reading.found.splits})
        return
    splits = ", ".join(f"{split} {n:,}" for split, n in reading.found.splits.items())
    there = f"; there already: {', '.join(made.present)}" if made.present else ""
    say(f"{', '.join(made.written) or 'nothing new'} in the set '{options.set}' of '{store.path}' ({splits}){there}")
    say(f"see it with duo sets {options.set}, or in the sidebar of duo app")


def _print_changes(made: Imported) -> None:
    for old, new in made.renamed.items():
        say(f"duo import: '{old}' is called '{new}' in the set, since a file cannot have its name", file=sys.stderr)
    if made.rounded:
        say(f"duo import: a set holds float32, so the float64 logits of {', '.join(made.rounded)} were rounded", file=sys.stderr)
