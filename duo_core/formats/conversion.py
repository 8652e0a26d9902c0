"""The command that makes one file of those that cannot be read as they are."""

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from duo_core.formats.naming import is_truth
from duo_core.formats.uploads import Upload

CONVERTED = (".pt", ".pth", ".txt", ".h5", ".hdf5")
"""Extensions of files that duo convert reads beside those that are read everywhere."""


def conversion(files: Sequence[Upload]) -> str:
    """Advise the one command that makes a file which can be read everywhere out of all of these.

    >>> conversion([Upload("a.pt", b""), Upload("b c.pt", b""), Upload("labels.npy", b"")])
    "run duo convert a.pt 'b c.pt' labels.npy --out logits.npz on your own machine"
    >>> conversion([Upload("logits.pt", b"", "vit/logits.pt"), Upload("logits.pt", b"", "resnet/logits.pt")])[:66]
    'run duo convert --model vit=vit/logits.pt resnet=resnet/logits.pt '

    """
    paths = [file.path or file.name for file in files]
    out = next(name for name in ("logits.npz", "duo.npz", "converted.npz") if name not in {file.name for file in files})
    stems = [file.stem for file in files]
    sources = shlex.join(paths)
    if len(set(stems)) < len(stems):
        parents = [PurePath(path).parent.name for path in paths]
        own = (
            parents if all(parents) and len(set(parents)) == len(parents) else [f"model{place + 1}" for place in range(len(paths))]
        )
        sources = f"--model {shlex.join(f'{name}={path}' for name, path in zip(own, paths, strict=True))}"
    if any(file.suffix == ".txt" or is_truth(file.stem) for file in files):
        return f"run duo convert {sources} --out {out} on your own machine"
    return (
        f"run duo convert {sources} --labels LABELS --out {out} on your own machine (without --labels where one of them holds them)"
    )
