"""Asymmetric duos: a large classifier and a small sidekick, their logits added with two learned weights."""

__version__ = "0.1.0"
