"""`duo report`: everything about one pair, or about all pairs of a set, as one HTML file."""

import argparse
import datetime
from pathlib import Path

from duo_core.analysis.judged import judged_claims
from duo_core.cli.arguments import seed
from duo_core.cli.options import Commands, force_option, new_command, pair_options, set_options, split_option
from duo_core.cli.printing import say
from duo_core.cli.uploading import logit_set_of, tables_of
from duo_core.common.arrays import InputError
from duo_core.common.files import check_output, write_text
from duo_core.logits import LogitSet
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import check_judged, evaluate


def add_report(commands: Commands) -> None:
    """Add `duo report`."""
    command = new_command(commands, "report", report, "everything about a pair, or all pairs of a set, as one HTML file")
    pair_options(command, "with --sidekick: a report of this pair (default: of all pairs)")
    split_option(command)
    command.add_argument("--metric", choices=list(METRICS), default="aurc", help="what pairs are compared by (default aurc)")
    command.add_argument(
        "--bootstrap-seed", type=seed, default=0, metavar="N", help="of the draws behind the intervals (default 0)"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    force_option(command)
    set_options(command)


def report(options: argparse.Namespace) -> None:
    """Write the report of the pair that is named, else of all pairs."""
    if options.out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"expected a file ending in .html for --out, got '{options.out}'")
    check_output(options.out, options.force)
    named = [options.base, options.sidekick]
    if any(named) and not all(named):
        raise InputError("expected both --base and --sidekick, or neither for all pairs, got only one of them")
    own = logit_set_of(options)
    check_judged(own, options.split)
    text = _of_pair(own, options) if all(named) else _of_set(own, options)
    write_text(options.out, text)
    say(f"{len(text.encode()) / 1e6:.1f} MB in '{options.out}'; it opens in any browser and asks no other machine for anything")


def _of_pair(own: LogitSet, options: argparse.Namespace) -> str:
    from duo_core.report import pair_report  # brings plotly, which no other command needs

    found = evaluate(own, options.base, options.sidekick, options.split, kind=options.uncertainty)
    return pair_report(found, metric=options.metric, seed=options.bootstrap_seed, created=_today())


def _of_set(own: LogitSet, options: argparse.Namespace) -> str:
    from duo_core.report import set_report

    tables, memory = tables_of(own, options, [options.split]), Memory()
    store = None if options.file else Store(options.store).path
    judged = judged_claims(own, options.split, tables, store=store, memory=memory, seed=options.bootstrap_seed)
    return set_report(
        own,
        tables[options.uncertainty],
        metric=options.metric,
        kind=options.uncertainty,
        judged=judged,
        memory=memory,
        seed=options.bootstrap_seed,
        created=_today(),
    )


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
