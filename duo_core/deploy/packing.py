"""An exported duo as the bytes of a zip, in memory: what a page hands out, and what it says to whoever completes it."""

import hashlib
import io
import zipfile
from typing import Any

from safetensors.torch import save

from duo_core.arrays import InputError
from duo_core.deploy import graphs, records
from duo_core.deploy.members import Source, source_of
from duo_core.deploy.records import Asked
from duo_core.deploy.texts import texts
from duo_core.logits import LogitSet


def packed(logit_set: LogitSet, base: str, sidekick: str, asked: Asked | None = None) -> bytes:
    """Return a zip of duo.json, README.md, requirements.txt, and the weights that are on this machine.

    The zip's folder is named after the pair. Graphs take long to trace, so they are left to `duo export`. Where a model's
    weights are a checkpoint in safetensors, the file itself may be put into the folder; its digest is compared on loading.
    """
    sources = {role: _source(logit_set, name) for role, name in (("base", base), ("sidekick", sidekick))}
    record = records.document(logit_set, sources, asked or Asked())
    weights: dict[str, bytes] = {
        f"{role}.safetensors": _bytes(source) for role, source in sources.items() if source.loaded is not None
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in weights.items()}
    record |= {"files": {**_expected(record), **digests}, "left_out": _left_out(logit_set, sources, base, sidekick)}
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in texts(record).items():
                archive.writestr(f"{base}+{sidekick}/{name}", text)
            for name, content in weights.items():
                archive.writestr(f"{base}+{sidekick}/{name}", content)
        return file.getvalue()


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


def _expected(record: dict[str, Any]) -> dict[str, str]:
    """Digests of the weights that have a place in the folder."""
    return {model["file"]: model["weights_sha256"] for model in record["models"].values() if model["file"]}


def _left_out(logit_set: LogitSet, sources: dict[str, Source], base: str, sidekick: str) -> list[str]:
    """A sentence for what is not in the zip."""
    lacking = [_sentence(role, source) for role, source in sources.items() if source.lacking]
    if any(source.spec is None for source in sources.values()):
        return [*lacking, "compute the logits with duo logits, and duo export writes a duo that runs"]
    files = [s for s in sources.values() if s.loaded is None and s.file_of_its_own]
    given = " ".join(f"{s.card.name}={s.card.weights}" for s in files)
    command = f"duo export --set {logit_set.name} --base {base} --sidekick {sidekick} --out DIR" + (
        f" --checkpoint {given}" if given else ""
    )
    return [*lacking, f"{graphs.TORCH}, {graphs.ONNX} and run.py: `{command}` writes them"]


def _sentence(role: str, source: Source) -> str:
    file = source.record(role)["file"]
    return f"{source.lacking}, or put that file here as {file}" if file and source.file_of_its_own else source.lacking
