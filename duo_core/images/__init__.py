"""Image sources, their splits, and stated corruptions."""

from duo_core.images.corruptions import Corruption
from duo_core.images.sources import Source, UnreadableImageError, open_source
from duo_core.images.splits import Split

__all__ = ["Corruption", "Source", "Split", "UnreadableImageError", "open_source"]
