"""What lies in folders and tars: every image once, and a word on what is left out."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from pictures import encoded, folder, picture, tar

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.names import natural, shown


def refused(text, **options):
    with pytest.raises(InputError) as caught:
        open_source(str(text), **options)
    return str(caught.value)


def image_at(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(encoded(picture(0)))


def tar_of(root):
    """The same files in a tar beside the folder, links and all."""
    file = root.with_suffix(".tar")
    with tarfile.open(file, "w") as archive:
        archive.add(root, ".")
    return str(file)


@pytest.mark.parametrize("ending", [".tif", ".webp", ".bmp", ".gif", ".jp2", ".avif", ".JPEG", ".Png", ".jfif", ".ppm", ".tga"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_that_pillow_reads_is_read(tmp_path, ending, packed):
    kind = {".jpeg": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".tif": "TIFF", ".jp2": "JPEG2000"}.get(
        ending.lower(), ending[1:].upper()
    )
    (tmp_path / "x" / "a").mkdir(parents=True)
    picture(1, (16, 16)).save(tmp_path / "x" / "a" / f"1{ending}", kind)
    source = open_source(tar_of(tmp_path / "x") if packed else str(tmp_path / "x"))
    assert source.ids == (f"a/1{ending}",)
    assert (source.image(0).mode, source.image(0).size, source.notes) == ("RGB", (16, 16), ())


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_image_is_counted_by_extension(tmp_path, packed):
    image_at(tmp_path / "x", "a/1.png", "b/2.png")
    for name in ("a/1.txt", "b/2.TXT", "a/1.heic", "b/README", "a/page.pdf", "a/data.h5"):
        (tmp_path / "x" / name).write_bytes(b"?")
    text = tar_of(tmp_path / "x") if packed else str(tmp_path / "x")
    (note,) = open_source(text).notes
    assert note.startswith(f"left out of '{text}': 6 files of other kinds (.txt 2, ")
    assert {".heic 1", "no extension 1", ".pdf 1", ".h5 1"} == set(note.partition("(.txt 2, ")[2].rstrip(")").split(", "))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "._1.png",
        "a/._1.png",
        "__MACOSX/a/1.png",
        "a/.ipynb_checkpoints/1-checkpoint.png",
        ".git/1.png",
        "a/@eaDir/1.png",
        "a/.1.png",
    ],
)
def test_names_that_systems_leave_are_passed_over_and_counted(tmp_path, name, packed):
    image_at(tmp_path / "x", "a/1.png", "b/2.png", name)
    text = tar_of(tmp_path / "x") if packed else str(tmp_path / "x")
    source = open_source(text)
    assert (source.ids, source.classes) == (("a/1.png", "b/2.png"), ("a", "b"))
    assert len(source.notes) == 1
    assert source.notes[0].startswith(f"left out of '{text}': 1 hidden name (")


def test_hidden_folders_above_the_source_hide_nothing(tmp_path):
    image_at(tmp_path / ".cache" / "x", "a/1.png")
    assert open_source(str(tmp_path / ".cache" / "x")).ids == ("a/1.png",)
    above = tar(tmp_path / "up.tar", [("../y/a/1.png", encoded(picture(0)))])
    assert open_source(above).classes == ("a",)


def test_a_source_of_hidden_names_alone_says_so(tmp_path):
    image_at(tmp_path / "x", "a/._1.png")
    (tmp_path / "x" / "a" / "1.heic").write_bytes(b"?")
    assert refused(tmp_path / "x").endswith(
        "found none but 1 file of other kinds (.heic 1); 1 hidden name (a/._1.png); 1 folder without images (a)"
    )


@pytest.mark.parametrize(
    ("link", "target"),
    [("a/all", ".."), ("a/self", "."), ("again", "a"), ("b/a", "../a"), ("a/up", "../.."), ("loop", "loop"), ("gone", "nowhere")],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_reached_again_by_a_link_is_read_once(tmp_path, link, target, packed):
    image_at(tmp_path / "x", "a/1.png", "b/2.png")
    image_at(tmp_path, "other/c/3.png")
    os.symlink(target, tmp_path / "x" / link)
    source = open_source(tar_of(tmp_path / "x") if packed else str(tmp_path / "x"))
    assert source.ids == ("a/1.png", "b/2.png")
    assert f"1 link to what is read already or to nothing ({link})" in source.notes[0]


def test_links_to_folders_elsewhere_are_followed_once(tmp_path):
    image_at(tmp_path, "store/cats/1.png", "store/dogs/1.png")
    (tmp_path / "x").mkdir()
    for name, target in (("cat", "cats"), ("dog", "dogs"), ("puppy", "dogs")):
        os.symlink(tmp_path / "store" / target, tmp_path / "x" / name)
    os.symlink(tmp_path / "x", tmp_path / "store" / "cats" / "back")
    source = open_source(str(tmp_path / "x"))
    assert (source.ids, source.classes) == (("cat/1.png", "dog/1.png"), ("cat", "dog"))
    assert "2 links to what is read already or to nothing (puppy, cat/back)" in source.notes[0]


def test_links_to_files_are_images_but_not_twice_in_a_folder(tmp_path):
    image_at(tmp_path, "store/1.png", "x/a/2.png", "x/b/5.png")
    for name, target in (
        ("a/1.png", "../../store/1.png"),
        ("a/3.png", "2.png"),
        ("a/4.png", "../../store/1.png"),
        ("b/0.png", "nowhere"),
    ):
        os.symlink(target, tmp_path / "x" / name)
    source = open_source(str(tmp_path / "x"))
    assert source.ids == ("a/1.png", "a/2.png", "b/5.png")
    assert source.image(0).size == (8, 8)
    assert "3 links" in source.notes[0]


def test_links_in_a_tar_mean_the_members_that_they_name(tmp_path):
    file = tmp_path / "x.tar"
    with tarfile.open(file, "w") as archive:
        for name in ("store/1.png", "a/2.png"):
            member = tarfile.TarInfo(name)
            member.size = len(encoded(picture(0)))
            archive.addfile(member, io.BytesIO(encoded(picture(0))))
        for name, target, kind in (
            ("a/hard.png", "store/1.png", tarfile.LNKTYPE),
            ("b/soft.png", "../store/1.png", tarfile.SYMTYPE),
            ("a/same.png", "2.png", tarfile.SYMTYPE),
            ("b/gone.png", "nowhere.png", tarfile.SYMTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    source = open_source(str(file))
    assert source.ids == ("a/2.png", "a/hard.png", "b/soft.png", "store/1.png")
    assert {source.image(row).tobytes() for row in range(4)} == {picture(0).tobytes()}
    assert "2 links to what is read already or to nothing (a/same.png, b/gone.png)" in source.notes[0]


def test_pipes_and_folders_without_images_are_said(tmp_path):
    image_at(tmp_path / "x", "a/1.png")
    os.mkfifo(tmp_path / "x" / "a" / "pipe.png")
    (tmp_path / "x" / "b" / "deep").mkdir(parents=True)
    (note,) = open_source(str(tmp_path / "x")).notes
    assert note.endswith("1 file of other kinds (no regular file 1); 2 folders without images (b, b/deep)")


NAMES = [b"caf\xe9", b"\xff\xfe", b"\x83e\x83X\x83g"]  # Latin-1, no text at all, Shift-JIS


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packed", [False, True])
def test_names_that_are_no_utf8_are_read_and_written_out(tmp_path, name, packed):
    root = os.fsencode(tmp_path / "x")
    os.makedirs(os.path.join(root, name))
    for file in (b"1.png", name + b".png"):
        with open(os.path.join(root, name, file), "wb") as written:
            written.write(encoded(picture(0)))
    source = open_source(tar_of(tmp_path / "x") if packed else str(tmp_path / "x"))
    text = shown(os.fsdecode(name))
    assert set(source.ids) == {f"{text}/1.png", f"{text}/{text}.png"}
    assert source.classes == (text,)
    assert "\\x" in text
    source.ids[0].encode()
    assert source.image(0).size == source.image(1).size == (8, 8)


def test_two_names_that_are_no_utf8_stay_two(tmp_path):
    root = os.fsencode(tmp_path / "x")
    for name in (b"caf\xe9", b"caf\xe8"):
        os.makedirs(os.path.join(root, name))
        with open(os.path.join(root, name, b"1.png"), "wb") as written:
            written.write(encoded(picture(0)))
    assert open_source(str(tmp_path / "x")).classes == ("caf\\xe8", "caf\\xe9")


def test_a_source_whose_own_name_is_no_utf8(tmp_path):
    root = os.path.join(os.fsencode(tmp_path), b"\xe9")
    os.makedirs(os.path.join(root, b"a"))
    with open(os.path.join(root, b"a", b"1.png"), "wb") as written:
        written.write(encoded(picture(0)))
    source = open_source(os.fsdecode(root))
    assert source.text == f"{tmp_path}/\\xe9"
    assert source.image(0).size == (8, 8)
    assert refused(os.fsdecode(os.path.join(root, b"none"))).startswith(
        f"expected a folder or a .tar file of images, got '{tmp_path}/\\xe9/n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_said(tmp_path):
    image_at(tmp_path / "x", "a/1.png")
    (tmp_path / "x" / "b").mkdir(mode=0)
    assert refused(tmp_path / "x") == f"'{tmp_path / 'x' / 'b'}' cannot be read (Permission denied); allow reading it"


def test_tars_in_tars_at_any_depth(tmp_path):
    inner = tar(tmp_path / "inner.tar", [("c/1.png", encoded(picture(5)))])
    middle = tar(tmp_path / "middle.tar", [("deep/c.tar", Path(inner).read_bytes()), ("2.png", encoded(picture(6)))])
    source = open_source(tar(tmp_path / "x.tar", [("b.tar", Path(middle).read_bytes()), ("a/3.png", encoded(picture(7)))]))
    assert source.ids == ("a/3.png", "b.tar/2.png", "b.tar/deep/c.tar/c/1.png")
    assert source.classes == ("a", "b", "c")
    assert [source.image(row).tobytes() for row in range(3)] == [picture(seed).tobytes() for seed in (7, 6, 5)]


@pytest.mark.parametrize("name", ["²", "a²b", "٣", "x" * 200 + "9" * 50, "9" * 5000, "²³10"])
def test_every_name_has_a_place_in_natural_order(name):
    assert sorted([name, "1", "a"], key=natural) == sorted(["a", name, "1"], key=natural)


def test_images_come_in_natural_order_whatever_the_file_system_says(tmp_path):
    text = folder(tmp_path / "x", {"a": 12})
    assert open_source(text).ids == tuple(f"a/{number}.png" for number in range(12))
