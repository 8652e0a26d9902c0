"""Fixtures that every test file may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of images and checkpoints that lies beside some checkouts."""
    if not SHARED.is_dir():
        pytest.skip("there is no folder 'shared' with images and checkpoints beside this checkout")
    return SHARED
