"""Two small models and few images, for tests of tasks: the command that computes their logits, and what it leaves."""

import hashlib

import torch
from pictures import folder

from duo_core.__main__ import main
from duo_core.models.zoo.cifar_resnet import CifarResNet

SMALL = ["--throughput", "1e6", "--task-minutes", "0.001"]
"""One batch a task."""


def make(root):
    """Images, two checkpoints, and the set that one process makes of them."""
    folder(root / "images", {"a": 9, "b": 8, "c": 6}, size=(32, 32))
    for name, depth in (("p", 8), ("q", 14)):
        torch.manual_seed(depth)
        torch.save(CifarResNet(depth, num_classes=3).state_dict(), root / f"{name}.pt")
    assert logits(root, "whole") == 0
    return root


def command(root, store, *options, images=None):
    """Arguments of `duo`; what options say again counts."""
    given = ["logits", "--set", "s", "--images", f"test={images or root / 'images'}", "--fit", "8", "--models", "p=cifar/resnet8"]
    given += ["q=cifar/resnet14", "--checkpoint", f"p={root / 'p.pt'}", f"q={root / 'q.pt'}", "--store", str(root / store)]
    return [*given, "--device", "cpu", "--no-throughput", "--batch-size", "5", "--workers", "0", *options]


def logits(root, store, *options, images=None):
    """Exit status of the command, in this process."""
    return main(command(root, store, *options, images=images))


def digests(store):
    """SHA-256 of each file of a set."""
    files = [file for file in (store / "s").iterdir() if file.is_file() and not file.name.startswith(".")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
