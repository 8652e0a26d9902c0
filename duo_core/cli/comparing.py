"""`duo diversity`: how alike every two models of a set are."""

import argparse

from duo_core.analysis.correlations import correlations
from duo_core.analysis.diversity import COLUMNS, diversity
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import logit_set_of, progress_of
from duo_core.metrics.intervals import REPLICATES
from duo_core.wording.alike import LABELS, of_difference


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


def compare_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `duo diversity` beside those that name a set."""
    command.add_argument("--split", default="test", help="split to judge on (default test)")
