"""`duo diversity`: how alike every two models of a set are."""

import argparse

from duo_core.analysis.correlations import correlations
from duo_core.analysis.diversity import COLUMNS, diversity
from duo_core.cli.options import Commands, json_option, new_command, set_options, split_option
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import logit_set_of, progress_of
from duo_core.metrics.intervals import REPLICATES
from duo_core.wording.alike import LABELS, of_difference


def add_diversity(commands: Commands) -> None:
    """Add `duo diversity`."""
    command = new_command(commands, "diversity", compare, "how alike every two models of a set are, and what goes with that")
    split_option(command)
    set_options(command, ranked=False)
    json_option(command)


def compare(options: argparse.Namespace) -> None:
    """Compare every two models of a set; print a row a pair, and what their differences go with."""
    logit_set = logit_set_of(options)
    found = diversity(logit_set, options.split, replicates=0 if options.json else REPLICATES, progress=progress_of("all pairs"))
    table = found.table[COLUMNS]
    if options.json:
        print_json(table.to_dict("records"))
        return
    say(f"{logit_set.name}/{options.split}: {len(table):,} pairs of models\n")
    say(table.rename(columns=LABELS).to_string(index=False, float_format="{:.4f}".format, na_rep="undefined"))
    for sentence in ("", *of_difference(correlations(found))):
        say(sentence)
