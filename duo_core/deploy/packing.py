"""An exported system as the bytes of a zip, in memory: what a page hands out, and what it says to whoever completes it."""

import hashlib
import io
import shlex
import zipfile
from collections.abc import Sequence

from safetensors.torch import save

from duo_core.analysis.guarantee import CONFIDENCE
from duo_core.common.arrays import InputError
from duo_core.deploy import graphs, records
from duo_core.deploy.members import Source, file_name, source_of
from duo_core.deploy.records import Asked
from duo_core.deploy.texts import texts
from duo_core.logits import LogitSet
from duo_core.systems.system import System

GRAPHS = f"{graphs.TORCH}, {graphs.ONNX} and run.py, which run it without this project"


def packed(logit_set: LogitSet, system: System, asked: Asked | None = None) -> bytes:
    """Return a zip of duo.json, README.md, requirements.txt, combine.py, and the weights that are on this machine.

    The zip's folder is named after the members; combine.py runs them on logits, which asks for no weights. Graphs take long to
    trace, so they are left to `duo export`; README.md says what is here, what is not, and the one command that writes all of it.
    Where a model's weights are a checkpoint in safetensors, the file itself may be put into the folder; its digest is compared on
    loading.
    """
    asked = asked or Asked()
    sources = [_source(logit_set, name) for name in system.members]
    record = records.document(logit_set, system, sources, asked)
    weights: dict[str, bytes] = {
        model["file"]: _bytes(source) for source, model in zip(sources, record["members"], strict=True) if source.loaded is not None
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in weights.items()}
    expected = {model["file"]: model["weights_sha256"] for model in record["members"] if model["file"]}
    record |= {
        "files": {**expected, **digests},
        "left_out": [*(source.lacking for source in sources if source.lacking), GRAPHS],
        "awaited": sorted(set(expected) - set(weights)),
        "completed_by": _command(logit_set, system, sources, asked),
    }
    folder = folder_name(system.members)
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in texts(record).items():
                archive.writestr(f"{folder}/{name}", text)
            for name, content in weights.items():
                archive.writestr(f"{folder}/{name}", content)
        return file.getvalue()


def folder_name(members: Sequence[str]) -> str:
    """Members' names as that of a folder, whatever an uploaded file calls its models.

    >>> folder_name(["resnet56", "resnet20"]), folder_name(["../a", "b c/d"])
    ('resnet56+resnet20', '_a+b_c_d')
    """
    return "+".join(map(file_name, members))[:200]


def _source(logit_set: LogitSet, name: str) -> Source:
    """A model of the set; one that cannot be had is described as far as the set knows it, with the reason."""
    card = logit_set.cards[name]
    try:
        return source_of(card, logit_set.k)
    except InputError as error:
        return Source(card, None, None, str(error))


def _bytes(source: Source) -> bytes:
    state = source.loaded.module.state_dict() if source.loaded else {}
    content: bytes = save({key: value.clone().contiguous() for key, value in state.items()})
    return content


def _command(logit_set: LogitSet, system: System, sources: Sequence[Source], asked: Asked) -> str | None:
    """The command that writes the whole folder; None where nothing says how a model is built."""
    if any(source.spec is None for source in sources):
        return None
    files = [f"{s.card.name}={s.card.weights}" for s in sources if s.loaded is None and s.file_of_its_own]
    options = ["--out", folder_name(system.members), *_how(system, asked), *(["--checkpoint", *files] if files else [])]
    return "duo export " + shlex.join(["--set", logit_set.name, "--members", *system.members, *options])


def _how(system: System, asked: Asked) -> list[str]:
    """The options that ask for the same answers and the same threshold."""
    goals = [("--target-risk", asked.target_risks), ("--coverage", asked.coverages)]
    return [
        *([] if system.rule == "fitted" else ["--rule", system.rule]),
        *([] if system.says is None else ["--says", system.members[system.says]]),
        *([] if asked.kind == "softmax" else ["--uncertainty", asked.kind]),
        *(word for option, values in goals for value in values for word in (option, repr(value))),
        *([] if asked.confidence == CONFIDENCE else ["--confidence", repr(asked.confidence)]),
    ]
