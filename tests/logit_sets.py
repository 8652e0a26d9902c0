"""Small logit sets on disk for the dashboard's tests."""

from pathlib import Path

import torch

from duo_core.logits import Card
from duo_core.logits.store import Store

MODELS = {"large": (4.0, 800), "middle": (3.0, 200), "small": (2.5, 80), "tiny": (2.0, 40)}
"""How far the true class stands out, and multiply-adds."""


def write_set(path: Path, name: str = "toy", *, models=tuple(MODELS), splits=("val", "test", "shift"), costs=True, n=300, k=5):
    """A set of models that err on partly the same images; the later splits are harder."""
    random = torch.Generator().manual_seed(7)
    labels = {split: torch.randint(0, k, (n,), generator=random) for split in splits}
    shared = {split: torch.randn(n, k, generator=random) for split in splits}
    store = Store(path)
    store.prepare(name, title=f"The {name} set", classes=[f"class {i}" for i in range(k)], labels=labels)
    for model in models:
        strength, cost = MODELS[model]
        logits = {}
        for harder, split in enumerate(splits):
            noise = shared[split] + torch.randn(n, k, generator=random)
            noise[torch.arange(n), labels[split]] += strength - 0.4 * harder
            logits[split] = noise
        known = {"multiply_adds": cost, "parameters": cost * 2} if costs else {}
        store.write_model(name, Card(name=model, model=f"toy/{model}", source="python", **known), logits)
    return path
