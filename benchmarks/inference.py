"""Times many models over one pass against timm's way, a validation loop a model, on the same images, device and workers.

The validation loop is the one of timm's `validate.py`: `create_dataset`, `create_loader`, the model in evaluation mode under
`torch.inference_mode`, loss and top-1/top-5 accuracy of every batch. Both ways run in this process, one after the other and then
once more in the other order; times are of the whole way, listing the images and starting workers included. Decodes are
counted in all processes. Logits are compared with those that timm's loop gives with the same layout of memory in one pass more,
which no time is taken of.

    python benchmarks/inference.py                          # three small models with random weights, images of noise
    python benchmarks/inference.py --images imagenet-like.tar --checkpoints zoo/imagenet    # four ImageNet models
"""

import argparse
import atexit
import contextlib
import hashlib
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
import torch
from timm.data import create_dataset, create_loader
from timm.models import load_checkpoint
from timm.utils import AverageMeter, accuracy

from duo_core.images import open_source, pixels
from duo_core.images.splits import splits
from duo_core.inference import compute
from duo_core.inference.computing import BATCH_SIZE, ON_GPU
from duo_core.logits.store import Store
from duo_core.models.transforms import Transform
from duo_core.models.zoo import LoadedModel, ModelSpec
from duo_core.models.zoo.libraries import build

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Model(NamedTuple):
    """How timm builds a model, and how it sees images."""

    timm: str
    size: int
    scale: tuple[tuple[float, ...], tuple[float, ...]]
    interpolation: str = "bilinear"
    arguments: Mapping[str, Any] = {}


SMALL = {
    # three different transforms
    "resnet18": Model("resnet18", 32, IMAGENET),
    "mobilenetv3_small_050": Model("mobilenetv3_small_050", 64, IMAGENET, "bicubic"),
    "regnety_002": Model("regnety_002", 48, HALVES),
}
FOUR = {
    # of ImageNet, for --checkpoints
    "mobilenetv2_100": Model("mobilenetv2_100", 224, HALVES, arguments={"pad_type": "same"}),
    **{
        f"mobilenetv1_{share:03}": Model(
            "mobilenetv1_100", size, HALVES, arguments={"pad_type": "same", "channel_multiplier": share / 100}
        )
        for share, size in ((75, 192), (50, 160), (25, 128))
    },
}


@contextlib.contextmanager
def counted_decodes() -> Iterator[Any]:
    """Count what Pillow opens, and JPEGs that torchvision decodes, in this process and in those forked from it."""
    pixels.same_jpeg()  # tries both once
    count, opened, jpeg = multiprocessing.Value("q", 0), PIL.Image.open, pixels._by_torchvision

    def counting(*arguments: Any, **options: Any) -> Any:
        with count.get_lock():
            count.value += 1
        return opened(*arguments, **options)

    def counting_jpeg(content: bytes) -> Any:
        with count.get_lock():
            count.value += 1
        return jpeg(content)

    PIL.Image.open, pixels._by_torchvision = counting, counting_jpeg
    try:
        yield count
    finally:
        PIL.Image.open, pixels._by_torchvision = opened, jpeg


