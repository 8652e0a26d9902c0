"""Pages of the public interface, from the docstrings into docs/api/, or the folder that is named: `make docs`."""

import sys
from pathlib import Path

import pdoc
import pdoc.render

import duo_core


def build(out: Path) -> None:
    """Write a page of `duo_core`, and one of each room that it names."""
    for name in duo_core.__all__:
        getattr(duo_core, name)  # what is loaded when it is asked for
    pdoc.render.configure(docformat="numpy", footer_text=f"duo_core {duo_core.__version__}")
    pdoc.pdoc("duo_core", output_directory=out)


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "api"
    build(where)
    print(f"see {where / 'duo_core.html'}")
