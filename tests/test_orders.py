"""Which folder is which class, in every order, and a word where orders differ."""

from itertools import permutations

import pytest
from pictures import encoded, folder, picture, tar

from duo_core.common.arrays import InputError
from duo_core.images import open_source, orders
from duo_core.images.orders import numbered
from duo_core.images.splits import splits


def refused(text, **options):
    with pytest.raises(InputError) as caught:
        open_source(str(text), **options)
    return str(caught.value)


def of(tmp_path, *names):
    return folder(tmp_path / "x", dict.fromkeys(names, 1))


ORDERS = {
    # names: (natural, text)
    "a2 a10 a1": ("a1 a2 a10", "a1 a10 a2"),
    "b B a A": ("A a B b", "A B a b"),
    "Zebra ant": ("ant Zebra", "Zebra ant"),
    "x01 x1 x001 x2": ("x001 x01 x1 x2", "x001 x01 x1 x2"),
    "1 01 001": ("001 01 1", "001 01 1"),
    "fold_9 fold_10 fold_09": ("fold_09 fold_9 fold_10", "fold_09 fold_10 fold_9"),
    "é e f": ("e f é", "e f é"),
    "٣ ١٠ x": ("٣ ١٠ x", "x ١٠ ٣"),
    "² 2 a": ("2 a ²", "2 a ²"),
}


@pytest.mark.parametrize("names", ORDERS)
def test_natural_and_text_order_are_timms_and_torchvisions(tmp_path, names):
    natural, text = ORDERS[names]
    root = of(tmp_path, *names.split())
    assert open_source(root, "natural").classes == tuple(natural.split())
    assert open_source(root, "folders").classes == tuple(natural.split())
    from torchvision.datasets import ImageFolder

    assert open_source(root, "text").classes == tuple(text.split()) == tuple(ImageFolder(root).classes)


TIED = [("A", "a", "B", "b"), ("1", "01", "001"), ("x1", "X1", "x01"), ("é", "É")]


@pytest.mark.parametrize("names", TIED)
def test_names_that_tie_come_in_one_order_however_a_set_has_them(names):
    """A set of names has another order in every process."""
    found = {tuple(orders._orders(dict.fromkeys(given))["natural"]) for given in permutations(names)}
    assert found == {orders.numbered("x", names, "natural").classes}


def test_numbers_that_are_equal_are_two_classes(tmp_path):
    root = of(tmp_path, "1", "01", "001", "2")
    source = open_source(root)
    assert (source.classes, source.order) == (("001", "01", "1", "2"), "natural")
    assert refused(root, class_index="numeric") == (
        f"expected folders of '{root}' named by the class index, got '001' and '01' for one; number them natural"
    )


@pytest.mark.parametrize("name", ["12345678901234567890", "²", "٣", "-1", "1.5", "1 "])
def test_what_is_no_class_index_is_said(tmp_path, name):
    root = of(tmp_path, "0", name)
    assert open_source(root).order == "natural"
    assert f"got '{name}'" in refused(root, class_index="numeric")


@pytest.mark.parametrize(
    ("names", "used", "said", "other"),
    [
        ("a1 a2 a10", "auto", "in natural order: 0=a1, 1=a2, 2=a10; ", "text gives 0=a1, 1=a10, 2=a2"),
        ("a1 a2 a10", "text", "as torchvision's ImageFolder has it: 0=a1, 1=a10, 2=a2; ", "natural gives 0=a1, 1=a2, 2=a10"),
        ("0 1 2 3 4 5 6 7 8 9 10", "auto", "by their folders' names: 0=0, 1=1, 2=2, ...; ", "text gives 0=0, 1=1, 2=10, ..."),
        ("b A a B", "auto", "in natural order: 0=A, 1=a, 2=B, ...; ", "text gives 0=A, 1=B, 2=a, ..."),
    ],
)
def test_the_order_is_said_where_orders_differ(tmp_path, names, used, said, other):
    (note,) = open_source(of(tmp_path, *names.split()), used).notes
    assert note.startswith("classes are numbered ")
    assert f"{said}--class-index {other}" in note


