"""Names at points of a chart, where there is room for them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 660, 400
"""Pixels of a chart's inner part on a small laptop; on wider screens there is more room."""
LETTER, LINE, GAP = 6.2, 14, 11
"""Pixels of a letter, of a line, and between a point and its name."""
MOST = 8


class Place(NamedTuple):
    """A point in the units of its axes, and the names of its members."""

    x: float
    y: float
    members: Sequence[str]


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: "_Box") -> bool:
        return self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top


def placed(places: Sequence[Place], x: tuple[float, float], y: tuple[float, float]) -> list[dict[str, Any]]:
    """Return annotations of the points, the first first, that lie over no other name and no other point.

    >>> [label["text"] for label in placed([Place(0, 0.5, ["a"]), Place(0.01, 0.5, ["a", "b"])], (-1, 1), (0, 1))]
    ['a', 'a + b']
    >>> labels = placed([Place(0, 0.5, ["a"])] * 9, (-1, 1), (0, 1))
    >>> len(labels)
    6
    """
    centres = [_pixels(place, x, y) for place in places]
    points = [_Box(left - 6, bottom - 6, left + 6, bottom + 6) for left, bottom in centres]
    taken: list[_Box] = []
    labels = []
    for place, centre, own in zip(places, centres, points, strict=True):
        for box, shift in _around(centre, _text(place.members)):
            inside = box.left >= 0 and box.right <= WIDTH and box.bottom >= 0 and box.top <= HEIGHT
            if inside and not any(box.meets(other) for other in (*taken, *(p for p in points if p != own))):
                taken.append(box)
                labels.append({"x": place.x, "y": place.y, "text": _text(place.members), **shift})
                break
        if len(labels) == MOST:
            break
    return labels


def _pixels(place: Place, x: tuple[float, float], y: tuple[float, float]) -> tuple[float, float]:
    return (place.x - x[0]) / (x[1] - x[0]) * WIDTH, (place.y - y[0]) / (y[1] - y[0]) * HEIGHT


def _text(members: Sequence[str]) -> str:
    """Two names a line."""
    lines = [" + ".join(members[at : at + 2]) for at in range(0, len(members), 2)]
    return "<br>+ ".join(lines)


def _around(centre: tuple[float, float], text: str) -> Iterator[tuple[_Box, dict[str, Any]]]:
    """Where a text may stand: left above, right below, right, left of its point."""
    across, up = centre
    lines = text.split("<br>")
    width, height = LETTER * max(map(len, lines)), LINE * len(lines)
    for anchor, start in (("right", across - width), ("left", across), ("center", across - width / 2)):
        for side, bottom in (("bottom", up + GAP - 4), ("top", up - GAP + 4 - height)):
            shift = (GAP - 4) if side == "bottom" else -(GAP - 4)
            yield _Box(start, bottom, start + width, bottom + height), {"xanchor": anchor, "yanchor": side, "yshift": shift}
    for anchor, start in (("left", across + GAP), ("right", across - GAP - width)):
        shift = GAP if anchor == "left" else -GAP
        yield (
            _Box(start, up - height / 2, start + width, up + height / 2),
            {"xanchor": anchor, "yanchor": "middle", "xshift": shift},
        )
