"""Many models over one pass of the images -> logits in a store; what is there already is not computed again."""

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.inference.filling import Filling
from duo_core.inference.groups import groups, in_memory, spec_of
from duo_core.inference.jobs import Job, Meter, Tell, passes, run_pass
from duo_core.inference.progress import ProgressCallback
from duo_core.inference.runner import Runner, check_names, fitting_classes
from duo_core.logits.store import Store
from duo_core.models.devices import check_precision, compute_device, current, device_name

if TYPE_CHECKING:  # only the records' shapes are needed, not torchvision and timm
    from duo_core.models.zoo import LoadedModel, ModelSpec

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
BATCH_SIZE = {"cpu": 64}
ON_GPU = 256
"""Images a batch on anything but a CPU."""
Costs = Callable[["LoadedModel"], Mapping[str, Any]]


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    computed: tuple[str, ...]
    """Models that now stand in the set for all splits and did not before."""
    present: tuple[str, ...]
    """Models that stood there already."""
    left_out: Mapping[str, Sequence[str]]
    """Images of each split that could not be read."""
    decoded: int
    """Images that were decoded, each once for all models, transforms and corruptions."""


def compute(
    models: Sequence["LoadedModel | ModelSpec"],
    splits: Mapping[str, Split],
    store: Store,
    set_name: str,
    *,
    title: str | None = None,
    source: str = "",
    licence: str = "",
    device: str = "auto",
    precision: str = "float32",
    batch_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    workers: int | None = None,
    skip_unreadable: bool = False,
    progress: ProgressCallback | None = None,
    costs: Costs | None = None,
    tell: Tell | None = None,
) -> Summary:
    """Compute the logits that a set lacks and leave each model whole in the store.

    Stopped at any moment and called again, it goes on where it was. Batches lie at fixed places and rows are kept as they
    come, so the result is the same, bit for bit, as without the stop (on the same machine, with the same batch size).

    Parameters
    ----------
    models
        Loaded, or to be loaded when they are needed: those that the set has are not, and where all do not fit into memory
        together, one group after another is.
    device
        `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:N`, `mps`, `xpu`.
    precision
        `float32`, `tf32`, `float16` or `bfloat16`; the layers that give the logits compute in float32 in all of them.
    batch_size
        Images a batch; default 64 on a CPU, 256 elsewhere. One that does not fit is halved for the model in question.
    dtype
        What the logits are stored as, float32 or float16.
    workers
        Processes that decode; default one a core, as far as memory allows, or none for few images.
    skip_unreadable
        Leave out an image that cannot be decoded, for all models, instead of ending.
    progress
        Called after every batch.
    costs
        Returns what a model's card says of `multiply_adds`, `parameters`, `images_per_second`, `device`; asked at the start.
    tell
        Called with sentences: what decodes, which weights were chosen, what waits.

    Raises
    ------
    InputError
        Before anything is computed where models, images and set do not fit together; later where an image cannot be read,
        logits are not finite or do not fit float16, or the disk is full. What was computed by then is kept.
    """
    where, size = checked(device, precision, dtype, batch_size)
    check_names([spec_of(model).name for model in models], splits)
    filling = Filling(store, set_name, splits, (), title or set_name, source, licence, precision)
    loaded = in_memory(models)
    if loaded:  # what does not fit is said before anything is loaded or computed
        filling = replace(filling, classes=fitting_classes(loaded, splits))
        filling.missing(loaded)
    filling.check(skip_unreadable)
    present = [spec.name for spec in map(spec_of, models) if all(spec is not model.spec for model in loaded) and filling.has(spec)]
    todo = [model for model in models if spec_of(model).name not in present]
    rows = sum(map(len, splits.values()))
    run = _Run(filling, where, size, precision, dtype, workers, skip_unreadable, costs, tell or _silent)
    run.meter = Meter(len(todo) * rows, progress)
    with _full_disk(store), current(where):
        for group in groups(todo, where, run.tell):
            run.fill(group, len(group) * rows)
            group.clear()
    there = {*present, *run.present}
    names = tuple(name for name in (spec_of(model).name for model in models) if name in there)
    return Summary(tuple(run.computed), names, run.left_out, run.meter.decoded)


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass
class _Run:
    """What is computed how, and what came of it so far."""

    filling: Filling
    where: torch.device
    size: int
    precision: str
    dtype: torch.dtype
    workers: int | None
    skip_unreadable: bool
    costs: Costs | None
    tell: Tell
    meter: Meter = field(default_factory=lambda: Meter(0))
    computed: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def fill(self, group: Sequence["LoadedModel"], expected: int) -> None:
        """Compute what the set lacks of some models, of which so many predictions were expected, and write it."""
        splits, classes = self.filling.splits, fitting_classes(group, self.filling.splits)
        self.filling = filling = replace(self.filling, classes=self.filling.classes or classes)
        filling.check(self.skip_unreadable)
        missing = filling.missing(group)
        self.present += [model.spec.name for model in group if not missing[model.spec.name]]
        todo = [model for model in group if missing[model.spec.name]]
        with contextlib.ExitStack() as stack:
            cards = [filling.card(model, self.costs(model) if self.costs else {}) for model in todo]
            runners = [stack.enter_context(Runner(model, self.where, self.precision, self.size)) for model in todo]
            jobs, journals = [], {}
            for runner in runners:
                for split in missing[runner.model.spec.name]:
                    journal = filling.journal(runner.model, split, self.dtype, device_name(self.where))
                    stack.callback(journal.close)
                    jobs.append(Job(runner, split, splits[split], journal))
                    journals[runner.model.spec.name, split] = journal
            self.meter.open(jobs, expected)
            for together in passes(jobs):
                run_pass(together, self.size, self.workers, self.skip_unreadable, self.meter, self.tell)
            for split, names in filling.finish(cards, journals, self.skip_unreadable).items():
                self.left_out[split] = names
        self.computed += [card.name for card in cards]


def checked(device: str, precision: str, dtype: torch.dtype, batch_size: int | None) -> tuple[torch.device, int]:
    """Return the device and the batch size, once the options are seen to make sense."""
    if dtype not in DTYPES:
        raise InputError(f"expected logits stored as float32, float16 or bfloat16, got {dtype}")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"expected a batch of at least one image, got {batch_size}")
    where = compute_device(device)
    check_precision(precision, where)
    return where, batch_size or BATCH_SIZE.get(where.type, ON_GPU)


@contextlib.contextmanager
def _full_disk(store: Store) -> Iterator[None]:
    """Say in a sentence that the disk is full."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error)
        if not full:
            raise
        raise InputError(
            f"the disk of '{store.path}' is full; what was computed is kept: free some space and run the same command again"
        ) from None
