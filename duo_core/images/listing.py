"""What lies in a folder or a tar: its images, each once, and a count of what is none or is passed over."""

import os
import posixpath
import tarfile
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

from duo_core.common.arrays import InputError
from duo_core.images.names import extension, extensions, few, hidden, natural, shown

Parts = tuple[str, ...]


class Found(NamedTuple):
    """An image, and where its bytes lie."""

    identity: str
    """Its path below the root, `/` between folders."""
    folder: Parts
    """Folders between the root and the image, as the system spells them."""
    file: str
    """The file to open: the image, or the tar."""
    offset: int = 0
    size: int = -1
    """Number of bytes; all that there are where negative."""

    def read(self) -> bytes:
        """Return the image's bytes; safe in several processes and threads, as nothing is kept open."""
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass
class Listing:
    """All that was found below a root."""

    images: list[Found] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    """Names of the system's and hidden ones; what lies below them was not looked at."""
    others: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by extension."""
    links: list[str] = field(default_factory=list)
    """Links to what is read already, or to nothing."""
    folders: set[Parts] = field(default_factory=set)

    def add(self, parts: Parts, file: str, *span: int, folder: Parts | None = None) -> None:
        """Take a file in: an image, or one more of those that are none."""
        if extension(parts[-1]) in extensions():
            self.images.append(Found(shown("/".join(parts)), parts[:-1] if folder is None else folder, file, *span))
        else:
            self.others[extension(parts[-1]) or "no extension"] += 1

    def sort(self) -> "Listing":
        """Put the images in natural order of their paths, ties by the path itself, and return the listing."""
        self.images.sort(key=lambda found: (natural(found.identity), found.identity))
        return self

    def empty(self) -> list[str]:
        """Folders that hold no image and lie beside or above none: no classes."""
        used = {found.folder[:depth] for found in self.images for depth in range(len(found.folder) + 1)}
        return [shown("/".join(parts)) for parts in sorted(self.folders - used)]

    def said(self) -> str:
        """Say what was left out, or nothing."""
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.others.most_common())
        said = [
            f"{_counted(self.others.total(), 'file')} of other kinds ({kinds})" if kinds else "",
            f"{_counted(len(self.hidden), 'hidden name')} ({few(sorted(self.hidden))})" if self.hidden else "",
            f"{_counted(len(self.links), 'link')} to what is read already or to nothing ({few(self.links)})" if self.links else "",
            f"{_counted(len(empty), 'folder')} without images ({few(empty)})" if (empty := self.empty()) else "",
        ]
        return "; ".join(filter(None, said))


def in_folder(root: str) -> Listing:
    """List a folder, hidden names left out; links are followed, but no folder is read twice.

    Raises
    ------
    InputError
        Where a folder below cannot be listed.
    """
    listing, links, files = Listing(), deque[tuple[str, Parts]](), list[tuple[str, Parts]]()
    top = os.path.realpath(root)
    seen: set[str] = set()
    todo: list[tuple[str, Parts]] = [(top, ())]
    while todo or links:
        real, parts = todo.pop() if todo else links.popleft()
        if real in seen or (parts and _contains(real, top)):
            listing.links.append(shown("/".join(parts)))
            continue
        seen.add(real)
        listing.folders.update([parts] if parts else [])
        for entry in _entries(real):
            _take(entry, (*parts, entry.name), listing, (todo, links, files))
    _take_linked(files, listing)
    return listing.sort()


def _contains(outer: str, inner: str) -> bool:
    return PurePath(inner).is_relative_to(outer)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"'{shown(folder)}' cannot be read ({error.strerror}); allow reading it") from None


def _take(
    entry: os.DirEntry[str],
    parts: Parts,
    listing: Listing,
    queues: tuple[list[tuple[str, Parts]], deque[tuple[str, Parts]], list[tuple[str, Parts]]],
) -> None:
    """Put an entry where it belongs: folders and links wait, so that what is no link is read first."""
    folders, linked_folders, linked_files = queues
    if hidden(entry.name):
        listing.hidden.add(shown("/".join(parts)))
    elif not entry.is_symlink():
        if entry.is_dir():
            folders.append((entry.path, parts))
        elif entry.is_file():
            listing.add(parts, entry.path)
        else:
            listing.others["no regular file"] += 1
    elif os.path.isdir(entry.path):
        linked_folders.append((os.path.realpath(entry.path), parts))
    elif os.path.isfile(entry.path):
        linked_files.append((os.path.realpath(entry.path), parts))
    else:
        listing.links.append(shown("/".join(parts)))


def _take_linked(files: Sequence[tuple[str, Parts]], listing: Listing) -> None:
    """Take links to files, but those to images that their folder has already."""
    known = {(found.file, found.folder) for found in listing.images} if files else set()
    for file, parts in files:
        if (file, parts[:-1]) in known:
            listing.links.append(shown("/".join(parts)))
        else:
            known.add((file, parts[:-1]))
            listing.add(parts, file)


def in_tar(file: str) -> Listing:
    """List a tar, and the tars in it as folders of their name; links mean the members that they name.

    Raises
    ------
    tarfile.TarError
        Where the file is no tar, or is cut off.
    """
    listing = Listing()
    with tarfile.open(file, "r:") as archive:
        _Tar(archive, file, listing).take()
    return listing.sort()


@dataclass
class _Tar:
    """A tar on its way into a listing; `start` is where its bytes begin in the file."""

    archive: tarfile.TarFile
    file: str
    listing: Listing
    above: Parts = ()
    place: Parts = ()
    """As `above`, the path of the tar itself, but as folders: without `.tar`."""
    start: int = 0
    known: dict[Parts, tuple[int, int]] = field(default_factory=dict)

    def take(self) -> None:
        """List every member; those that are symbolic links come last, when all that they may name is known."""
        links = []
        for member in self.archive:
            parts = _parts(member.name)
            concealed = next((depth for depth, part in enumerate(parts, 1) if hidden(part)), 0)
            if concealed:
                self.listing.hidden.add(self._name(parts[:concealed]))
            elif member.issym():
                links.append((parts, _parts(posixpath.join(posixpath.dirname(member.name), member.linkname))))
            elif member.isdir() or not parts:
                self.listing.folders.add((*self.place, *parts))
            else:
                self._take(member, parts)
        for parts, named in links:
            self._add(parts, None if named[:-1] == parts[:-1] else self.known.get(named))

    def _take(self, member: tarfile.TarInfo, parts: Parts) -> None:
        if member.islnk():
            self._add(parts, self.known.get(_parts(member.linkname)))
        elif not member.isfile():
            self.listing.others["no regular file"] += 1
        elif extension(parts[-1]) == ".tar":
            stream = self.archive.extractfile(member)
            place = (*self.place, *parts[:-1], parts[-1][: -len(".tar")])
            with tarfile.open(fileobj=stream, mode="r:") as inner:
                _Tar(inner, self.file, self.listing, (*self.above, *parts), place, self.start + member.offset_data).take()
        else:
            self._add(parts, (self.start + member.offset_data, member.size))

    def _add(self, parts: Parts, span: tuple[int, int] | None) -> None:
        if span is None:
            self.listing.links.append(self._name(parts))
            return
        self.known[parts] = span
        self.listing.add((*self.above, *parts), self.file, *span, folder=(*self.place, *parts[:-1]))

    def _name(self, parts: Parts) -> str:
        return shown("/".join((*self.above, *parts)))


def _parts(name: str) -> Parts:
    """Return a member's path, plain: nothing is ever written there, so that `/` and `..` do no harm."""
    return tuple(part for part in posixpath.normpath(name.lstrip("/")).split("/") if part not in ("", "."))


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
