"""Many models over one pass of the images: decoding, running, saving, progress."""

from duo_core.inference.computing import Summary, compute
from duo_core.inference.progress import Printer, Progress
from duo_core.models.devices import compute_device

__all__ = ["Printer", "Progress", "Summary", "compute", "compute_device"]
