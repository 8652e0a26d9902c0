import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import encoded, folder, picture, tar
from PIL import Image

from duo_core.common.arrays import InputError
from duo_core.images import UnreadableImageError, open_source


def refused(text, **options):
    with pytest.raises(InputError) as caught:
        open_source(str(text), **options)
    return str(caught.value)


def test_folders_are_numbered_in_natural_order(tmp_path):
    source = open_source(folder(tmp_path / "x", {"img10": 1, "img2": 2, "Ant": 1}))
    assert source.classes == ("Ant", "img2", "img10")
    assert list(zip(source.ids, source.labels.tolist(), strict=True)) == [
        ("Ant/0.png", 0),
        ("img2/0.png", 1),
        ("img2/1.png", 1),
        ("img10/0.png", 2),
    ]
    assert source.labels.dtype == torch.int64
    assert source.order == "natural"


def test_an_image_is_decoded_to_rgb(tmp_path):
    text = folder(tmp_path / "x", {"a": 1, "b": 1})
    Image.new("L", (4, 4), 7).save(tmp_path / "x" / "b" / "grey.png")
    source = open_source(text)
    assert np.array_equal(source.image(0), picture(0))
    assert source.image(source.ids.index("b/grey.png")).getpixel((0, 0)) == (7, 7, 7)


def test_folders_named_by_numbers_are_the_class_indices_gaps_and_all(tmp_path):
    source = open_source(folder(tmp_path / "x", {"0003": 1, "0010": 2, "999": 1}))
    assert source.labels.tolist() == [3, 10, 10, 999]
    assert (source.classes, source.order) == (None, "numeric")


def test_unpadded_numbers_are_not_sorted_as_strings(tmp_path):
    source = open_source(folder(tmp_path / "x", {str(number): 1 for number in range(12)}))
    by_id = dict(zip(source.ids, source.labels.tolist(), strict=True))
    assert by_id == {f"{number}/0.png": number for number in range(12)}


def test_numbering_by_place_can_be_asked_for(tmp_path):
    text = folder(tmp_path / "x", {"3": 1, "10": 1})
    assert open_source(text, "folders").labels.tolist() == [0, 1]
    assert open_source(text, "folders").classes == ("3", "10")


@pytest.mark.parametrize(
    ("name", "content", "classes"),
    [
        ("map.txt", "dog\ncat\n\n", ("dog", "cat")),
        ("map.json", '["dog", "cat"]', ("dog", "cat")),
        ("map.json", '{"cat": 1, "dog": 0}', ("dog", "cat")),
        ("map.json", '{"cat": 1, "dog": 0, "hound": 0, "owl": 2}', ("dog", "cat", "owl")),
    ],
)
def test_a_class_map_numbers_the_folders(tmp_path, name, content, classes):
    (tmp_path / name).write_text(content)
    source = open_source(folder(tmp_path / "x", {"cat": 2, "dog": 1}), str(tmp_path / name))
    assert source.labels.tolist() == [1, 1, 0]
    assert (source.classes, source.order) == (classes, "map")


def test_a_class_map_with_gaps_leaves_names_open(tmp_path):
    (tmp_path / "map.json").write_text('{"cat": 281, "dog": 207}')
    source = open_source(folder(tmp_path / "x", {"cat": 1, "dog": 1}), str(tmp_path / "map.json"))
    assert source.labels.tolist() == [281, 207]
    assert source.classes is None


def test_a_tar_reads_as_its_folder_does(tmp_path):
    members = [(f"./{name}/{n}.png", encoded(picture(10 * k + n))) for k, name in enumerate(["b", "a"]) for n in range(3)]
    source = open_source(tar(tmp_path / "x.tar", [*members, ("./readme.txt", b"hello")]))
    assert source.ids == ("a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png")
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1]
    for row, seed in enumerate([10, 11, 12, 0, 1, 2]):
        assert np.array_equal(source.image(row), picture(seed))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_a_tar_of_tars_reads_each_image_where_it_lies(tmp_path):
    inner = [tar(tmp_path / f"{name}.tar", [("0.png", encoded(picture(seed)))]) for seed, name in enumerate(["a", "b"])]
    members = [(f"{name}.tar", Path(file).read_bytes()) for name, file in zip("ab", inner, strict=True)]
    source = open_source(tar(tmp_path / "x.tar", members))
    assert source.ids == ("a.tar/0.png", "b.tar/0.png")
    assert source.classes == ("a", "b")
    assert np.array_equal(source.image(1), picture(1))


