"""What lies beside the numbers of an exported system: README.md, requirements.txt, run.py or combine.py, as texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from duo_core.analysis.guarantee import METHODS
from duo_core.common import places
from duo_core.common.plaintext import as_markdown, printable, unmarked
from duo_core.deploy import graphs, sealing
from duo_core.deploy.describing import listed, made_of, names_of, prediction
from duo_core.metrics import METRICS

RUN, COMBINE = "run.py", "combine.py"
SYSTEM = "all together"
MODULE_LIBRARIES = ["torch", "torchvision", "timm", "safetensors"]
ALONE = """\
## Run it

    python -m venv duo-env
    duo-env/bin/pip install -r requirements.txt
    duo-env/bin/python run.py photo.jpg more/*.jpg

or from Python, in this folder:

    from PIL import Image
    from run import Duo

    duo = Duo()
    answer = duo([Image.open("photo.jpg")])
    print(duo.classes[answer.predicted[0]], answer.uncertainty[0], answer.abstain)

`requirements.txt` names all that this needs; {needs}. `{graph}` is the whole: it takes each model's uint8 pixels (b, 3, h, w), and
normalises, runs and combines. `run.py` decodes, resizes and crops before it.
"""
MODULE = """\
## {heading}

With a checkout of the Asymmetric Duos Explorer, the project that wrote this:

    python -m venv duo-env
    duo-env/bin/pip install path/of/the/checkout {libraries}

and then, in Python:

    import torch
    from PIL import Image
    from duo_core import deploy

    duo = deploy.load("path/of/this/folder")
    with torch.inference_mode():
        answer = duo([Image.open("photo.jpg")])
    print(duo.classes[answer.predicted[0]], answer.uncertainty[0], answer.abstain)

It reads the weights from safetensors and unpickles nothing.{weights}
"""
LOGITS = """\
## Run it on logits

Each model runs where you have it; `combine.py` takes their logits in the order of duo.json and needs numpy alone:

    python combine.py {files}

or from Python, in this folder: arrays (n, {k}), their columns in the order of `classes`, or functions that give such arrays:

    from combine import Duo

    duo = Duo()
    answer = duo({arrays})
    answer = duo.around({models})(batch)
    print(duo.classes[answer.predicted[0]], answer.uncertainty[0], answer.abstain)
"""
COMPLETE = """\
One command writes the whole folder, with weights and graphs, where this project and the set `{set}` are:

    {command}
"""
MEANING = {
    graphs.TORCH: "the whole as torch.export saves it; `torch.export.load` needs torch alone",
    graphs.ONNX: "the whole as ONNX; onnxruntime agreed with torch within 1e-4",
}


def texts(record: Mapping[str, Any]) -> dict[str, str]:
    """Return every text file of a folder by name; `record` is what duo.json says."""
    found = {sealing.FILE: sealing.sealed(record), "README.md": _readme(record), "requirements.txt": _requirements(record)}
    script = RUN if graph_of(record) else COMBINE
    return found | {script: places.text(__package__, script)}


def graph_of(record: Mapping[str, Any]) -> str | None:
    """Name of the graph that run.py runs; None where there is none."""
    return next((name for name in (graphs.ONNX, graphs.TORCH) if name in record["files"]), None)


def _buildable(record: Mapping[str, Any]) -> bool:
    """Whether the record says how every model is built."""
    return all(model["source"] != "upload" and model["transform"] is not None for model in record["members"])


def _requirements(record: Mapping[str, Any]) -> str:
    modules = MODULE_LIBRARIES if _buildable(record) else []
    engine = {graphs.ONNX: ["onnxruntime"], graphs.TORCH: ["torch"]}.get(graph_of(record) or "", modules)
    return "".join(f"{line}\n" for line in _pinned(record, ["numpy", *(["pillow", *engine] if engine else [])]))


def _pinned(record: Mapping[str, Any], packages: Sequence[str]) -> list[str]:
    """Requirements of the versions that were used; a build's own suffix is not on the package index."""
    found = record["provenance"]["versions"]
    return [f"{package}=={found[package].partition('+')[0]}" for package in packages if package in found]


def _readme(record: Mapping[str, Any]) -> str:
    graph = graph_of(record)
    parts = [
        f"# {' + '.join(names_of(record))}\n",
        f"{made_of(record)} {prediction(record)}\n",
        *([ALONE.format(graph=graph, needs=_needs(graph))] if graph else []),
        *([] if graph else [_absent(record), _on_logits(record)]),
        *([_module(record)] if _buildable(record) else []),
        "## When it abstains\n",
        _abstaining(record),
        "## What it was seen to do\n",
        _metrics(record),
        "## Files\n",
        *(f"* `{name}`: {_meaning(record, name)}" for name in record["files"] if name not in record.get("awaited", ())),
        "* `duo.json`: models with transforms and weights, thresholds, metrics, provenance, and the SHA-256 of the files above",
        *([f"* not here: {as_markdown(line)}" for line in record["left_out"]] if graph else []),
    ]
    return "\n".join(parts) + "\n"


def _module(record: Mapping[str, Any]) -> str:
    heading = "As a torch module" if graph_of(record) else "Run it"
    return MODULE.format(heading=heading, libraries=" ".join(_pinned(record, MODULE_LIBRARIES)), weights=_weights(record))


def _absent(record: Mapping[str, Any]) -> str:
    """What is not in the folder, and what completes it."""
    lines = ["## What is not here\n", *(f"* {as_markdown(line)}" for line in record["left_out"]), ""]
    if "awaited" not in record:
        return "\n".join(lines)
    lines += ["## Complete it\n"]
    if record["completed_by"] is None:
        lines += [
            "Compute the logits with `duo logits`, which keeps how models are built; `duo export` then writes a duo that runs.\n"
        ]
        return "\n".join(lines)
    command = printable(" ".join(record["completed_by"].splitlines()))  # a line end would end the block that it stands in
    lines += [COMPLETE.format(set=unmarked(record["provenance"]["set"]), command=command)]
    if record["awaited"]:
        files = listed([f"`{name}`" for name in record["awaited"]])
        lines += [f"Or put the weights here as {files}, in safetensors as they were; then it runs as below, as a torch module.\n"]
    return "\n".join(lines)


def _on_logits(record: Mapping[str, Any]) -> str:
    numbers = range(1, len(record["members"]) + 1)
    words = {f"{name}s": ", ".join(f"{name}_{number}" for number in numbers) for name in ("array", "model")}
    files = " ".join(f"logits_{number}.npy" for number in numbers)
    return LOGITS.format(k=len(record["classes"]), files=files, **words)


def _meaning(record: Mapping[str, Any], file: str) -> str:
    whose = {model["file"]: f"weights of {as_markdown(model['name'])}" for model in record["members"]}
    return whose.get(file) or MEANING[file]


def _needs(graph: str | None) -> str:
    return "no torch" if graph == graphs.ONNX else "neither timm nor torchvision"


def _weights(record: Mapping[str, Any]) -> str:
    absent = [
        as_markdown(f"{model['weights']} of {model['name']}")
        for model in record["members"]
        if model["file"] is None and model["source"] in ("torchvision", "timm")
    ]
    return f" It downloads {listed(absent)} and compares the digest." if absent else ""


def _abstaining(record: Mapping[str, Any]) -> str:
    chosen = record["thresholds"]
    above = record["threshold"]
    now = "It does not, until a threshold is set" if above is None else f"Where the uncertainty is above {above:.6g}"
    script = f", or `{RUN if graph_of(record) else COMBINE} --threshold 0.1`"
    said = (
        f"{now}: `duo.threshold = 0.1`, say{script}. These were chosen on {as_markdown(chosen['chosen_on'])}; "
        f"guaranteed ones keep within the bound with a confidence of {chosen['confidence']:g}. {chosen['assumption']}\n"
    )
    rows = [
        {
            "goal": f"risk at most {e['value']:.4g}" if e["goal"] == "target_risk" else f"coverage {e['value']:.4g}",
            "chosen": METHODS[e["method"]],
            "threshold": e["threshold"],
            "bound": e["bound"],
            **{f"{split} {key}": found[key] for split, found in e["judged"].items() for key in ("coverage", "risk")},
        }
        for e in chosen["entries"]
    ]
    return said + "\n" + _table(rows)


def _metrics(record: Mapping[str, Any]) -> str:
    names = [model["name"] for model in record["members"]]
    rows = [
        {"split": split, "system": name, **{METRICS[key].label: value for key, value in values.items()}}
        for split, found in record["metrics"].items()
        for name, values in [*zip(names, found["members"], strict=True), *([(SYSTEM, found["system"])] if len(names) > 1 else [])]
    ]
    return _table(rows)


def _table(rows: list[dict[str, Any]]) -> str:
    """A table in Markdown."""
    table = pd.DataFrame(rows)
    heading = [as_markdown(column) for column in table.columns]
    lines = [heading, ["---"] * len(heading), *([_cell(value) for value in row] for row in table.itertuples(index=False))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return as_markdown(value)
    return "-" if pd.isna(value) else f"{value:.4g}"
