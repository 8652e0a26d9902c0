"""A fitted system into a folder, whole or not at all, and out of it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.common.files import replaced_folder, restore_folder
from duo_core.deploy import graphs, records, sealing
from duo_core.deploy.members import Source, checked_file, member, source_of
from duo_core.deploy.module import Duo, Member
from duo_core.deploy.records import Asked
from duo_core.deploy.texts import texts
from duo_core.logits import LogitSet
from duo_core.models.zoo.checkpoints import file_sha256
from duo_core.systems.system import RULES, System


@dataclass(frozen=True)
class Exported:
    """A folder that was written."""

    folder: Path
    record: Mapping[str, Any]
    """What duo.json says."""

    @property
    def left_out(self) -> list[str]:
        """A sentence for each file that could not be written."""
        return list(self.record["left_out"])


def export(
    logit_set: LogitSet,
    system: System,
    out: Path | str,
    *,
    checkpoints: Mapping[str, Path] | None = None,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
    architectures: Mapping[str, str] | None = None,
    asked: Asked | None = None,
    onnx: bool = True,
    force: bool = False,
) -> Exported:
    """Fit a system and write it as a folder that runs.

    The folder holds duo.json, the members' weights as safetensors, duo.pt2 and duo.onnx where the models allow it, and README.md,
    requirements.txt and run.py, which run it. Weights that only a library's download gives, and that are not on this machine, are
    left to the loading.

    Parameters
    ----------
    system
        Models of the set, the rule that weighs them, and whose class is answered.
    out
        The folder to make.
    checkpoints, arguments
        Own weights by a model's name in the set, and constructor arguments where its card, an older one, does not hold them.
    architectures
        `module:callable` by a model's name in the set, where it is built by own code: what the set says of that is not imported.
    asked
        The uncertainty, and the goals that thresholds are chosen for.
    onnx
        Whether to write duo.onnx.
    force
        Replace a folder that an export wrote.

    Raises
    ------
    InputError
        Where a model or its weights cannot be had or are not those of the set, or there is something at `out`.
    """
    out = Path(out)
    restore_folder(out)
    _check_free(out, force)
    sources = sources_of(logit_set, system.members, checkpoints or {}, arguments or {}, architectures or {})
    for source in sources:
        if source.loaded is None and (source.spec is None or source.file_of_its_own):
            raise InputError(source.lacking)
    record = records.document(logit_set, system, sources, asked or Asked())
    with replaced_folder(out) as folder:
        left_out = _write_models(sources, record, folder, onnx)
        record |= {"files": {file.name: file_sha256(file) for file in sorted(folder.iterdir())}, "left_out": left_out}
        for name, text in texts(record).items():
            (folder / name).write_text(text, encoding="utf-8")
    return Exported(out, record)


def sources_of(
    logit_set: LogitSet,
    names: Sequence[str],
    checkpoints: Mapping[str, Path],
    arguments: Mapping[str, Mapping[str, Any]],
    architectures: Mapping[str, str],
) -> list[Source]:
    """Find the members of a system by their names in the set."""
    options = {"--checkpoint": checkpoints, "--arguments": arguments, "--architecture": architectures}
    for option, given in options.items():
        for name in set(given) - set(names):
            raise InputError(f"{option} names the model '{name}', which is not in this system; it has {', '.join(names)}")
    for name in names:
        logit_set.logits(name, next(iter(logit_set.labels)))  # says which models there are
    return [
        source_of(
            logit_set.cards[name],
            logit_set.k,
            checkpoint=checkpoints.get(name),
            arguments=arguments.get(name),
            architecture=architectures.get(name),
        )
        for name in names
    ]


def load(folder: Path | str, *, own_code: bool = False) -> Duo:
    """Load what `export` of this version or an earlier one wrote, in evaluation mode, on the CPU.

    Files are compared with their digests, weights come from safetensors alone, and nothing is unpickled. Weights that are not in
    the folder come from their library, which downloads them where it has not yet.

    Parameters
    ----------
    own_code
        Whether a folder may name a callable of any module to build a model with; that runs the code.

    Raises
    ------
    InputError
        Where something is missing or altered.
    """
    folder = Path(folder)
    record = sealing.read(folder)
    for model in record["members"]:
        if model["file"]:
            checked_file(folder / model["file"], record["files"][model["file"]], f"the weights of {model['name']}")
    return _duo(record, [member(model, folder, own_code) for model in record["members"]])


def _duo(record: Mapping[str, Any], members: Sequence[Member]) -> Duo:
    return Duo(
        members,
        [model["weight"] for model in record["members"]],
        temperature=1.0 if record["temperature"] is None else record["temperature"],
        pooled=RULES[record["rule"]].pools_probabilities and len(members) > 1,
        says=record["says"],
        names=[model["name"] for model in record["members"]],
        classes=record["classes"],
        kind=record["uncertainty"],
        threshold=record["threshold"],
        record=record,
    ).eval()


def _write_models(sources: Sequence[Source], record: Mapping[str, Any], folder: Path, onnx: bool) -> list[str]:
    """Write weights and graphs; return a sentence for each that was left out."""
    for source, model in zip(sources, record["members"], strict=True):
        if source.loaded is not None:
            source.write(folder / model["file"])
    left_out = [source.lacking for source in sources if source.loaded is None]
    if left_out:
        return [*left_out, f"{graphs.TORCH} and {graphs.ONNX} were left out: they need the weights of every model"]
    members = [Member(s.loaded.module, s.loaded.transform) for s in sources if s.loaded is not None]
    return graphs.write(_duo(record, members), folder, onnx)


def _check_free(out: Path, force: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / sealing.FILE).is_file()):
        raise InputError(f"expected a new folder at '{out}', got something that no export wrote; name another with --out")
    if any(out.iterdir()) and not force:
        raise InputError(
            f"expected a new folder, got '{out}', which holds an exported duo; name another, or replace it with --force"
        )
