"""Run the duo of a folder on images, without the project that wrote it: `python run.py IMAGE ...`; see README.md beside it."""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

OUTPUTS = ("logits", "predicted", "uncertainty")
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
BATCH = 16

Array = NDArray[Any]


class Answer(NamedTuple):
    """What the duo says of b images."""

    logits: Array
    """What the models say together (b, k); logarithms of probabilities where those are averaged."""
    predicted: Array
    """Class by its number (b,)."""
    uncertainty: Array
    """(b,); larger is less sure."""
    abstain: Array | None
    """bool (b,): whether the uncertainty lies above the threshold; None where there is no threshold."""


class Duo:
    """The models of a folder as one; `threshold` may be set to another uncertainty at any time, None for none."""

    def __init__(self, folder: Path | str = Path(__file__).parent) -> None:
        folder = Path(folder)
        self.record = json.loads((folder / "duo.json").read_text(encoding="utf-8"))
        self.classes: list[str] = self.record["classes"]
        self.threshold: float | None = self.record["threshold"]
        self._transforms = [model["transform"] for model in self.record["members"]]
        self._graph = _graph(folder, self.record["files"])

    def __call__(self, images: Sequence[Image.Image]) -> Answer:
        """Answer for PIL images of any sizes."""
        seen = [[pixels(image, transform) for transform in self._transforms] for image in images]
        if not seen:
            raise ValueError("expected at least one image, got none")
        # Images that are resized inside the graph go one by one where their sizes differ.
        sizes = {tuple(one.shape for one in own) for own in seen}
        batches = [seen] if len(sizes) == 1 else [[own] for own in seen]
        parts = [self._graph(*(np.stack(column) for column in zip(*batch, strict=True))) for batch in batches]
        logits, predicted, uncertainty = (np.concatenate(part) for part in zip(*parts, strict=True))
        # Written so that an uncertainty that is no number abstains.
        abstain = None if self.threshold is None else ~(uncertainty <= self.threshold)
        return Answer(logits, predicted, uncertainty, abstain)


def pixels(image: Image.Image, transform: Mapping[str, Any]) -> Array:
    """Decode, resize and crop one image: uint8 (3, h, w); the graph normalises, and resizes where `antialias` is false."""
    image = rgb(image)
    height, width = transform["input_size"][1:]
    if transform["antialias"] and transform["resize"] is not None:
        image = image.resize(_resized(image.size, transform["resize"]), INTERPOLATIONS[transform["interpolation"]])
    if transform["antialias"] and transform["crop"]:
        left, top = _start(image.width, width), _start(image.height, height)
        image = image.crop((left, top, left + width, top + height))
    if transform["antialias"] and image.size != (width, height):
        raise ValueError(f"expected images of {width} x {height} pixels, got {image.width} x {image.height}")
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def rgb(image: Image.Image) -> Image.Image:
    """Return RGB of 8 bits: images of more bits are scaled, those whose values have no stated range refused."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image.convert("RGB")
    bits, photometric = (getattr(image, "tag_v2", {}).get(tag, default) for tag, default in ((258, 16), (262, 1)))
    values, peak = np.asarray(image), 2 ** min(bits[0] if isinstance(bits, tuple) else bits, 16) - 1
    if image.mode == "F" or values.min() < 0 or values.max() > peak:
        raise ValueError(
            f"expected pixels of 8 or 16 bits, got the mode {image.mode}, whose range nothing states; save it with 8 or 16 bits"
        )
    values = peak - values if photometric == 0 else values  # a TIFF in which white is zero
    return Image.fromarray(np.rint(values * (255 / peak)).astype(np.uint8)).convert("RGB")


def _resized(size: tuple[int, int], resize: int | Sequence[int]) -> tuple[int, int]:
    if not isinstance(resize, int):
        return resize[1], resize[0]
    width, height = size
    return (resize, int(resize * height / width)) if width <= height else (int(resize * width / height), resize)


def _start(have: int, want: int) -> int:
    return round((have - want) / 2) if have >= want else -((want - have) // 2)


def _graph(folder: Path, files: Mapping[str, str]) -> Callable[..., Sequence[Array]]:
    """The duo as a function of its models' pixels, an array each: by onnxruntime where there is an ONNX file, else by torch."""
    name = "duo.onnx" if "duo.onnx" in files else "duo.pt2"
    with (folder / name).open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != files[name]:
            raise ValueError(f"'{folder / name}' was altered after it was exported; export it again")
    return _by_onnx(folder / name) if name == "duo.onnx" else _by_torch(folder / name)


def _by_onnx(file: Path) -> Callable[..., Sequence[Array]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=onnxruntime.get_available_providers())

    names = [own.name for own in session.get_inputs()]

    def run(*arrays: Array) -> Sequence[Array]:
        found: Sequence[Array] = session.run(list(OUTPUTS), dict(zip(names, arrays, strict=True)))
        return found

    return run


def _by_torch(file: Path) -> Callable[..., Sequence[Array]]:
    import torch

    module = torch.export.load(file).module()

    def run(*arrays: Array) -> Sequence[Array]:
        with torch.inference_mode():
            return [output.numpy() for output in module(*(torch.from_numpy(own) for own in arrays))]

    return run


def rows(duo: Duo, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """What the duo says of each file."""
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        answer = duo([Image.open(file) for file in batch])
        for place, file in enumerate(batch):
            yield {
                "file": str(file),
                "class": duo.classes[int(answer.predicted[place])],
                "uncertainty": float(answer.uncertainty[place]),
                "abstain": None if answer.abstain is None else bool(answer.abstain[place]),
            }


def main() -> None:
    """Print what the duo says of the images named on the command line, one JSON object a line."""
    parser = argparse.ArgumentParser(description="Print what the duo says of images, one JSON object a line.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--threshold", type=float, metavar="U", help="abstain above this uncertainty; duo.json lists some")
    options = parser.parse_args()
    try:
        duo = Duo()
        if options.threshold is not None:
            duo.threshold = options.threshold
        for row in rows(duo, options.images):
            print(json.dumps(row))
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
