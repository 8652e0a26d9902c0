"""A second count of multiply-adds, by fvcore, which knows nothing of this one's tables."""

import logging
import warnings
from dataclasses import dataclass

import torch
from torch import nn

from duo_core.models.shapes import device_of, stand_in, taking

FREE = [
    f"aten::{name}"
    for name in (
        *("batch_norm", "group_norm", "layer_norm", "instance_norm", "adaptive_avg_pool2d"),
        *("upsample_nearest2d", "upsample_bilinear2d", "grid_sampler"),
    )
]
"""What fvcore counts and the convention of `cost` does not."""

PASSED_OVER = {
    f"aten::{name}"
    for name in (
        *("scaled_dot_product_attention", "_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
        *("baddbmm", "addbmm", "addmv", "mv", "dot", "lstm", "gru", "rnn_tanh", "rnn_relu"),
    )
}
"""What multiplies and fvcore has no rule for."""


@dataclass(frozen=True)
class SecondCount:
    """What fvcore counts of one image."""

    multiply_adds: int
    left_out: tuple[str, ...]
    """Operators that multiply and that it has no rule for, in alphabetical order: the count is too small by theirs."""


def second_count(module: nn.Module, input_size: tuple[int, int, int]) -> SecondCount:
    """Count the multiply-adds of one image (3, height, width) by fvcore: norms and resizing left out, as in `cost`.

    The module, which may lie on the meta device, is left as it is; a copy runs on an image of zeros, which takes as long and as
    much memory as the model does.

    >>> second_count(nn.Conv2d(3, 8, kernel_size=5, padding=2), (3, 10, 10))
    SecondCount(multiply_adds=60000, left_out=())

    Raises
    ------
    InputError
        Where the module does not take such an image, or cannot be traced.
    """
    with warnings.catch_warnings(), taking(input_size):
        warnings.simplefilter("ignore")  # of what fvcore's imports and the tracing itself use
        logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
        from fvcore.nn import FlopCountAnalysis

        copied = stand_in(module)
        images = torch.zeros(1, *input_size, device=device_of(copied), dtype=next((p.dtype for p in copied.parameters()), None))
        counted = FlopCountAnalysis(copied, images).set_op_handle(**dict.fromkeys(FREE, lambda *_: 0))
        return SecondCount(int(counted.total()), tuple(sorted(PASSED_OVER & set(counted.unsupported_ops()))))