def test_nothing_is_said_where_orders_agree_or_indices_have_gaps(tmp_path):
    for number, names in enumerate([("cat", "dog"), ("0", "1", "2"), ("07", "3", "100"), ("n01440764", "n01443537")]):
        assert open_source(folder(tmp_path / str(number), dict.fromkeys(names, 1))).notes == ()


def test_other_orders_say_where_each_index_would_be(tmp_path):
    source = open_source(of(tmp_path, "0", "2", "10"))
    assert (source.order, source.classes) == ("numeric", None)
    assert source.others == {"natural": {0: 0, 2: 1, 10: 2}, "text": {0: 0, 2: 2, 10: 1}}


@pytest.mark.parametrize(
    ("content", "order"),
    [
        ('{"0": "dog", "1": "cat"}', ["cat", "dog"]),
        ("\ufeffdog\ncat\n", ["cat", "dog"]),
        ("dog\r\ncat\r\n", ["cat", "dog"]),
        ('["dog", "cat", "owl"]', ["cat", "dog"]),
    ],
)
def test_class_maps_in_the_forms_that_people_have(tmp_path, content, order):
    known = tmp_path / ("map.json" if content[0] in "{[" else "map.txt")
    known.write_bytes(content.encode())
    source = open_source(folder(tmp_path / "x", {"cat": 1, "dog": 1}), str(known))
    assert source.labels.tolist() == [1, 0]


