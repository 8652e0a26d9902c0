import numpy as np
import pytest
from PIL import Image

from duo_core.common.arrays import InputError
from duo_core.images.corruptions import CORRUPTIONS, Corruption


def picture(side, seed=0):
    """A picture with detail at every scale, as photographs have."""
    draw = np.random.default_rng(seed)
    values = np.full((side, side, 3), 110.0)
    for cells, height in ((3, 30), (5, 24), (11, 16), (23, 10), (side * 2 // 3, 8)):
        coarse = Image.fromarray(draw.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        values += (np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) / 127.5 - 1) * height * 1.5
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def distance(one, other):
    return np.abs(np.asarray(one, float) - np.asarray(other, float)).mean()


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("side", [32, 128])
def test_a_higher_severity_changes_more(kind, side):
    image = picture(side)
    distances = [distance(image, Corruption(kind, severity)(image, "a")) for severity in range(1, 6)]
    assert distances[0] > 0
    assert distances == sorted(distances)
    assert distances[4] > 1.2 * distances[0]


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("size", [(32, 32), (40, 25), (130, 90), (1, 1)])
def test_the_result_is_rgb_of_the_same_size_and_the_same_each_time(kind, size):
    image = picture(130).crop((0, 0, *size))
    before = image.tobytes()
    first, second = (Corruption(kind, 3)(image, "a") for _ in range(2))
    assert (first.mode, first.size) == ("RGB", size)
    assert first.tobytes() == second.tobytes()
    assert image.tobytes() == before


def test_noise_depends_on_the_image_id_and_has_the_stated_deviation():
    image = Image.new("RGB", (256, 256), (128, 128, 128))
    noise = Corruption("gaussian_noise", 1)
    assert noise(image, "a").tobytes() != noise(image, "b").tobytes()
    assert np.asarray(noise(image, "a"), float).std() / 255 == pytest.approx(0.08, rel=0.01)
    assert np.asarray(noise(image.resize((64, 64)), "a"), float).std() / 255 == pytest.approx(0.04, rel=0.03)


def test_contrast_by_hand():
    image = Image.fromarray(np.array([[[0, 0, 0], [200, 100, 50]]], np.uint8))
    # means 100, 50, 25; factor 0.5 on a small image
    assert np.asarray(Corruption("contrast", 2)(image, "a")).tolist() == [[[50, 25, 12], [150, 75, 38]]]


def test_brightness_keeps_hue_and_saturation():
    image = Image.fromarray(np.array([[[0, 0, 0], [100, 50, 0], [255, 0, 0]]], np.uint8))
    # 0.2 of 255 is 51: black becomes grey, V 100 becomes 151, V 255 stays
    assert np.asarray(Corruption("brightness", 4)(image, "a")).tolist() == [[[51, 51, 51], [151, 76, 0], [255, 0, 0]]]


def test_pixelate_makes_blocks():
    image = picture(128)
    half = np.asarray(Corruption("pixelate", 2)(image, "a"))
    assert half.shape == (128, 128, 3)
    quarter = np.asarray(Corruption("pixelate", 5)(image, "a")).reshape(32, 4, 32, 4, 3)
    assert (quarter == quarter[:, :1, :, :1]).all()
    assert not (half.reshape(32, 4, 32, 4, 3) == half.reshape(32, 4, 32, 4, 3)[:, :1, :, :1]).all()


def test_parse():
    assert Corruption.parse("gaussian_blur:5") == Corruption("gaussian_blur", 5)
    assert str(Corruption("jpeg", 2)) == "jpeg:2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fog:3", "expected one of the corruptions gaussian_noise, gaussian_blur, contrast, brightness, jpeg, pixelate, got 'fog'"),
        ("jpeg:6", "expected a severity from 1 to 5 for the corruption 'jpeg', got 6"),
        ("jpeg", "expected KIND:SEVERITY such as gaussian_noise:3 for a corruption, got 'jpeg'"),
        ("jpeg:-1", "expected KIND:SEVERITY such as gaussian_noise:3 for a corruption, got 'jpeg:-1'"),
    ],
)
def test_what_is_not_a_corruption_is_refused(text, message):
    with pytest.raises(InputError) as caught:
        Corruption.parse(text)
    assert str(caught.value) == message
