"""Small logit files in every format, made in memory."""

import io
import json

import numpy as np
import pandas as pd
import safetensors.numpy
import torch

from duo_core.formats import Upload


def arrays(n=600, k=5, models=(("large", 3.0), ("small", 2.0)), seed=0):
    """Logits of models that lean towards the label, labels and ids; enough rows to give no warning."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, k, n)
    logits = {f"logits/{name}": (random.normal(size=(n, k)) + lean * np.eye(k)[labels]).astype("f4") for name, lean in models}
    return {**logits, "labels": labels, "ids": np.array([f"images/{row:05d}.jpg" for row in random.permutation(n)])}


def shuffled(members, seed=1):
    """The same rows in another order."""
    order = np.random.default_rng(seed).permutation(len(members["labels"]))
    return {name: values[order] if len(values) == len(order) else values for name, values in members.items()}


def npz(members, compressed=False):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **members)
    return file.getvalue()


def safetensors_file(members):
    texts = {name: json.dumps(values.tolist()) for name, values in members.items() if values.dtype.kind == "U"}
    return safetensors.numpy.save({name: values for name, values in members.items() if name not in texts}, texts)


def table(members, model):
    """One model's table as timm writes it, with a column target."""
    logits = members[f"logits/{model}"]
    rows = {"filename": members["ids"], "target": members["labels"]} | ({"split": members["split"]} if "split" in members else {})
    return pd.DataFrame({**rows, **{f"logit_{index}": column for index, column in enumerate(logits.T)}})


def parquet(frame):
    file = io.BytesIO()
    frame.set_index("filename").to_parquet(file)  # as timm does
    return file.getvalue()


def csv(frame, **options):
    return frame.to_csv(index=False, **options).encode()


def softmax(logits):
    weights = np.exp(logits.astype("f8"))
    return weights / weights.sum(1, keepdims=True)


def torch_file(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def models(members):
    return [name.removeprefix("logits/") for name in members if name.startswith("logits/")]


FORMATS = {
    "npz": lambda members: [Upload("logits.npz", npz(members))],
    "npz, compressed": lambda members: [Upload("logits.npz", npz(members, compressed=True))],
    "safetensors": lambda members: [Upload("logits.safetensors", safetensors_file(members))],
    "parquet": lambda members: [Upload(f"{model}.parquet", parquet(table(members, model))) for model in models(members)],
    "csv": lambda members: [Upload(f"{model}.csv", csv(table(members, model))) for model in models(members)],
}
"""The same arrays as files of each format."""