def cpu_seconds() -> float:
    """Of this process and of workers that have ended: what other programs on the machine do hardly shows in it."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def network(name: str, options: argparse.Namespace) -> torch.nn.Module:
    torch.manual_seed(0)
    model = options.models[name]
    # timm's own entry points take no width of a network: duo_core runs them with another.
    module = build(f"timm/{model.timm}", {"num_classes": options.classes, **model.arguments})
    if options.checkpoints:
        load_checkpoint(module, str(options.checkpoints / f"{name}.safetensors"))
    return module.eval()


def loaded(name: str, options: argparse.Namespace) -> LoadedModel:
    model = options.models[name]
    return LoadedModel(
        spec=ModelSpec(name, reference=f"timm/{model.timm}", source="timm", family="", arguments=model.arguments),
        module=network(name, options),
        transform=Transform((3, model.size, model.size), *model.scale, resize=model.size, interpolation=model.interpolation),
        classes=options.classes,
        class_names=None,
        weights="of this benchmark",
        weights_sha256=hashlib.sha256(name.encode()).hexdigest(),
    )


def validated(name: str, options: argparse.Namespace, channels_last: bool) -> tuple[torch.Tensor, float]:
    """Validate one model as timm does; return its logits and its top-1 accuracy in percent."""
    device, about = torch.device(options.device), options.models[name]
    model = network(name, options).to(device)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    batches = create_loader(
        create_dataset("", root=options.images, search_split=False, class_map=options.class_map),
        input_size=(3, about.size, about.size),
        batch_size=options.batch_size,
        use_prefetcher=device.type == "cuda",
        interpolation=about.interpolation,
        mean=about.scale[0],
        std=about.scale[1],
        num_workers=options.workers,
        crop_pct=1.0,
        pin_memory=device.type == "cuda",
        device=device,
    )
    loss_function, losses, top1, top5 = torch.nn.CrossEntropyLoss().to(device), AverageMeter(), AverageMeter(), AverageMeter()
    outputs = []
    with torch.inference_mode():
        for read, wanted in batches:
            images, target = read.to(device), wanted.to(device)
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            output = model(images)
            loss = loss_function(output, target)
            first, fifth = accuracy(output, target, topk=(1, min(5, options.classes)))
            losses.update(loss.item(), images.size(0))
            top1.update(first.item(), images.size(0))
            top5.update(fifth.item(), images.size(0))
            outputs.append(output.cpu())
    return torch.cat(outputs), float(top1.avg)


def one_pass(options: argparse.Namespace) -> tuple[float, int, dict[str, torch.Tensor], dict[str, float]]:
    """All models with duo: seconds, decodes, logits, accuracies in percent."""
    with tempfile.TemporaryDirectory() as folder, counted_decodes() as count:
        began = time.perf_counter()
        made = splits({"test": open_source(options.images)})
        models = [loaded(name, options) for name in options.models]
        store = Store(Path(folder))
        compute(models, made, store, "set", device=options.device, batch_size=options.batch_size, workers=options.workers)
        seconds = time.perf_counter() - began
        found = store.open("set")
        logits = {name: found.logits(name, "test").clone() for name in options.models}
    labels = made["test"].labels
    return seconds, count.value, logits, {n: 100 * (f.argmax(1) == labels).double().mean().item() for n, f in logits.items()}


def loop_a_model(options: argparse.Namespace) -> tuple[float, int, dict[str, torch.Tensor], dict[str, float]]:
    """All models with timm's loop, one after another."""
    with counted_decodes() as count:
        began = time.perf_counter()
        results = {name: validated(name, options, options.channels_last) for name in options.models}
        seconds = time.perf_counter() - began
    return seconds, count.value, {n: r[0] for n, r in results.items()}, {n: r[1] for n, r in results.items()}


def noise() -> str:
    """Make a folder of ten classes with 300 PNG images of 32 x 32 each, removed at the end."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    pixels = torch.randint(256, (10, 300, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).numpy()
    for number, images in enumerate(pixels):
        (folder / str(number)).mkdir()
        for row, image in enumerate(images):
            PIL.Image.fromarray(image).save(folder / str(number) / f"{row}.png")
    return str(folder)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="a folder or tar that timm reads; 3,000 images of noise without")
    parser.add_argument("--checkpoints", type=Path, metavar="FOLDER", help=f"run {', '.join(FOUR)} with weights from there")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-size", type=int, help="default 64 on a CPU, 256 elsewhere")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true", help="give timm's loop this layout too")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    options.models = FOUR if options.checkpoints else SMALL
    options.images = options.images or noise()
    options.batch_size = options.batch_size or BATCH_SIZE.get(options.device, ON_GPU)
    source = open_source(options.images)
    options.images_there = len(source)
    options.classes = 1000 if options.checkpoints else len(source.classes or ()) or int(source.labels.max()) + 1
    # Folders that are numbers are classes of those numbers, also where some are missing.
    options.class_map = {f"{label:04}": label for label in range(1000)} if options.checkpoints else ""
    return options


def main() -> None:
    options = arguments()
    how = f"{options.device}, batch {options.batch_size}, {options.workers} workers, torch on {torch.get_num_threads()} threads"
    print(f"{options.images_there} images, {len(options.models)} models, {how}")
    ways = [("duo, one pass", one_pass), ("timm, a loop a model", loop_a_model)]
    results: dict[str, list[Any]] = {name: [] for name, _ in ways}
    for number in range(options.rounds):
        for name, way in ways if number % 2 == 0 else ways[::-1]:
            before = cpu_seconds()
            seconds, decodes, *rest = way(options)
            cpu = cpu_seconds() - before
            results[name].append((seconds, cpu, *rest))
            each = f"{decodes / options.images_there:g} an image"
            print(f"round {number + 1}  {name:22} {seconds:7.1f} s, {cpu:7.1f} s of CPU, {decodes} decodes, {each}", flush=True)
    for place, what in enumerate(("time", "CPU time")):
        own, other = (min(result[place] for result in results[name]) for name, _ in ways)
        print(f"speed a model, timm's {what} / duo's (best of {options.rounds} rounds each): {other / own:.2f}")
    (_, _, ours, our_accuracy), (_, _, _, their_accuracy) = (results[name][0] for name, _ in ways)
    for name in options.models:
        theirs, _ = validated(name, options, channels_last=True)
        same = (ours[name].argmax(1) == theirs.argmax(1)).sum().item()
        apart = (ours[name] - theirs).abs().max().item()
        print(
            f"{name:22} top-1 {our_accuracy[name]:.2f} % and {their_accuracy[name]:.2f} % (timm), {same} of {options.images_there} "
            f"predictions the same; with the same layout logits are {'equal to the bit' if not apart else f'{apart:.1e} apart'}"
        )


if __name__ == "__main__":
    main()
