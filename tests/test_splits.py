from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import folder

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.corruptions import Corruption
from duo_core.images.draws import drawn
from duo_core.images.splits import fit_size, splits


@pytest.fixture
def source(tmp_path):
    return open_source(folder(tmp_path / "x", {"a": 6, "b": 3, "c": 1}))


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60), st.data(), st.integers(0, 3))
def test_the_draw_is_exact_disjoint_and_proportional(labels, data, seed):
    n = len(labels)
    size = data.draw(st.integers(1, n - 1))
    ids = [f"{row}.png" for row in range(n)]
    taken, left = drawn(labels, ids, size, seed)
    assert len(taken) == size
    assert sorted(taken + left) == list(range(n))
    assert (taken, left) == (sorted(taken), sorted(left))
    shares = Counter(labels[row] for row in taken)
    for label, count in Counter(labels).items():
        assert abs(shares[label] - size * count / n) < 1


def test_the_draw_depends_on_seed_and_ids_not_on_order():
    labels, ids = [row % 3 for row in range(60)], [f"{row}.png" for row in range(60)]
    chosen = {ids[row] for row in drawn(labels, ids, 20, 1)[0]}
    turned = {ids[::-1][row] for row in drawn(labels[::-1], ids[::-1], 20, 1)[0]}
    assert chosen == turned
    assert chosen != {ids[row] for row in drawn(labels, ids, 20, 2)[0]}


def test_classes_of_one_image_share_the_draw_by_lot():
    ids = [f"{row}.png" for row in range(100)]
    taken, _ = drawn(list(range(100)), ids, 50, 0)
    assert len(taken) == 50
    assert taken != list(range(50)), "a tie in the remainders must not favour the first classes"


def test_a_fraction_draws_the_nearest_number(source):
    made = splits({"test": source}, fit=0.25, seed=3)
    assert list(made) == ["val", "test"]
    assert (len(made["val"]), len(made["test"])) == (2, 8)
    assert not set(made["val"].ids) & set(made["test"].ids)
    assert made["val"].labels.tolist() == [source.labels[row] for row in made["val"].rows]
    assert made["val"].how == f"2 of the 10 images of {source.text}, drawn stratified by class with seed 3"
    assert made["test"].how == f"all of {source.text} but val's images"


def test_corrupted_copies_are_made_of_what_the_draw_leaves(source):
    made = splits({"test": source}, fit=4, corrupt={"test-noise": Corruption("gaussian_noise", 3)})
    assert list(made) == ["val", "test", "test-noise"]
    assert made["test-noise"].rows == made["test"].rows
    assert made["test-noise"].how == "test after gaussian_noise:3"
    image = source.image(made["test"].rows[0])
    assert made["test"].view(image, 0) is image
    assert made["test-noise"].view(image, 0).tobytes() != image.tobytes()


def test_sources_of_their_own(source, tmp_path):
    other = open_source(folder(tmp_path / "y", {"a": 1, "b": 1, "c": 1}))
    made = splits({"test": source, "val": other})
    assert {name: len(split) for name, split in made.items()} == {"test": 10, "val": 3}


def refused(*arguments, **options):
    with pytest.raises(InputError) as caught:
        splits(*arguments, **options)
    return str(caught.value)


def test_what_does_not_go_together_is_said(source, tmp_path):
    other = open_source(folder(tmp_path / "y", {"a": 1, "b": 1}))
    again = open_source(source.text)
    renamed = open_source(folder(tmp_path / "z", {"a": 1, "b": 1, "d": 1}))
    blur = {"val": Corruption("gaussian_blur", 1)}
    assert refused({"test": source, "val": renamed}, fit=2) == (
        "expected the same classes in 'test' and 'val', got 3 and 3, with 'c' in only one; give a class map"
    )
    assert refused({"test": source, "val": other}).endswith("got 3 and 2, with 'c' in only one; give a class map")
    assert refused({"test": source, "val": again}) == (
        f"expected other images for 'val' than for 'test', got '{source.text}' for both; use --fit"
    )
    assert refused({"val": source}, fit=2) == "expected either images for 'val' or a draw (--fit), got both; leave one out"
    assert refused({"shift": source}, fit=2) == "expected images for 'test' to draw from (--fit), got images for shift only"
    assert refused({"shift": source}, corrupt={"x": Corruption("jpeg", 1)}) == (
        "expected images for 'test' to corrupt, got images for shift only"
    )
    assert refused({"test": source}, corrupt=blur) == (
        "expected a new name for the split of gaussian_blur:1, got 'val'; call it test-gaussian_blur"
    )


def test_sources_that_are_numbered_in_two_ways_are_refused(tmp_path):
    """All names of one are numbers of their own, so that they are indices; not those of the other."""
    digits = open_source(folder(tmp_path / "v", {"1": 1, "2": 1}))
    mixed = open_source(folder(tmp_path / "t", {"1": 1, "2": 1, "01": 1}))
    assert refused({"val": digits, "test": mixed}) == (
        "expected classes numbered in one way, got 'val' numeric and 'test' natural; say --class-index natural or text for all"
    )


@pytest.mark.parametrize("size", [0, 10, 11, 0.01, 0.99])
def test_a_draw_of_none_or_all_is_refused(source, size):
    message = refused({"test": source}, fit=size)
    assert message == f"expected to draw between 1 and 9 of the 10 images of 'test', got {size}"


@pytest.mark.parametrize("text", ["0", "1.5", "1.0", "-3", "many", "", "nan"])
def test_what_is_no_size_is_refused(text):
    message = f"expected a number of images, or a fraction between 0 and 1, to draw for fitting, got '{text}'"
    with pytest.raises(InputError) as caught:
        fit_size(text)
    assert str(caught.value) == message


@pytest.mark.shared
def test_the_paper_protocol_on_real_images(shared):
    made = splits({"test": open_source(str(shared / "images" / "cifar10-test.tar"))}, fit=2000, seed=0)
    assert Counter(made["val"].labels.tolist()) == dict.fromkeys(range(10), 200)
    assert len(made["test"]) == 8000
