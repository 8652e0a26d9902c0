"""The project's pages as a site, into docs/api/ or the folder that is named: `make docs`.

The public interface, from its docstrings; and beside it what is written in Markdown, the formats, the glossary, the decisions,
hosting, security, with the pictures of the pages and lessons. Links between them stay links; no other machine is asked.
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

import markdown2
import pdoc
import pdoc.render

import duo_core

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.html",
    "docs/pages.md": "pages.html",
    "docs/formats.md": "formats.html",
    "docs/glossary.md": "glossary.html",
    "docs/hosting.md": "hosting.html",
    "docs/threats.md": "threats.html",
    "SECURITY.md": "security.html",
    "CONTRIBUTING.md": "contributing.html",
    "CHANGELOG.md": "changelog.html",
    "data/README.md": "data.html",
}
"""Markdown of the project, and where it stands in the site; the decisions follow under their own names."""
EXTRAS = ["tables", "fenced-code-blocks", "header-ids", "code-friendly", "cuddled-lists"]
STYLE = """\
body { margin: 0 auto; max-width: 52rem; padding: 1rem; font: 1rem/1.55 sans-serif; color: #101820; background: #fff; }
nav { border-bottom: 1px solid #ccd3da; padding-bottom: .5rem; } nav a { margin-right: .9rem; }
a { color: #1f5fa8; } img { max-width: 100%; } table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #ccd3da; padding: .3rem .6rem; text-align: left; }
pre { overflow-x: auto; background: #f3f5f8; padding: .7rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e6eaef; background: #0f141a; } a { color: #8fb4f0; } pre { background: #1a2129; }
}
"""


def build(out: Path) -> None:
    """Write a page of `duo_core` and one of each room that it names, then the pages of the project."""
    for name in duo_core.__all__:
        getattr(duo_core, name)  # what is loaded when it is asked for
    pdoc.render.configure(docformat="numpy", footer_text=f"duo_core {duo_core.__version__}")
    pdoc.pdoc("duo_core", output_directory=out)
    places = placed()
    for source, target in places.items():
        page = out / target
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(html(source, places), encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "images", out / "images", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py"))


def placed() -> dict[str, str]:
    """Where each page of Markdown stands in the site."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    return PAGES | {str(file.relative_to(ROOT)): f"decisions/{file.stem}.html" for file in decisions}


def html(source: str, places: dict[str, str]) -> str:
    """One page, its links to others of the site as they are there."""
    text = (ROOT / source).read_text(encoding="utf-8")
    up = "../" * places[source].count("/")
    body = re.sub(r'(href|src)="([^"#:]+)(#[^"]*)?"', lambda link: _linked(link, source, places, up), rendered(text))
    title = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    names = {"index.html": "Start", **{page: page.removesuffix(".html").capitalize() for page in list(PAGES.values())[1:]}}
    menu = (
        "".join(f'<a href="{up}{page}">{name}</a>' for page, name in names.items()) + f'<a href="{up}duo_core.html">Interface</a>'
    )
    if source == "CONTRIBUTING.md":
        body += "<h2>Decisions</h2><ul>" + "".join(
            f'<li><a href="{target}">{Path(target).stem}</a></li>' for target in places.values() if target.startswith("decisions/")
        )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title[1] if title else source}</title><style>{STYLE}</style></head><body><nav>{menu}</nav>{body}</body></html>\n"
    )


def rendered(text: str) -> str:
    """Markdown as HTML."""
    return str(markdown2.markdown(text, extras=EXTRAS))


def _linked(link: re.Match[str], source: str, places: dict[str, str], up: str) -> str:
    """A link as the site has it; what it has no page of becomes a link to nothing that is there: its place in the repository."""
    kind, target, part = link[1], link[2], link[3] or ""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in places:
        return f'{kind}="{up}{places[path]}{part}"'
    if path.startswith("docs/images/"):
        return f'{kind}="{up}{path.removeprefix("docs/")}"'
    return f'{kind}="#" title="{path} of the repository"'


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "api"
    build(where)
    print(f"see {where / 'duo_core.html'}")
