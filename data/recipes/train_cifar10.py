"""Train a stock timm or torchvision architecture on CIFAR-10 images and save its state dictionary.

    python data/recipes/train_cifar10.py timm/regnety_002 --images cifar10-train.tar --epochs 10 --out timm-regnety_002.safetensors

The images are any source that timm's ``create_dataset`` reads, 32 x 32. Each is cropped at random (padding 4), flipped at random,
normalised and resized bilinearly to 64 x 64; AdamW with a one-cycle schedule, bf16 autocast where the processor has it.
"""

import argparse
import time

import numpy as np
import timm
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
import torchvision
from safetensors.torch import save_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, create_dataset


def architecture(name: str, classes: int) -> torch.nn.Module:
    source, _, arch = name.partition("/")
    if source == "timm":
        return timm.create_model(arch, num_classes=classes)
    return torchvision.models.get_model(arch, num_classes=classes)


def pixels(source: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Read every image: (n, 3, 32, 32) uint8 and (n,) int64 labels."""
    dataset = create_dataset("", root=source)
    images, labels = zip(*((np.asarray(image.convert("RGB")), label) for image, label in dataset), strict=True)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def prepared(batch: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    resized = F.interpolate((batch / 255 - mean) / std, size=(64, 64), mode="bilinear", align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)


def augmented(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    n, _, height, width = batch.shape
    padded = F.pad(batch, (4, 4, 4, 4))
    top, left = (torch.randint(9, (n,), generator=generator) for _ in range(2))
    rows = top[:, None] + torch.arange(height)
    columns = left[:, None] + torch.arange(width)
    flip = torch.rand(n, generator=generator) < 0.5
    columns[flip] = columns[flip].flip(1)
    return padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, options: argparse.Namespace) -> None:
    generator = torch.Generator().manual_seed(options.seed)
    steps = options.epochs * (len(images) // options.batch_size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=steps, pct_start=0.2)
    device = next(model.parameters()).device
    model.train()
    for epoch in range(options.epochs):
        start, total = time.perf_counter(), 0.0
        order = torch.randperm(len(images), generator=generator)
        for rows in order.split(options.batch_size)[: len(images) // options.batch_size]:
            batch = prepared(augmented(images[rows], generator)).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                logits = model(batch)
            entropy = F.cross_entropy(logits.float(), labels[rows].to(device))
            optimiser.zero_grad()
            entropy.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += entropy.item()
        seconds = time.perf_counter() - start
        loss = total * options.batch_size / len(images)
        print(f"{options.model} epoch {epoch + 1}/{options.epochs} loss {loss:.4f} {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="timm/NAME or torchvision/NAME")
    parser.add_argument("--images", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, labels = pixels(options.images)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = architecture(options.model, int(labels.max()) + 1).to(device, memory_format=torch.channels_last)
    train(model, images, labels, options)
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"model": options.model, "epochs": str(options.epochs), "train_px": "64", "seed": str(options.seed)}
    save_file(state, options.out, metadata)


if __name__ == "__main__":
    main()
