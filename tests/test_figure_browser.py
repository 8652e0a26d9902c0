"""A chart taken along, in a real browser: titled, with set and date, as PNG of twice its size, as SVG, as PDF; and its QR code."""

import datetime
import re
import xml.etree.ElementTree as ET
from io import BytesIO

import pytest
from browsing import chart, settle
from PIL import Image

pytestmark = pytest.mark.browser

TITLE = "Selective risk against coverage of large, small and their duo"


def taken(page, name, kind):
    """A chart's file, and what it is called."""
    with page.expect_download() as download:
        page.locator(f".st-key-figure_{name}").get_by_role("button", name=kind, exact=True).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def parsed_pdf(content):
    """The page's size in points and the bytes of its picture, read as the table of the file says."""
    assert content.startswith(b"%PDF-1.4")
    table = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", content)[1])
    assert content[table:].startswith(b"xref\n0 6\n")
    starts = [int(start) for start in re.findall(rb"(\d{10}) 00000 n ", content[table:])]
    objects = [content[start:end] for start, end in zip(starts, [*starts[1:], table], strict=True)]
    assert all(re.match(rb"%d 0 obj\n" % number, each) for number, each in enumerate(objects, 1))
    size = tuple(map(float, re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", objects[2]).groups()))
    head, _, rest = objects[3].partition(b"stream\n")
    return size, rest[: int(re.search(rb"/Length (\d+)", head)[1])]


def test_a_chart_is_taken_along_in_three_forms(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=small")
    plot = chart(page, "risk_coverage")
    width, height = plot.evaluate("p => [p.clientWidth, p.clientHeight]")
    name, svg = taken(page, "risk_coverage", "SVG")
    assert name == "risk_coverage-toy-test.svg"
    words = " ".join(text for element in ET.fromstring(svg).iter() if (text := (element.text or "").strip()))
    for said in ("Selective risk", "Coverage: share of images kept (%)", f"toy · test · {datetime.date.today()}"):
        assert said in words
    assert words.startswith(TITLE) or TITLE.split(maxsplit=1)[0] in words
    _, png = taken(page, "risk_coverage", "PNG")
    picture = Image.open(BytesIO(png))
    assert picture.width >= 2 * width
    assert picture.height > 2 * height
    colours = picture.convert("RGB").getcolors(1 << 24)
    assert len(colours) > 50  # it is drawn on
    _, pdf = taken(page, "risk_coverage", "PDF")
    (points, _), jpeg = parsed_pdf(pdf)
    page_picture = Image.open(BytesIO(jpeg))
    assert page_picture.width == pytest.approx(points * 4, abs=1)
    assert page_picture.width / page_picture.height == pytest.approx(picture.width / picture.height, rel=0.01)


def test_a_chart_has_few_nodes_and_a_click_anywhere_picks_a_coverage(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=small")
    plot = chart(page, "risk_coverage")
    assert plot.evaluate("p => p.querySelectorAll('.point').length") <= 101
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.wait_for_timeout(200)
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    page.wait_for_url(re.compile(r"coverage=\d+"))
    settle(page)


@pytest.mark.parametrize("height", [720, 900])
def test_the_first_chart_lies_above_the_fold(toy, height):
    page = toy("/?set=toy&split=test&base=large&sidekick=small", width=1280 if height == 720 else 1440, height=height)
    box = chart(page, "risk_coverage").bounding_box()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
    assert box["y"] + box["height"] <= height
