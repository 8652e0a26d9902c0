"""Transform: the same tensors as torchvision's presets and timm's own evaluation transforms."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from duo_core.common.arrays import InputError
from duo_core.models.transforms import INTERPOLATIONS, Transform

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SIZES = [(40, 40), (61, 40), (40, 67), (33, 90), (20, 17), (45, 20)]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def applied(transform: Transform, image: Image.Image) -> torch.Tensor:
    return transform.batch(transform.pixels(image)[None])[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("resize", "crop"), [(36, 32), (32, 32), (33, 32), (30, 32), (37, 24)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_equals_torchvision_preset(size, resize, crop, interpolation):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    preset = ImageClassification(crop_size=crop, resize_size=resize, interpolation=InterpolationMode(interpolation))
    ours = Transform((3, crop, crop), **IMAGENET, resize=resize, interpolation=interpolation)
    assert torch.equal(applied(ours, picture(*size)), preset(picture(*size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
def test_equals_timm_centre_crop(size, interpolation):
    from timm.data import create_transform

    theirs = create_transform((3, 32, 32), crop_pct=0.9, interpolation=interpolation, mean=IMAGENET["mean"], std=IMAGENET["std"])
    ours = Transform((3, 32, 32), **IMAGENET, resize=35, interpolation=interpolation)
    assert torch.equal(applied(ours, picture(*size)), theirs(picture(*size)))


@pytest.mark.parametrize("size", SIZES)
def test_equals_timm_squash(size):
    from timm.data import create_transform

    theirs = create_transform((3, 32, 32), crop_pct=0.9, crop_mode="squash", interpolation="bicubic")
    ours = Transform((3, 32, 32), **IMAGENET, resize=(35, 35), interpolation="bicubic")
    assert torch.equal(applied(ours, picture(*size)), theirs(picture(*size)))


def test_resize_without_antialiasing_is_done_on_the_normalised_batch():
    ours = Transform((3, 64, 64), **IMAGENET, resize=(64, 64), crop=False, antialias=False)
    pixels = torch.stack([ours.pixels(picture(32, 32, seed)) for seed in range(3)])
    assert pixels.shape == (3, 3, 32, 32)
    mean, std = (torch.tensor(IMAGENET[key]).view(3, 1, 1) for key in ("mean", "std"))
    by_hand = functional.interpolate((pixels / 255 - mean) / std, size=(64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(ours.batch(pixels), by_hand)


@pytest.mark.shared
def test_recipe_of_the_cifar_zoo(shared):
    import io
    import tarfile

    with tarfile.open(shared / "images" / "cifar10-val.tar") as tar:
        member = next(m for m in tar if m.isfile())
        image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
    ours = Transform((3, 64, 64), **IMAGENET, resize=(64, 64), crop=False, antialias=False)
    values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(IMAGENET[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    recipe = functional.interpolate((values - mean) / std, size=64, mode="bilinear", align_corners=False)
    torch.testing.assert_close(applied(ours, image), recipe[0])


def test_pixels_are_bytes_and_batches_are_channels_last():
    ours = Transform((3, 24, 32), **IMAGENET, resize=(30, 40))
    pixels = ours.pixels(picture(50, 50))
    assert (pixels.dtype, tuple(pixels.shape)) == (torch.uint8, (3, 24, 32))
    batch = ours.batch(torch.stack([pixels, pixels]))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_images_of_other_modes_are_read_as_rgb(mode):
    image = picture(40, 40).convert(mode)
    ours = Transform((3, 32, 32), **IMAGENET, resize=32)
    assert torch.equal(ours.pixels(image), ours.pixels(image.convert("RGB")))


def test_an_image_of_the_wrong_size_is_refused_where_nothing_resizes():
    ours = Transform((3, 32, 32), **IMAGENET, resize=None, crop=False)
    assert ours.pixels(picture(32, 32)).shape == (3, 32, 32)
    with pytest.raises(InputError, match=r"expected images of 32 x 32 pixels .* got 20 x 40; give the transform a resize"):
        ours.pixels(picture(40, 20))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("resize", [None, 40, (40, 50)])
def test_record_survives_json(resize, interpolation):
    ours = Transform((3, 32, 48), **IMAGENET, resize=resize, interpolation=interpolation)
    assert Transform.from_dict(json.loads(json.dumps(ours.to_dict()))) == ours


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 32}, "expected the keys input_size, mean, .* in a transform, got 'size'"),
        ({"input_size": [32, 32]}, r"input_size \(3, height, width\), got \(32, 32\)"),
        ({"input_size": [1, 32, 32]}, r"got \(1, 32, 32\)"),
        ({"input_size": "32"}, "got '32'"),
        ({"mean": [0.5, 0.5]}, r"mean of three numbers, got \(0.5, 0.5\)"),
        ({"mean": [0.5, 0.5, "x"]}, "mean of three numbers"),
        ({"std": [0.5, 0.5, 0]}, "std of three numbers above 0"),
        ({"resize": 0}, "resize of a positive integer"),
        ({"resize": True}, "resize of a positive integer"),
        ({"resize": [1, 2, 3]}, "resize of a positive integer"),
        ({"interpolation": "cubic"}, "interpolation nearest, bilinear, .*, got 'cubic'"),
        ({"interpolation": ["bicubic"]}, "interpolation nearest, bilinear"),
        ({"crop": 1}, "crop true or false, got 1"),
        ({"antialias": "no"}, "antialias true or false, got 'no'"),
        ({"antialias": False}, "crop false and resize .* where antialias is false"),
        ({"crop": False}, r"resize \(32, 32\) like its input_size where crop is false, got 40"),
        ({"crop": False, "resize": [32, 32], "antialias": False, "interpolation": "box"}, "where antialias is false, got 'box'"),
    ],
)
def test_wrong_records_are_refused_in_one_sentence(change, message):
    record = Transform((3, 32, 32), **IMAGENET, resize=40).to_dict()
    with pytest.raises(InputError, match=message):
        Transform.from_dict({**record, **change})


def test_missing_keys_are_named_unless_there_is_a_default():
    with pytest.raises(InputError, match="got one without std, resize"):
        Transform.from_dict({"input_size": [3, 32, 32], "mean": [0, 0, 0]})
    default = Transform((3, 224, 224), **IMAGENET, resize=256, interpolation="bicubic")
    assert Transform.from_dict({"mean": [0.5, 0.5, 0.5]}, default) == Transform(
        (3, 224, 224), (0.5,) * 3, IMAGENET["std"], resize=256, interpolation="bicubic"
    )


def test_another_input_size_resizes_in_proportion():
    default = Transform((3, 224, 224), **IMAGENET, resize=256)
    assert Transform.from_dict({"input_size": [3, 112, 112]}, default).resize == 128
    assert Transform.from_dict({"input_size": [3, 112, 112], "resize": 112}, default).resize == 112
    squashed = Transform((3, 224, 224), **IMAGENET, resize=(224, 224), crop=False)
    assert squashed.at(160, 192) == Transform((3, 160, 192), **IMAGENET, resize=(160, 192), crop=False)
    assert Transform((3, 32, 32), **IMAGENET, resize=None, crop=False).at(48, 48).resize is None
