"""Which operators multiply and how often, and which are known not to: the convention of `cost`, as tables.

One multiply-add counts one; convolutions, linear layers and attention products count; norms, activations, pooling and
element-wise work do not. That is how torchvision's published figures count. The tables are of operators as torch's
dispatcher sees them, where a linear layer, einsum or unfused attention has become a matrix product.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch

from duo_core.common.arrays import InputError

Handle = Callable[[Sequence[Any], Any], int]
"""From an operator's arguments and its result to its multiply-adds."""


def convolution(arguments: Sequence[Any], result: Any) -> int:
    """Every output value takes one multiply-add for each weight of its filter; transposed, every input value does."""
    inputs, weights, transposed = arguments[0], arguments[1], arguments[6]
    return int((inputs if transposed else result).numel() * prod(weights.shape[1:]))


def product(left: int) -> Handle:
    """Return the handle of a matrix product whose left factor is the argument of the given number."""
    return lambda arguments, result: int(result.numel() * arguments[left].shape[-1])


def attention(arguments: Sequence[Any], _result: Any) -> int:
    """Queries times keys, then weights times values; a causal mask saves nothing here."""
    queries, keys, values = (argument.shape for argument in arguments[:3])
    return int(prod(queries[:-1]) * keys[-2] * (queries[-1] + values[-1]))


def self_attention(arguments: Sequence[Any], _result: Any) -> int:
    """Projections and products of nn.MultiheadAttention's fast path, on tokens (b, n, width)."""
    batch, length, width = arguments[0].shape
    return int(batch * length * width * (4 * width + 2 * length))


def encoder_layer(arguments: Sequence[Any], result: Any) -> int:
    """nn.TransformerEncoderLayer's fast path: self-attention and the two linear layers after it."""
    return self_attention(arguments, result) + 2 * int(arguments[0].numel() * arguments[14].shape[0])


MULTIPLYING: dict[str, Handle] = {
    "aten::convolution": convolution,
    "aten::_convolution": convolution,
    "aten::linear": product(0),
    "aten::mm": product(0),
    "aten::mv": product(0),
    "aten::dot": product(0),
    "aten::vdot": product(0),
    "aten::bmm": product(0),
    "aten::addmm": product(1),
    "aten::addmv": product(1),
    "aten::baddbmm": product(1),
    "aten::addbmm": lambda arguments, _: int(arguments[1].numel() * arguments[2].shape[-1]),
    "aten::_scaled_dot_product_flash_attention": attention,
    "aten::_scaled_dot_product_flash_attention_for_cpu": attention,
    "aten::_scaled_dot_product_efficient_attention": attention,
    "aten::_scaled_dot_product_cudnn_attention": attention,
    "aten::_scaled_dot_product_fused_attention_overrideable": attention,
    "aten::_native_multi_head_attention": self_attention,
    "aten::_transformer_encoder_layer_fwd": encoder_layer,
}


def _stored_norm(arguments: Sequence[Any], _result: Any) -> int:
    """A scale and a shift for each value; a batch norm that takes its statistics from the values is charged as others are."""
    training = arguments[5] is True
    return int(arguments[0].numel() * ((5 if training else 2) - (arguments[1] is None)))


def _fresh_norm(weights: int) -> Handle:
    """Return the handle of a norm that takes its statistics from the values: five for each with weights, else four."""
    return lambda arguments, _: int(arguments[0].numel() * (5 - (arguments[weights] is None)))


NORMS: dict[str, Handle] = {
    "aten::native_batch_norm": _stored_norm,
    "aten::cudnn_batch_norm": _stored_norm,
    "aten::native_layer_norm": _fresh_norm(2),
    "aten::native_group_norm": _fresh_norm(1),
}
"""Norm layers, charged as fvcore does, for figures that count them."""

NOT_COUNTED = {
    f"aten::{name}"
    for names in (
        "_native_batch_norm_legit_no_training _fused_rms_norm _weight_norm_interface linalg_vector_norm renorm",
        "_softmax _log_softmax _safe_softmax logsumexp cumsum",
        "hardswish sum mean amax amin max min var std var_mean std_mean prod argmax argmin norm all any count_nonzero topk sort",
        "max_pool2d_with_indices avg_pool2d avg_pool1d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d",
        "adaptive_max_pool2d max_pool3d_with_indices",
        "upsample_linear1d upsample_trilinear3d upsample_nearest3d",
        "upsample_nearest1d upsample_nearest2d upsample_bilinear2d upsample_bicubic2d _upsample_nearest_exact2d",
        "_upsample_bilinear2d_aa _upsample_bicubic2d_aa grid_sampler_2d",
        "clone copy _to_copy lift_fresh lift detach contiguous _reshape_copy",
        "_unsafe_view unsafe_split unsafe_split_with_sizes unsafe_chunk split_with_sizes_copy as_strided",
        "cat stack constant_pad_nd reflection_pad2d replication_pad2d roll flip repeat im2col col2im pixel_shuffle pixel_unshuffle",
        "channel_shuffle native_channel_shuffle index index_put index_select index_fill index_copy gather scatter scatter_add",
        "masked_fill masked_scatter where nonzero tril triu embedding one_hot select_scatter slice_scatter unfold",
        "arange linspace zeros ones full empty empty_strided empty_like zeros_like ones_like full_like new_empty new_full",
        "new_zeros new_ones new_empty_strided scalar_tensor eye fill zero rand randn rand_like bernoulli native_dropout",
        "normal uniform exponential cauchy geometric log_normal random randint randperm poisson multinomial",
        "cumprod index_add index_reduce scatter_reduce resize",
        "_local_scalar_dense item equal is_same_size _fused_sdp_choice meshgrid searchsorted bucketize unique",
        "_assert_async _assert_tensor_metadata",
    )
    for name in names.split()
}
"""Norms other than those above, activations over a dimension, pooling, resizing, and everything that moves or makes values."""


def multiply_adds(operator: Any, arguments: Sequence[Any], result: Any, norms: bool = False) -> int:
    """Count one call of an operator (torch._ops.OpOverload).

    Parameters
    ----------
    operator, arguments, result
        What torch's dispatcher ran, on what, and what came of it.
    norms
        Count norm layers too, as published figures of other counters do.

    Raises
    ------
    InputError
        Where the operator is in no table, so that it might multiply.
    """
    name: str = operator._schema.name
    for same in (name, name.removesuffix("_")):  # an operator that works in place has an underscore more
        if same in MULTIPLYING:
            return MULTIPLYING[same](arguments, result)
        if same in NORMS:
            return NORMS[same](arguments, result) if norms else 0
        if same in NOT_COUNTED or any(map(_moves_or_maps, _forms(same))):
            return 0
    if name.startswith("profiler::"):  # the name of what runs, not a part of it
        return 0
    raise InputError(f"the operator {name} is in no table of those that multiply and those that do not")


def _forms(name: str) -> list[Any]:
    """Every form of an operator; torch tags some of them and not others."""
    space, _, short = name.partition("::")
    packet = getattr(getattr(torch.ops, space), short, None)
    return [] if packet is None else [getattr(packet, form) for form in packet.overloads()]


def _moves_or_maps(operator: Any) -> bool:
    """Whether an operator gives another view of a tensor, in place or not, or works on each value alone."""
    return operator.is_view or bool({torch.Tag.pointwise, torch.Tag.inplace_view} & set(operator.tags))