def test_accents_as_macos_writes_them_are_the_same_names(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    known = tmp_path / "map.txt"
    known.write_text(f"tea\n{composed}\n", encoding="utf-8")
    assert open_source(folder(tmp_path / "x", {apart: 1, "tea": 1}), str(known)).labels.tolist() == [1, 0]
    one, other = (open_source(folder(tmp_path / part, {name: 2, "tea": 2})) for part, name in (("v", apart), ("t", composed)))
    assert set(splits({"val": one, "test": other})) == {"val", "test"}


def test_a_class_map_with_names_twice_or_unknown_ones_is_said(tmp_path):
    root, known = of(tmp_path, "cat", "dog", "owl"), tmp_path / "map.txt"
    known.write_text("cat\ncat\n")
    assert refused(root, class_index=str(known)) == (
        f"expected each class once in the class map '{known}', got 'cat' again; leave all but one out"
    )
    known.write_text("cat\nDog\n")
    assert refused(root, class_index=str(known)) == (
        f"expected the classes of '{root}' in the class map '{known}', which lacks 'dog', 'owl' (2 of 3); it has cat, Dog"
    )


@pytest.mark.parametrize("content", ['{"a": 1e99}', '{"a": 12345678901234567890}', '{"0": 1, "1": "b"}', "[" * 100_000])
def test_what_is_no_class_map_is_a_sentence(tmp_path, content):
    known = tmp_path / "map.json"
    known.write_text(content)
    assert "class map" in refused(of(tmp_path, "a"), class_index=str(known))


def test_a_dataset_keeps_its_own_order(tmp_path):
    text = f"torch/image_folder?root={of(tmp_path, 'a', 'b')}"
    assert refused(text, class_index="text") == (
        f"'{text}' numbers its classes itself, got --class-index text; leave it out, or name a folder"
    )


# --- folders above the classes ---------------------------------------------------------------------------------------


def tree(root, *places):
    for place in places:
        (root / place).mkdir(parents=True)
        (root / place / "1.png").write_bytes(encoded(picture(0)))
    return str(root)


@pytest.mark.parametrize(
    ("first", "second", "command"),
    [
        ("train", "test", "name one: --images test={}/test"),
        ("training", "validation", "name one: --images test={}/validation"),
        ("val", "test", "name each: --images val={0}/val test={0}/test"),
        ("Train", "Val", "name one: --images test={}/Val"),
        ("dev", "eval", "name each: --images val={0}/dev test={0}/eval"),
        ("train_set", "test_set", "name one: --images test={}/test_set"),
    ],
)
def test_a_folder_above_the_splits_is_refused_with_the_command(tmp_path, first, second, command):
    root = tree(tmp_path / "x", f"{first}/a", f"{first}/b", f"{second}/a", f"{second}/b")
    message = refused(root)
    one, other = sorted([first, second])
    assert message == (f"'{root}' has the folders '{one}' and '{other}', each with the same classes; {command.format(root)}")
    assert refused(root, class_folder="top") == message
    for word in message.partition("--images ")[2].split():
        assert open_source(word.partition("=")[2]).classes == ("a", "b")


def test_splits_that_differ_in_classes_or_lie_deeper_are_refused(tmp_path):
    assert "each with classes of its own; name each" in refused(tree(tmp_path / "x", "val/a", "test/b"))
    assert "--images test=" in refused(tree(tmp_path / "y", "data/train/a", "data/test/a"))
    assert "--images test=" in refused(tree(tmp_path / "z", "train/a", "test"))
    spaced = tree(tmp_path / "my pets", "train/a", "test/a")
    assert refused(spaced).endswith(f"name one: --images 'test={spaced}/test'")


def test_a_tar_of_splits_is_refused(tmp_path):
    members = [f"pets/{split}/{name}/1.png" for split in ("train", "test") for name in "ab"]
    text = tar(tmp_path / "x.tar", [(member, encoded(picture(0))) for member in members])
    assert refused(text) == (
        f"'{text}' has the folders 'test' and 'train', each with the same classes; "
        "name one: make a tar of 'pets/test' alone, or unpack it"
    )


def test_classes_called_as_splits_are_no_splits(tmp_path):
    assert open_source(tree(tmp_path / "x", "train", "car", "bus")).classes == ("bus", "car", "train")
    assert open_source(tree(tmp_path / "y", "test/a", "test/b")).classes == ("a", "b")


@pytest.mark.parametrize("branches", [("fold1", "fold2"), ("2019", "2020"), ("camera a", "camera b")])
def test_one_name_in_several_branches_is_refused_unless_it_is_said_what_a_class_is(tmp_path, branches):
    root = tree(tmp_path / "x", *(f"{branch}/{name}" for branch in branches for name in ("cat", "dog")))
    message = refused(root)
    assert message.startswith(f"'{root}' has 2 folders 'cat' ('{branches[0]}/cat', '{branches[1]}/cat'); name one: --images ")
    assert "--class-folder path" in message
    assert open_source(root, class_folder="top", class_index="natural").classes == branches
    expected = tuple(f"{branch}/{name}" for branch in branches for name in ("cat", "dog"))
    assert open_source(root, class_folder="path").classes == expected


def test_classes_of_nested_folders_are_said(tmp_path):
    source = open_source(tree(tmp_path / "x", "cats/siamese", "dogs/poodle"))
    assert source.classes == ("poodle", "siamese")
    (note,) = source.notes
    assert note == "classes are the innermost folders (poodle, siamese); --class-folder top takes the outermost (cats, dogs)"
    top = open_source(source.text, class_folder="top")
    assert (top.classes, top.labels.tolist(), top.notes) == (("cats", "dogs"), [0, 1], ())


def test_a_folder_around_all_classes_is_none(tmp_path):
    for how in ("leaf", "top", "path"):
        assert open_source(tree(tmp_path / how, "wrapped/again/a", "wrapped/again/b"), class_folder=how).classes == ("a", "b")


def test_numbering_names_what_it_used():
    assert numbered("x", ["b", "a"]).order == "natural"
    assert numbered("x", ["1", "0"]).order == "numeric"
    assert numbered("x", ["1", "0"], "text").order == "text"
