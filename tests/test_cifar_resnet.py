"""The CIFAR ResNets: shapes, parameters and the shortcut without parameters."""

import pytest
import torch

from duo_core.models.zoo.cifar_resnet import BasicBlock, CifarResNet


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269722), (32, 464154), (44, 658586), (56, 853018)])
def test_parameters_are_the_published_ones(depth, parameters):
    assert sum(p.numel() for p in CifarResNet(depth).parameters()) == parameters


@pytest.mark.parametrize("depth", [8, 14])
def test_shallower_ones_have_the_layers_of_their_name(depth):
    layers = [part for part in CifarResNet(depth).modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == depth


def test_a_network_half_as_wide_has_a_quarter_of_the_multiply_adds_in_its_blocks():
    wide, narrow = (sum(p.numel() for p in CifarResNet(8, width=width).layer3[0].conv2.parameters()) for width in (16, 8))
    assert wide == 4 * narrow
    assert CifarResNet(8, width=8)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_logits_have_a_column_a_class():
    assert CifarResNet(20, num_classes=7)(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_shortcut_takes_every_second_pixel_and_pads_a_quarter_of_the_width_on_either_side():
    block = BasicBlock(16, 32).eval()
    torch.nn.init.zeros_(block.conv2.weight)  # leaves the shortcut alone
    features = torch.rand(1, 16, 8, 8)
    result = block(features)
    assert torch.equal(result[:, 8:24], features[:, :, ::2, ::2])
    assert not result[:, :8].any()
    assert not result[:, 24:].any()
