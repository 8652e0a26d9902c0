"""The models: a table of names, any model of torchvision and timm, own callables; each with its weights and its transform."""

from typing import Any

from duo_core.models.zoo.libraries import own_transform, torchvision_weights
from duo_core.models.zoo.loading import load, outline, transform_of
from duo_core.models.zoo.references import resolve, resolve_all
from duo_core.models.zoo.specs import PARAMETERS, LoadedModel, ModelSpec, table

__all__ = ["LoadedModel", "ModelSpec", "facts", "load", "outline", "own_transform", "resolve", "resolve_all", "table"]


def facts(spec: ModelSpec) -> dict[str, Any]:
    """Return what `duo zoo` shows of a model of the table, known without building it."""
    weights = torchvision_weights(spec.reference) if spec.source == "torchvision" else None
    return {
        "name": spec.name,
        "model": spec.reference,
        "source": spec.source,
        "family": spec.family,
        "role": spec.role,
        "input_size": list(transform_of(spec).input_size),
        "parameters": weights.meta["num_params"] if weights else PARAMETERS[spec.reference],
    }
