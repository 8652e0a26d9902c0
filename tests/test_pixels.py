"""Images of more than 8 bits are scaled, floats refused, and messages are the same in every run."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, folder, picture
from PIL import Image

from duo_core.deploy import run
from duo_core.images import UnreadableImageError, open_source
from duo_core.images.pixels import opened, rgb
from duo_core.models.transforms import Transform

VALUES = np.random.default_rng(0).integers(0, 65536, (6, 8), dtype=np.uint16)
EXPECTED = np.rint(VALUES / 257)


def stored(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(values, bits, photometric=1, order="<"):
    """A TIFF of one strip, written by hand: Pillow writes neither 12 bits nor white as zero."""
    height, width = values.shape
    if bits == 12:
        pairs = values.reshape(-1, 2).astype(np.uint32)
        packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1).astype(np.uint8)
    else:
        packed = values.astype(f"{order}u2")
    data = packed.tobytes()
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(data)),
    ]
    directory = struct.pack(f"{order}H", len(tags))
    for tag, value in tags:
        directory += struct.pack(f"{order}HHI", tag, 4, 1) + struct.pack(f"{order}I", value)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data)) + data + directory + bytes(4)


def png16(values):
    """A PNG of 16 bits and three channels, which Pillow reads and does not write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


DEEP = {
    "png": (stored(Image.fromarray(VALUES), "PNG"), 0),
    "tiff, little endian": (stored(Image.fromarray(VALUES), "TIFF"), 0),
    "tiff, big endian": (tiff(VALUES, 16, order=">"), 0),
    "tiff, white is zero": (tiff(65535 - VALUES, 16, photometric=0), 0),
    "tiff of 12 bits": (tiff(VALUES >> 4, 12), 1),
    "tiff of 32 bits": (stored(Image.fromarray(VALUES.astype(np.int32)), "TIFF"), 0),
    "jpeg 2000": (stored(Image.fromarray(VALUES), "JPEG2000"), 0),
    "pgm of 16 bits": (b"P5 8 6 65535\n" + VALUES.astype(">u2").tobytes(), 0),
    "pgm of 12 bits": (b"P5 8 6 4095\n" + (VALUES >> 4).astype(">u2").tobytes(), 1),
    "pgm of 10 bits": (b"P5 8 6 1023\n" + (VALUES >> 6).astype(">u2").tobytes(), 1),
    "png of three channels": (png16(np.stack([VALUES] * 3, 2)), 1),
}


@pytest.mark.parametrize("name", DEEP)
def test_images_of_more_than_8_bits_are_scaled(name):
    content, tolerance = DEEP[name]
    image = rgb(opened(content))
    assert image.mode == "RGB"
    for channel in np.moveaxis(np.asarray(image), 2, 0):
        assert np.abs(channel - EXPECTED).max() <= tolerance


@pytest.mark.parametrize("name", DEEP)
def test_a_transform_and_an_exported_duo_scale_them_too(name):
    transform = Transform((3, 6, 8), (0.5,) * 3, (0.5,) * 3, resize=None, crop=False)
    expected = np.asarray(rgb(opened(DEEP[name][0]))).transpose(2, 0, 1)
    assert np.array_equal(transform.pixels(opened(DEEP[name][0])).numpy(), expected)
    assert np.array_equal(run.pixels(opened(DEEP[name][0]), transform.to_dict()), expected)


@pytest.mark.parametrize("name", ["float.tif", "signed.tif", "large.tif"])
def test_an_exported_duo_refuses_what_has_no_stated_range(name):
    with pytest.raises(ValueError, match="save it with 8 or 16 bits"):
        run.rgb(opened(REFUSED[name][0]))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "La", "RGBa"])
def test_other_modes_are_as_pillow_converts_them(mode):
    image = picture(3)
    for step in {"La": ("LA", "La"), "RGBa": ("RGBA", "RGBa"), "PA": ("P", "PA")}.get(mode, (mode,)):
        image = image.convert(step)
    steps = {"La": ("LA", "RGB"), "RGBa": ("RGBA", "RGB")}.get(mode, ("RGB",))
    expected = image
    for step in steps:
        expected = expected.convert(step)
    assert rgb(image).tobytes() == expected.tobytes()


def test_a_palette_with_transparency_keeps_its_colours_without_a_warning():
    content = stored(picture(3).convert("P"), "PNG", transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = opened(content).convert("RGB").tobytes()
    assert rgb(opened(content)).tobytes() == expected


REFUSED = {
    "float.tif": (
        stored(Image.fromarray(VALUES.astype(np.float32)), "TIFF"),
        "it holds floating-point values (mode F), whose range",
    ),
    "float.pfm": (
        stored(Image.fromarray(VALUES.astype(np.float32)), "PPM"),
        "it holds floating-point values (mode F), whose range",
    ),
    "signed.tif": (stored(Image.fromarray(VALUES.astype(np.int32) - 9999), "TIFF"), "it holds whole numbers from -"),
    "large.tif": (stored(Image.fromarray(VALUES.astype(np.int32) * 9), "TIFF"), "(mode I), which are no pixels of 16 bits"),
    "empty.png": (b"", "the file is empty"),
    "junk.png": (b"junk" * 20, "its bytes are no image that Pillow knows"),
    "cut.jpg": (stored(picture(1, (64, 64)), "JPEG")[:700], "truncated"),
    "cut.png": (encoded(picture(1, (64, 64)))[:700], ""),
    "apple.png": (b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(60), "its bytes are no image that Pillow knows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named_with_a_reason_that_is_no_address(tmp_path, name):
    content, reason = REFUSED[name]
    text = folder(tmp_path / "x", {"a": 1})
    (tmp_path / "x" / "a" / name).write_bytes(content)
    source = open_source(text)
    with pytest.raises(UnreadableImageError) as caught:
        source.image(source.ids.index(f"a/{name}"))
    assert str(caught.value).startswith(f"the image 'a/{name}' of '{text}' cannot be read (")
    assert reason in str(caught.value)
    assert "0x" not in str(caught.value)
    assert "<" not in str(caught.value)


def test_a_file_that_is_gone_is_named(tmp_path):
    source = open_source(folder(tmp_path / "x", {"a": 1}))
    Path(source.text, "a/0.png").unlink()
    with pytest.raises(UnreadableImageError, match=r"cannot be read \(No such file or directory\)"):
        source.image(0)


@pytest.mark.parametrize("shift", [4, 6, 8])
def test_images_of_16_bits_that_hold_fewer_are_said(tmp_path, shift):
    text = folder(tmp_path / "x", {"a": 1})
    for number in range(40):
        (tmp_path / "x" / "a" / f"{number}.png").write_bytes(stored(Image.fromarray(VALUES >> shift), "PNG"))
    (note,) = open_source(text).notes
    assert note.startswith(f"images of '{text}' are stored with 16 bits, but none of ")
    (tmp_path / "x" / "a" / "0.png").write_bytes(stored(Image.fromarray(VALUES), "PNG"))
    assert open_source(text).notes == ()


def test_a_dataset_of_torchvision_reads_16_bits_too(tmp_path):
    (tmp_path / "x" / "a").mkdir(parents=True)
    (tmp_path / "x" / "a" / "1.png").write_bytes(stored(Image.fromarray(VALUES), "PNG"))
    image = open_source(f"torch/image_folder?root={tmp_path / 'x'}").image(0)
    assert np.array_equal(np.asarray(image)[..., 0], EXPECTED)
