"""Forms of the page Your data: what files do not say, and commands that make such files."""

import shlex
from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from app.state import uploads
from duo_core.common.arrays import InputError
from duo_core.common.plaintext import escaped
from duo_core.formats import Cost, Found, costs_of, known_cost

LACKS = {"costs": "the models' costs", "class_names": "the classes' names"}
GIGA, MEGA = 1e9, 1e6
PASTED = "resnet50\t4.1G\t25.6M"


def answers(found: Found) -> None:
    """Ask for what the files do not say; everything may be left as it is."""
    lacks = " and ".join(LACKS[what] for what in found.missing)
    with st.expander(
        f"The files do not say {lacks}: add what you know" if lacks else "Correct what the files say", expanded=bool(lacks)
    ):
        with st.form("said_of_files", border=False):
            base = _base(found)
            seed, fit = _draw(found)
            costs = {facts.name: _cost(place, found) for place, facts in enumerate(found.models)}
            pasted = st.text_area(
                "Costs as a table, instead: model, multiply-adds, parameters", height=100, placeholder=PASTED, key="answer_costs"
            )
            text = st.text_area(
                "Class names, one a line", "\n".join(uploads.said().class_names or ()), height=100, placeholder="cat\ndog"
            )
            if not st.form_submit_button("Apply"):
                return
        names = [line.strip() for line in text.splitlines() if line.strip()]
        if names and len(names) != found.k:
            st.error(f"Expected one name for each of the {found.k:,} classes, got {len(names):,}; nothing was changed.")
            return
        try:
            costs |= _pasted(pasted, found)
        except InputError as error:
            st.error(escaped(f"{error}; nothing was changed."))
            return
        known = {model: cost for model, cost in costs.items() if any(cost)}
        uploads.say(replace(uploads.said(), base=base, sidekick=None, seed=seed, fit=fit, costs=known, class_names=names or None))
        st.rerun()


def _pasted(text: str, found: Found) -> dict[str, Cost]:
    """Costs of a pasted table, of the models that the files have."""
    table = costs_of(text) if text.strip() else {}
    own = {facts.name: table[facts.name] for facts in found.models if facts.name in table}
    if table and not own:
        names = ", ".join(facts.name for facts in found.models)
        raise InputError(f"expected costs of {names}, got those of {', '.join(list(table)[:6])}")
    return own


def _base(found: Found) -> str:
    models = [facts.name for facts in found.models]
    return st.selectbox(
        "Base: the model that would be used alone", models, index=models.index(found.base or models[0]), key="answer_base"
    )


def _draw(found: Found) -> tuple[int, int | float | None]:
    """Seed and size of the draw of the fit split, where the files name no splits."""
    if found.seed is None or found.n is None:
        return 0, None
    drawn, now = next(iter(found.splits.values())), uploads.said().fit
    left, right = st.columns(2)
    label = f"Images to fit on, of {found.n:,}: drawn at random, each class in proportion"
    fit = int(left.number_input(label, 1, found.n - 1, drawn, key="answer_fit"))
    seed = int(right.number_input("Seed of the draw", 0, 2**31 - 1, found.seed, key="answer_seed"))
    return seed, now if fit == drawn else fit


def _cost(place: int, found: Found) -> Cost:
    facts, known = found.models[place], known_cost(found.models[place].name)
    name = escaped(facts.name)
    multiply_adds, parameters = facts.multiply_adds, facts.parameters
    if known and multiply_adds is None:
        multiply_adds, parameters = known.cost.multiply_adds, parameters or known.cost.parameters
        st.caption(f"{name}: filled in as `duo cost` counts it for {known.classes:,} classes and images of {known.input_size}.")
    left, right = st.columns(2)
    with left:
        flops = _number(f"GFLOPs of {name} (multiply-adds of one image, in 10⁹)", f"flops_{place}", multiply_adds, GIGA)
    with right:
        count = _number(f"Parameters of {name} (in 10⁶)", f"parameters_{place}", parameters, MEGA)
    return Cost(flops, count)


def _number(label: str, key: str, known: int | None, unit: float) -> int | None:
    """A whole number asked for in a unit; None where it is left empty."""
    value = st.number_input(label, min_value=0.0, value=None if known is None else known / unit, format="%.4f", key=f"answer_{key}")
    return round(value * unit) if value else None


def commands() -> None:
    """Show the commands that compute logits from images, or convert files, filled in."""
    st.markdown("Fill in what you have; the commands run on your own machine, where the project is installed.")
    with st.container(border=True):
        left, right = st.columns(2)
        models = left.text_input(
            "Models, by their names in timm, torchvision or this project", "convnext_base resnet18", key="models"
        )
        name = right.text_input("Name of the set", "my-set", key="set_name")
        left, right = st.columns(2)
        fit = left.text_input("Images to fit on: a folder or tar (empty: a fifth of those to judge on)", "", key="val_images")
        test = right.text_input("Images to judge on: a folder or tar", "images/test", key="test_images")
        checkpoints = {
            model: st.text_input(f"Checkpoint of {escaped(model)} (empty: its published weights)", "", key=f"checkpoint_{model}")
            for model in dict.fromkeys(models.split())
        }
        st.markdown("**From images.** The set then appears in the sidebar of the dashboard on that machine:")
        st.code(logits_command(name, models.split(), fit, test, checkpoints), language=None, wrap_lines=True)
        st.markdown("**From logits in `.pt`, `.npy`, `.h5`, ...** The file can be dropped above:")
        st.code(convert_command(name, models.split()), language=None, wrap_lines=True)


def logits_command(name: str, models: list[str], fit: str, test: str, checkpoints: Mapping[str, str]) -> str:
    """The command that computes a set's logits.

    >>> logits_command("mine", ["a", "b"], "", "my images", {"a": "a.pt", "b": ""})
    "duo logits --set mine --images 'test=my images' --fit 0.2 --models a b --checkpoint a=a.pt"
    """
    images = [f"val={fit}", f"test={test}"] if fit else [f"test={test}", "--fit", "0.2"]
    weights = [f"{model}={file}" for model, file in checkpoints.items() if file]
    words = ["--set", name, "--images", *images, "--models", *models, *(["--checkpoint", *weights] if weights else [])]
    return f"duo logits {shlex.join(words)}"


def convert_command(name: str, models: list[str]) -> str:
    """The command that joins files of single models to one that can be uploaded.

    >>> convert_command("mine", ["a", "b"])
    'duo convert --model a=a.pt b=b.pt --labels labels.npy --out mine.npz --dtype float16'
    """
    files = [f"{model}={model}.pt" for model in models]
    words = ["--model", *files, "--labels", "labels.npy", "--out", f"{name}.npz", "--dtype", "float16"]
    return f"duo convert {shlex.join(words)}"
