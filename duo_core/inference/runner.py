"""One model on its device: whether it fits the images, and logits of batches that shrink until they fit in memory."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from duo_core.common.arrays import InputError
from duo_core.images import Source
from duo_core.images.splits import Split
from duo_core.models.devices import computing, empty_cache, out_of_memory, why_too_large
from duo_core.models.shapes import last_layers

if TYPE_CHECKING:  # only the record's shape is needed, not torchvision and timm
    from duo_core.models.zoo import LoadedModel

WORDNET = re.compile(r"n\d{8}")


class Runner:
    """A model in evaluation mode, on the device while entered, back on the CPU after.

    Parameters
    ----------
    model
        What to run, with its transform.
    device
        Where.
    precision
        One of `devices.PRECISIONS`; the layers that give the logits compute in float32 in all of them.
    chunk
        Images that go through at once to begin with.
    """

    def __init__(self, model: "LoadedModel", device: torch.device, precision: str, chunk: int) -> None:
        self.model, self.transform, self.device, self.chunk = model, model.transform, device, chunk
        self._precision = precision
        self._module = model.module.eval()
        self._constants: tuple[Tensor, Tensor] | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Runner":
        try:
            self._module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._constants = self.transform.constants(self.device)  # once, as each time would wait for the device
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        if self._constants is None:  # outside the handler, whose traceback holds what did fit
            self.__exit__(None, None, None)
            raise InputError(
                f"'{self.model.spec.name}' does not fit on {self.device} beside the models before it; use another device"
            )
        if self._precision != "float32":
            self._stack.enter_context(logits_in_float32(self._module, self.transform.input_size, self.device))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        self._constants = None
        self._module.cpu()
        empty_cache(self.device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return float32 logits (b, k) on the device for uint8 pixels (b, 3, h, w).

        A batch that does not fit in memory is halved until it does, and so are the ones that follow.
        """
        while True:
            try:
                return torch.cat([self._logits(part) for part in torch.split(pixels, self.chunk)])
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                why = why_too_large(error)
            self._halve(len(pixels), why)  # outside the handler, whose traceback holds the tensors that did not fit

    @torch.inference_mode()
    def _logits(self, pixels: Tensor) -> Tensor:
        expected = (len(pixels), self.model.classes)
        inputs = self.transform.batch(pixels.to(self.device, non_blocking=True), self._constants)
        with computing(self.device, self._precision):
            logits: Tensor = self._module(inputs)
        if tuple(logits.shape) != expected:
            raise InputError(f"expected logits of shape {expected} from '{self.model.spec.name}', got {tuple(logits.shape)}")
        return logits.float()

    def _halve(self, images: int, why: str) -> None:
        tried = min(self.chunk, images)
        if tried == 1:
            raise InputError(
                f"'{self.model.spec.name}' does not fit in the memory of {self.device} with a single image{why}; use another device"
            )
        self.chunk = tried // 2
        empty_cache(self.device)


@contextlib.contextmanager
def logits_in_float32(module: nn.Module, input_size: tuple[int, int, int], device: torch.device) -> Iterator[None]:
    """Let the layers that give a module's logits compute in float32, whatever the rest does: rounded logits tie."""
    layers = [module.get_submodule(name) for name in last_layers(module, input_size)]
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        vars(layer)["forward"] = functools.partial(_in_float32, layer.forward, device)
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            vars(layer)["forward"] = own
            if own is None:  # as always, but where somebody has put a method of its own there
                del vars(layer)["forward"]


def _in_float32(forward: Callable[..., Tensor], device: torch.device, *inputs: Tensor) -> Tensor:
    with computing(device, "float32"):
        return forward(*(tensor.float() for tensor in inputs))


def fitting_classes(models: Sequence["LoadedModel"], splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Return the set's class names, once every model is seen to fit the images of every split.

    Names are compared where folders alone say what an index means; where they are WordNet ids or numbers, counts are.

    Raises
    ------
    InputError
        Where number or names of the classes differ; the message says both sides.
    """
    names = [model.spec.name for model in models]
    check_names(names, splits)
    for model in models:
        for name, split in splits.items():
            _check_fit(model, name, split)
        if model.classes != models[0].classes:
            raise InputError(
                f"expected models of one number of classes, got '{names[0]}' with {models[0].classes} and "
                f"'{model.spec.name}' with {model.classes}; make a set for each"
            )
    known = [split.source.classes for split in splits.values()] + [_class_names(model) for model in models]
    return next((found for found in known if found), tuple(str(index) for index in range(models[0].classes)))


def check_names(names: Sequence[str], splits: Mapping[str, Split]) -> None:
    """Raise InputError where there is nothing to compute, or two models would have one place in the set."""
    if not names or not splits:
        raise InputError(f"expected at least one model and one split, got {len(names)} models and {len(splits)} splits")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"expected models of different names in a set, got '{name}' {names.count(name)} times; use ID=NAME")


def _check_fit(model: "LoadedModel", name: str, split: Split) -> None:
    source = split.source
    who, whose = f"'{model.spec.name}' has {model.classes} classes", f"the images of '{name}' ({source.text})"
    if source.classes is None:
        largest = int(source.labels.max())
        if largest >= model.classes:
            few = len(set(source.labels.tolist())) == model.classes and source.order == "numeric"
            raise InputError(
                f"{who}, 0 to {model.classes - 1}, but {whose} have class {largest}; use another model"
                f"{', or number the folders from 0 with --class-index natural or text' if few else ''}"
            )
        return
    if len(source.classes) != model.classes:
        raise InputError(f"{who}, but {whose} have {len(source.classes)}; use a model of these classes, or a class map")
    theirs = _class_names(model)
    if theirs is None or source.order == "map" or all(WORDNET.fullmatch(own) for own in source.classes):
        return
    for index, (own, other) in enumerate(zip(source.classes, theirs, strict=True)):
        if _plain(own) != _plain(other):
            raise InputError(
                f"'{model.spec.name}' calls class {index} '{other}', but {whose} call it '{own}'; "
                f"use a model of these classes, or {_order_of(theirs, source)}"
            )


def _order_of(names: Sequence[str], source: Source) -> str:
    """Say what gives the images' classes the order of these names."""
    for order, places in source.others.items():
        pairs = [(own, places[index]) for index, own in enumerate(source.classes or ())]
        if all(place < len(names) and _plain(own) == _plain(names[place]) for own, place in pairs):
            return f"--class-index {order}, in which the names agree"
    return "a class map"


def _class_names(model: "LoadedModel") -> tuple[str, ...] | None:
    names: tuple[str, ...] | None = model.class_names or model.spec.classes
    return names


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
