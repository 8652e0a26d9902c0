"""The duo as a module: from images of any form to the same answers as the reduction of a logit set gives."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture
from tiny import AS_IS, LARGER, ON_DEVICE, network

from duo_core.common.arrays import InputError
from duo_core.deploy import Duo, Member
from duo_core.deploy.run import pixels
from duo_core.models.transforms import INTERPOLATIONS, Transform
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.pair_predicting import variant_predictions

WEIGHTS = Temperatures(1.3, 0.4)
FIT = Fit(WEIGHTS, Temperatures(1.0, 1.0), {}, 0.0, 0)


def duo(base=AS_IS, sidekick=LARGER, **options):
    return Duo([Member(network(3, 0), base), Member(network(3, 1), sidekick)], WEIGHTS, **options).eval()


def one_by_one(member, images):
    """Logits by the plainest way."""
    return torch.cat([member.module(member.transform.batch(member.transform.pixels(image)[None])) for image in images])


@pytest.fixture
def images():
    return [picture(seed) for seed in range(5)]


@torch.inference_mode()
def test_every_member_sees_the_images_through_its_own_transform(images):
    found = duo()
    answer = found(images)
    expected = 1.3 * one_by_one(found.members[0], images).double() + 0.4 * one_by_one(found.members[1], images).double()
    torch.testing.assert_close(answer.logits, expected, rtol=0, atol=1e-5)
    assert answer.logits.shape == (5, 3)
    assert torch.equal(answer.predicted, expected.argmax(1))
    assert answer.abstain is None


@torch.inference_mode()
def test_an_image_is_the_same_in_every_form(images):
    found, arrays = duo(sidekick=ON_DEVICE), [np.asarray(image) for image in images]
    tensors = [torch.from_numpy(array.copy()).permute(2, 0, 1) for array in arrays]
    expected = found(images)
    for form in (arrays, tensors, torch.stack(tensors), torch.stack(tensors) / 255, torch.stack(tensors).double() / 255):
        answer = found(form)
        for own, other in zip(answer[:3], expected[:3], strict=True):
            assert torch.equal(own, other)


@torch.inference_mode()
def test_images_of_any_sizes_go_together():
    found, sizes = duo(LARGER, ON_DEVICE), [picture(seed, size) for seed, size in enumerate([(9, 30), (30, 9), (12, 12)])]
    together = found(sizes).logits
    torch.testing.assert_close(together, torch.cat([found([image]).logits for image in sizes]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "entropy"])
@pytest.mark.parametrize("variant", ["duo", "uq_only"])
@pytest.mark.parametrize("scale", [1, 30, 100])
def test_answers_are_those_of_the_reduction(variant, kind, scale):
    random = torch.Generator().manual_seed(3)
    base, sidekick = (scale * torch.randn(200, 7, generator=random) for _ in range(2))
    base[:20] = base[:20].round()
    sidekick[:20] = 0.0
    labels = torch.randint(7, (200,), generator=random)
    expected = variant_predictions(base, sidekick, labels, FIT, variants=[variant], kind=kind)[variant]
    answer = duo(says=0 if variant == "uq_only" else None, kind=kind).answer(base, sidekick)
    assert answer.predicted.tolist() == expected.predicted.tolist()
    np.testing.assert_allclose(answer.uncertainty.numpy(), expected.uncertainty, rtol=1e-9, atol=1e-300)
    assert len(set(expected.uncertainty.tolist())) > 150  # not saturated: the comparison says something


def test_it_abstains_above_the_threshold_and_where_there_is_no_number():
    base = torch.tensor([[9.0, 0, 0], [0.1, 0, 0], [1.0, 0, 0], [torch.nan, 0, 0]])
    found = duo(threshold=0.5)
    found.threshold = found.answer(base, base).uncertainty[2].item()
    assert found.answer(base, base).abstain.tolist() == [False, True, False, True]
    found.threshold = None
    assert found.answer(base, base).abstain is None


@pytest.mark.parametrize(
    ("given_images", "complaint"),
    [
        ([], "expected at least one image, got none"),
        (
            torch.full((1, 3, 8, 8), -2.5),
            r"expected pixels in \[0, 1\] or uint8, got torch.float32 from -2.5 to -2.5; .* normalises",
        ),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "or uint8, got torch.int64"),
        (torch.zeros(3, 8, 8), r"got Tensor torch.float32 of shape \(8, 8\)"),
        ([np.zeros((8, 8, 3))], r"got ndarray float64 of shape \(8, 8, 3\)"),
        (["photo.jpg"], "got str"),
    ],
)
def test_what_is_no_image_is_named(given_images, complaint):
    with pytest.raises(InputError, match=complaint):
        duo()(given_images)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seen=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    resize=st.sampled_from(["none", "shorter", "exact"]),
    interpolation=st.sampled_from(sorted(INTERPOLATIONS)),
    crop=st.booleans(),
)
def test_the_folders_own_script_sees_the_same_pixels(size, seen, resize, interpolation, crop):
    how = {"none": None, "shorter": min(seen) + 2, "exact": (seen[0] + 1, seen[1] + 3)}[resize]
    if not crop:
        size, how = (size, seen) if resize == "exact" else (seen[::-1], None)
    transform = Transform((3, *seen), (0.5,) * 3, (0.5,) * 3, how, interpolation, crop)
    image = picture(1, size)
    assert np.array_equal(pixels(image, transform.to_dict()), transform.pixels(image).numpy())


def test_the_folders_own_script_leaves_resizing_on_the_device_to_the_graph():
    image = picture(1, (9, 5))
    assert np.array_equal(pixels(image, ON_DEVICE.to_dict()), ON_DEVICE.pixels(image).numpy())


def test_the_folders_own_script_refuses_what_the_transform_refuses():
    with pytest.raises(ValueError, match="expected images of 8 x 8 pixels, got 9 x 5"):
        pixels(picture(1, (9, 5)), AS_IS.to_dict())
