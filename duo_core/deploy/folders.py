"""A fitted duo into a folder, whole or not at all, and out of it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.common.files import replaced_folder, restore_folder
from duo_core.deploy import graphs, records
from duo_core.deploy.members import ROLES, Source, checked_file, member, source_of
from duo_core.deploy.module import Duo, Member
from duo_core.deploy.records import Asked
from duo_core.deploy.texts import texts
from duo_core.logits import LogitSet, check_pair
from duo_core.models.zoo.checkpoints import file_sha256
from duo_core.systems.duo import Temperatures


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
    base: str,
    sidekick: str,
    out: Path | str,
    *,
    checkpoints: Mapping[str, Path] | None = None,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
    architectures: Mapping[str, str] | None = None,
    asked: Asked | None = None,
    onnx: bool = True,
    force: bool = False,
) -> Exported:
    """Fit a pair and write it as a folder that runs.

    The folder holds duo.json, both models' weights as safetensors, duo.pt2 and duo.onnx where the models allow it, and README.md,
    requirements.txt and run.py, which run it. Weights that only a library's download gives, and that are not on this machine, are
    left to the loading.

    Parameters
    ----------
    out
        The folder to make.
    checkpoints, arguments
        Own weights by a model's name in the set, and constructor arguments where its card, an older one, does not hold them.
    architectures
        `module:callable` by a model's name in the set, where it is built by own code: what the set says of that is not imported.
    asked
        Variant, uncertainty, and the goals that thresholds are chosen for.
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
    names = {"base": base, "sidekick": sidekick}
    sources = sources_of(logit_set, names, checkpoints or {}, arguments or {}, architectures or {})
    for source in sources.values():
        if source.loaded is None and (source.spec is None or source.file_of_its_own):
            raise InputError(source.lacking)
    record = records.document(logit_set, sources, asked or Asked())
    with replaced_folder(out) as folder:
        left_out = _write_models(sources, record, folder, onnx)
        record |= {"files": {file.name: file_sha256(file) for file in sorted(folder.iterdir())}, "left_out": left_out}
        for name, text in texts(record).items():
            (folder / name).write_text(text, encoding="utf-8")
    return Exported(out, record)


def sources_of(
    logit_set: LogitSet,
    names: Mapping[str, str],
    checkpoints: Mapping[str, Path],
    arguments: Mapping[str, Mapping[str, Any]],
    architectures: Mapping[str, str],
) -> dict[str, Source]:
    """Find both models of a pair by their names in the set."""
    options = {"--checkpoint": checkpoints, "--arguments": arguments, "--architecture": architectures}
    for option, given in options.items():
        for name in set(given) - set(names.values()):
            raise InputError(f"{option} names the model '{name}', which is not in this duo; it has {', '.join(names.values())}")
    for name in names.values():
        logit_set.logits(name, next(iter(logit_set.labels)))  # says which models there are
    check_pair(names["base"], names["sidekick"])
    return {
        role: source_of(
            logit_set.cards[name],
            logit_set.k,
            checkpoint=checkpoints.get(name),
            arguments=arguments.get(name),
            architecture=architectures.get(name),
        )
        for role, name in names.items()
    }


def load(folder: Path | str, *, own_code: bool = False) -> Duo:
    """Load what `export` wrote, in evaluation mode, on the CPU.

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
    record = records.read(folder)
    for role in ROLES:
        model = record["models"][role]
        if model["file"]:
            checked_file(folder / f"{role}.safetensors", record["files"][model["file"]], f"the weights of {model['name']}")
    base, sidekick = (member(role, record["models"][role], folder, own_code) for role in ROLES)
    return _duo(record, base, sidekick)


def _duo(record: Mapping[str, Any], base: Member, sidekick: Member) -> Duo:
    return Duo(
        base,
        sidekick,
        Temperatures(**record["temperatures"]),
        classes=record["classes"],
        variant=record["variant"],
        kind=record["uncertainty"],
        threshold=record["threshold"],
        record=record,
    ).eval()


def _write_models(sources: Mapping[str, Source], record: Mapping[str, Any], folder: Path, onnx: bool) -> list[str]:
    """Write weights and graphs; return a sentence for each that was left out."""
    for role, source in sources.items():
        if source.loaded is not None:
            source.write(folder / f"{role}.safetensors")
    left_out = [source.lacking for source in sources.values() if source.loaded is None]
    if left_out:
        return [*left_out, f"{graphs.TORCH} and {graphs.ONNX} were left out: they need the weights of both models"]
    base, sidekick = (Member(s.loaded.module, s.loaded.transform) for s in sources.values() if s.loaded is not None)
    return graphs.write(_duo(record, base, sidekick), folder, onnx)


def _check_free(out: Path, force: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / records.FILE).is_file()):
        raise InputError(f"expected a new folder at '{out}', got something that no export wrote; name another with --out")
    if any(out.iterdir()) and not force:
        raise InputError(
            f"expected a new folder, got '{out}', which holds an exported duo; name another, or replace it with --force"
        )
