"""Asymmetric duos: a large classifier and a small sidekick, their logits added with two learned weights."""
