"""Small image folders and tars for tests."""

import io
import tarfile

import numpy as np
from PIL import Image


def picture(seed, size=(8, 8)):
    """A picture that no other seed gives."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def encoded(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def folder(root, counts, size=(8, 8)):
    """A folder of pictures: `counts` images a class, named by class and number."""
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.png").write_bytes(encoded(picture(1000 * place + number, size)))
    return str(root)


def tar(file, members):
    """A tar of the given (name, bytes)."""
    with tarfile.open(file, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(file)