def test_a_source_goes_to_another_process_after_it_was_read(tmp_path):
    source = open_source(tar(tmp_path / "x.tar", [("a/0.png", encoded(picture(5)))]))
    source.image(0)
    assert np.array_equal(pickle.loads(pickle.dumps(source)).image(0), picture(5))


def test_an_unreadable_image_is_named_and_no_other_takes_its_place(tmp_path):
    text = folder(tmp_path / "x", {"a": 2})
    (tmp_path / "x" / "a" / "0.png").write_bytes(encoded(picture(0))[:60])
    source = open_source(text)
    with pytest.raises(UnreadableImageError, match=rf"^the image 'a/0.png' of '{text}' cannot be read \(.+\); replace it or "):
        source.image(0)
    assert np.array_equal(source.image(1), picture(1))


def test_a_dataset_of_torchvision(tmp_path):
    text = folder(tmp_path / "x", {"cat": 1, "dog": 2})
    source = open_source(f"torch/image_folder?root={text}")
    assert (source.classes, source.labels.tolist(), source.ids) == (("cat", "dog"), [0, 1, 1], ("000000", "000001", "000002"))
    assert np.array_equal(source.image(2), picture(1001))
    assert source.order == "dataset"


class HubReader:
    """What timm gives for a dataset of the hub."""

    class_to_idx = {"no": 0, "yes": 1}  # noqa: RUF012

    def iter_targets(self):
        yield from [1, 0]

    def __getitem__(self, row):
        return io.BytesIO(encoded(picture(row))), [1, 0][row]


def test_a_dataset_of_the_hub(monkeypatch):
    class Dataset:
        reader = HubReader()

        def __len__(self):
            return 2

    asked = {}
    monkeypatch.setattr("timm.data.create_dataset", lambda name, **options: asked.update(options, name=name) or Dataset())
    source = open_source("hfds/owner/set?split=test[:2]&target_key=fine")
    assert asked == {"name": "hfds/owner/set", "split": "test[:2]", "target_key": "fine", "download": False}
    assert (source.labels.tolist(), source.classes) == ([1, 0], ("no", "yes"))
    assert np.array_equal(source.image(1), picture(1))


def test_a_missing_path_is_said(tmp_path):
    path = tmp_path / "none"
    assert refused(path) == f"expected a folder or a .tar file of images, got '{path}', which does not exist"


