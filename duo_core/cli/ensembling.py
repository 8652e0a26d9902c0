"""`duo ensembles`: deep ensembles by size, ensembles of smaller models against large ones at equal cost, and soups beside them."""

import argparse
from typing import Any

from duo_core.analysis.ensembles import Step, contest, deep_ensembles
from duo_core.analysis.options import CHOSEN_BY
from duo_core.analysis.trainings import averaged
from duo_core.cli.arguments import seed
from duo_core.cli.options import Commands, json_option, new_command, set_options, split_option
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import logit_set_of
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.pair_judging import Memory


def add_ensembles(commands: Commands) -> None:
    """Add `duo ensembles`."""
    text = "deep ensembles by size, and ensembles of smaller models against larger ones at equal cost"
    command = new_command(commands, "ensembles", ensembles, text)
    command.add_argument("--metric", choices=list(METRICS), default=CHOSEN_BY, help="what is compared (default nll)")
    command.add_argument("--subsets-seed", type=seed, default=0, metavar="N", help="which subsets are drawn of many (default 0)")
    split_option(command)
    set_options(command)
    json_option(command)


def ensembles(options: argparse.Namespace) -> None:
    """Print the table of deep ensembles, where ensembles beat single models, and what averaging trials buys."""
    from duo_core.wording.averages import ABOUT, averages_line, averages_table
    from duo_core.wording.ensembles import OVERLAP, contest_lines, deep_table  # how values are written brings plotly

    own, memory = logit_set_of(options), Memory()
    known: dict[str, Any] = {"kind": options.uncertainty, "memory": memory}
    known["store"] = None if options.file else Store(options.store).path
    deep = deep_ensembles(own, options.split, seed=options.subsets_seed, **known)
    found = contest(own, options.split, metric=options.metric, **known)
    averages = averaged(own, options.split, options.uncertainty)
    if options.json:
        crossing, widest = (None if step is None else _step(step) for step in (found.crossing, found.widest))
        steps = [_step(step) for step in found.steps]
        document = {"deep_ensembles": deep.to_dict("records"), "crossing": crossing, "widest": widest, "steps": steps}
        print_json({**document, "averages": [one.to_dict() for one in averages]})
        return
    if len(deep):
        keys = list(dict.fromkeys([options.metric, "accuracy", "nll", "aurc"]))
        say(f"{own.name}/{options.split}: deep ensembles, mean ± spread over subsets. {OVERLAP}\n")
        say(deep_table(deep, keys).to_string(index=False) + "\n")
    else:
        say(f"{own.name}: no two models whose cards state one recipe, so no deep ensembles; train other seeds with duo finetune\n")
    for line in contest_lines(found):
        say(line)
    if averages:
        say(f"\n{averages_table(averages).to_string(index=False)}\n\n{ABOUT}\n{averages_line(averages)}")


def _step(step: Step) -> dict[str, Any]:
    gain = step.difference
    return {
        "multiply_adds": int(step.cost),
        "single": step.single.members[0],
        "ensemble": list(step.ensemble.members),
        "deep": step.deep,
        "metric": step.metric,
        "difference": None if gain is None else {"value": gain.estimate, "low": gain.low, "high": gain.high, "stands": gain.stands},
        "wins": step.wins,
    }
