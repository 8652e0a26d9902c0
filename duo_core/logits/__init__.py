"""Logits of several models on the same images: in memory (`LogitSet`), and on disk (`store`)."""

from duo_core.logits.logit_set import FIT_SPLIT, Card, LogitSet, check_pair, join_devices, same_precision, tensor_digest

__all__ = ["FIT_SPLIT", "Card", "LogitSet", "check_pair", "join_devices", "same_precision", "tensor_digest"]
