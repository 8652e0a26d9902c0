"""Modules without their numbers: nothing allocated, nothing of the original touched."""

import pytest
import torch
from torch import nn

from duo_core.common.arrays import InputError
from duo_core.models.shapes import outline, output_shape, parameters_on_meta, stand_in


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).train()


def test_parameters_on_meta_ends_with_the_block():
    with parameters_on_meta():
        module = small()
    assert all(parameter.is_meta for parameter in module.parameters())
    assert not module[1].running_mean.is_meta
    assert not nn.Linear(2, 2).weight.is_meta


def test_outline_leaves_the_module_as_it_is():
    module = small()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    copied = outline(module)
    copied(torch.empty(1, 3, 9, 9, device="meta"))
    assert module.training
    assert not copied.training
    assert all(tensor.is_meta for tensor in copied.state_dict().values())
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_stand_in_shares_weights_but_not_flags_and_buffers():
    module = small()
    copied = stand_in(module)
    assert copied[0].weight is module[0].weight
    assert copied[1].running_mean is not module[1].running_mean
    assert module.training
    assert not copied.training


def test_stand_in_gives_zeros_to_shapes():
    with parameters_on_meta():
        module = nn.Linear(3, 2)
    assert torch.equal(stand_in(module)(torch.ones(1, 3)), torch.zeros(1, 2))


class NeedsNumbers(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, : int(images.sum()) + 7]  # a shape that depends on values


def test_output_shape_with_and_without_shape_rules():
    assert output_shape(small(), (3, 9, 9)) == (1, 5)
    assert output_shape(NeedsNumbers(), (3, 9, 9)) == (1, 7)
    assert output_shape(nn.ModuleDict({"never": nn.Linear(1, 1)}).apply(lambda _: None).never, (1, 1, 1)) == (1, 1, 1, 1)


class ReturnsTwo(nn.Module):
    def forward(self, images):
        return images, images


def test_normalisation_is_not_computed_for_a_shape(monkeypatch):
    monkeypatch.setattr(torch, "batch_norm", lambda *_: pytest.fail("it was computed"))
    assert output_shape(small(), (3, 9, 9)) == (1, 5)


def test_normalisation_of_other_channels_is_refused_though_it_is_not_computed():
    misfit = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5))
    with pytest.raises(InputError, match="expected a model that takes images of 9 x 9"):
        output_shape(misfit, (3, 9, 9))
    misfit[1].track_running_stats, misfit[1].running_mean = False, None  # those of the image
    with pytest.raises(InputError, match="expected a model that takes images of 9 x 9"):
        output_shape(misfit, (3, 9, 9))
    assert output_shape(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), (3, 9, 9)) == (1, 4, 7, 7)


def test_output_shape_of_what_is_no_tensor_is_empty():
    assert output_shape(ReturnsTwo(), (3, 2, 2)) == ()