def test_a_file_that_is_no_tar_is_said(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    assert refused(tmp_path / "x.zip") == f"expected a folder or a .tar file of images, got the file '{tmp_path}/x.zip'"


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100])
def test_an_unreadable_tar_is_said(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    assert refused(tmp_path / "x.tar").startswith(f"'{tmp_path}/x.tar' cannot be read as a tar file (")


def test_a_truncated_tar_is_said(tmp_path):
    text = tar(tmp_path / "x.tar", [(f"a/{n}.png", encoded(picture(n, (64, 64)))) for n in range(3)])
    content = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(content[:20000])
    assert refused(text).startswith(f"'{text}' cannot be read as a tar file (")


def test_an_empty_folder_and_an_empty_tar_are_said(tmp_path):
    (tmp_path / "x" / "a").mkdir(parents=True)
    expected = "expected images (.png, .jpg, .tif, .webp, ...) in '{}', found none{}"
    assert refused(tmp_path / "x") == expected.format(tmp_path / "x", " but 1 folder without images (a)")
    text = tar(tmp_path / "y.tar", [("a/readme.txt", b"")])
    assert refused(text) == expected.format(text, " but 1 file of other kinds (.txt 1)")
    assert refused(tar(tmp_path / "z.tar", [])) == expected.format(tmp_path / "z.tar", "")


def test_images_outside_class_folders_are_said(tmp_path):
    text = folder(tmp_path / "x", {"a": 1})
    for place in ("p.png", "q.png"):
        (tmp_path / "x" / place).write_bytes(encoded(picture(0)))
    assert refused(text) == f"expected one folder a class in '{text}', got 2 images in none, such as 'p.png'"
    flat = tar(tmp_path / "x.tar", [("./p.png", encoded(picture(0)))])
    assert refused(flat) == f"expected one folder a class in '{flat}', got 1 images in none, such as 'p.png'"


def test_a_class_that_the_map_lacks_is_said(tmp_path):
    text, known = folder(tmp_path / "x", {"cat": 1, "dog": 1}), tmp_path / "map.txt"
    known.write_text("cat\n")
    assert (
        refused(text, class_index=str(known))
        == f"expected the classes of '{text}' in the class map '{known}', which lacks 'dog'; it has cat"
    )


@pytest.mark.parametrize("content", ['{"cat": "0"}', "{}", "3", '{"cat": -1}', '{"cat": true}'])
def test_what_is_no_class_map_is_said(tmp_path, content):
    known = tmp_path / "map.json"
    known.write_text(content)
    message = refused(folder(tmp_path / "x", {"cat": 1}), class_index=str(known))
    assert message == f"expected a class map of names, or of name -> index from 0, in '{known}'"


def test_a_class_map_that_cannot_be_read_is_said(tmp_path):
    text = folder(tmp_path / "x", {"cat": 1})
    (tmp_path / "map.json").write_text("[")
    for file in ("nowhere.txt", str(tmp_path / "map.json"), "alphabetical"):
        message = refused(text, class_index=file)
        expected = f"expected auto, natural, text, numeric or a class map (.txt, .json) that can be read, got '{file}' ("
        assert message.startswith(expected)


def test_names_are_no_numbers(tmp_path):
    text = folder(tmp_path / "x", {"1": 1, "cat": 1})
    assert open_source(text).order == "natural"
    message = f"expected folders of '{text}' named by the class index, got 'cat'; number them natural"
    assert refused(text, class_index="numeric") == message


def test_one_image_twice_in_a_tar_is_said(tmp_path):
    text = tar(tmp_path / "x.tar", [("a/0.png", encoded(picture(n))) for n in range(2)])
    assert refused(text) == f"expected each image once in '{text}', got 'a/0.png' several times; make the tar again"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wds/x", "expected images that can be read in any order, got the stream 'wds/x'; use a folder, a tar or hfds/"),
        ("torch/cifar10", "expected 'torch/cifar10?root=FOLDER' with the folder that has the data, got 'torch/cifar10'"),
        (
            "torch/cifar10?root=x&shuffle=1",
            "expected the options root, split, download, input_key, target_key after '?' in 'torch/cifar10?root=x&shuffle=1', "
            "got 'shuffle'",
        ),
        (
            "torch/nothing?root=x",
            "'torch/nothing?root=x' cannot be opened (Unknown torchvision dataset nothing); check the name, split and root",
        ),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said(text, message):
    assert refused(text) == message


@pytest.mark.shared
def test_real_tars(shared):
    cifar = open_source(str(shared / "images" / "cifar10-test.tar"))
    assert (len(cifar), cifar.order, cifar.ids[0]) == (10_000, "natural", "airplane/aeroplane_s_000002.png")
    assert cifar.classes == ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert torch.bincount(cifar.labels).tolist() == [1000] * 10
    photographs = open_source(str(shared / "images" / "imagenet-like.tar"))
    assert (len(photographs), photographs.order, photographs.classes) == (1000, "numeric", None)
    assert all(int(name.split("/")[0]) == label for name, label in zip(photographs.ids, photographs.labels, strict=True))
    assert len(photographs.labels.unique()) == 430


def test_a_pickled_class_map_is_not_opened(tmp_path):
    (tmp_path / "map.pkl").write_bytes(pickle.dumps({"cat": 0}))
    message = refused(folder(tmp_path / "x", {"cat": 1}), class_index=str(tmp_path / "map.pkl"))
    assert message.startswith("expected auto, natural, text, numeric or a class map (.txt, .json) that can be read, got")
