"""All members as one graph, from uint8 pixels to answers: torch.export and ONNX, each compared with the module."""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from duo_core.deploy.module import Duo, Member

TORCH, ONNX = "duo.pt2", "duo.onnx"
OUTPUTS = ("logits", "predicted", "uncertainty")
TOLERANCE = 1e-4
"""Largest difference between a graph's logits or uncertainties and the module's, absolute and relative."""
LARGEST = 1 << 14
"""Pixels along a side, where the graph itself resizes."""
ONE_FILE = 1_900_000_000
"""Bytes of weights up to which ONNX's format holds them in the file."""
OPTIONAL = ("onnx", "onnxscript", "onnxruntime")


class Graph(nn.Module):
    """What is traced: pixels of each member (b, 3, h, w) uint8 -> logits, predicted, uncertainty."""

    def __init__(self, duo: Duo) -> None:
        super().__init__()
        self.duo = duo

    def forward(self, *pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalise, run and combine the members."""
        return self.duo.judged(*(member(own) for member, own in zip(self.duo.members, pixels, strict=True)))


def write(duo: Duo, folder: Path, onnx: bool) -> list[str]:
    """Write duo.pt2 and duo.onnx where the members allow it; return a sentence for each that was left out."""
    graph = Graph(duo).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracers, about their own insides
        program = _traced(graph)
        if isinstance(program, str):
            return [f"{TORCH} and {ONNX} were left out: torch.export cannot trace the members ({program})"]
        torch.export.save(program, folder / TORCH)
        left_out = _torch_problem(graph, folder / TORCH)
        return [*left_out, *(_onnx(graph, program, folder / ONNX) if onnx else [f"{ONNX} was left out, as asked for"])]


def _traced(graph: Graph) -> ExportedProgram | str:
    """The graph for any number of images, or why there is none."""
    batch = Dim("batch", min=1)
    shapes = tuple({0: batch, **_sides(place, member)} for place, member in enumerate(graph.duo.all_members()))
    try:
        return torch.export.export(graph, _example(graph.duo, 2), dynamic_shapes={"pixels": shapes})
    except Exception as error:  # a model's own code may trip over anything while it is traced
        return _reason(error)


def _sides(place: int, member: Member) -> dict[int, Dim]:
    """The sides of images that are resized inside the graph are free; the others are those that the model sees."""
    if member.transform.antialias:
        return {}
    return {2: Dim(f"height_{place}", min=2, max=LARGEST), 3: Dim(f"width_{place}", min=2, max=LARGEST)}


def _example(duo: Duo, images: int) -> tuple[Tensor, ...]:
    """Pixels of noise, the same in every call with the same number of images."""
    random = torch.Generator().manual_seed(images)
    return tuple(_noise(member, images, random) for member in duo.all_members())


def _noise(member: Member, images: int, random: torch.Generator) -> Tensor:
    height, width = member.transform.input_size[1:]
    if not member.transform.antialias:
        height, width = height + 5, width + 8 * images
    return torch.randint(0, 256, (images, 3, height, width), dtype=torch.uint8, generator=random)


def _torch_problem(graph: Graph, file: Path) -> list[str]:
    """Run what was saved on another number of images; a file that says something else is deleted."""
    example = _example(graph.duo, 3)
    return _unless_same(graph(*example), torch.export.load(file).module()(*example), file)


def _onnx(graph: Graph, program: ExportedProgram, file: Path) -> list[str]:
    absent = [package for package in OPTIONAL if importlib.util.find_spec(package) is None]
    if absent:
        return [f"{ONNX} was left out: {', '.join(absent)} not installed; pip install {' '.join(OPTIONAL)} and export again"]
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    if size > ONE_FILE:
        return [f"{ONNX} was left out: its format holds {ONE_FILE / 1e9:g} GB of weights, and the models have {size / 1e9:.1f}"]
    try:
        names = [f"pixels_{place}" for place in range(len(graph.duo.members))]
        written = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=names, output_names=OUTPUTS, external_data=False
        )
        if written is None:
            return [f"{ONNX} was left out: torch.onnx gave no model"]
        written.save(file, external_data=False)
    except Exception as error:
        file.unlink(missing_ok=True)
        return [f"{ONNX} was left out: torch.onnx cannot translate the members ({_reason(error)})"]
    example = _example(graph.duo, 3)
    return _unless_same(graph(*example), _run_onnx(file, example), file)


def _run_onnx(file: Path, pixels: Sequence[Tensor]) -> list[Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = {own.name: values.numpy() for own, values in zip(session.get_inputs(), pixels, strict=True)}
    return [torch.from_numpy(values) for values in session.run(list(OUTPUTS), given)]


def _unless_same(expected: Sequence[Tensor], got: Sequence[Tensor], file: Path) -> list[str]:
    """Delete a graph that differs from the module, and say so."""
    pairs = [(expected[i], got[i]) for i in (0, 2)]
    if all(torch.allclose(own, other, rtol=TOLERANCE, atol=TOLERANCE) for own, other in pairs):
        return []
    file.unlink()
    difference = max(float((own - other).abs().max()) for own, other in pairs)
    return [f"{file.name} was left out: it differs from the model by {difference:.2g}, more than {TOLERANCE:g}"]


def _reason(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {first}"
