"""An upload that somebody saves: it becomes a set of the store, which everybody who opens this dashboard sees."""

import os
from collections.abc import Mapping

from app.state.sets import store_path
from duo_core.common.arrays import InputError
from duo_core.common.settings import is_public
from duo_core.formats import Reading
from duo_core.logits.store import Imported, Store, import_set


def may_save() -> bool:
    """Whether uploads can be saved here: not in public mode, where DUO_SAVE_UPLOADS is `no`, or the store cannot be written."""
    if is_public():
        return False
    path = store_path()
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return os.environ.get("DUO_SAVE_UPLOADS", "").strip().lower() != "no" and os.access(folder, os.W_OK)


def save(read: Reading, name: str, title: str, names: Mapping[str, str]) -> Imported:
    """Write what was read into the store; models that are there with other logits are never written over from here."""
    if not may_save():
        raise InputError("expected a dashboard that uploads may be saved on, got one where they may not; take the file elsewhere")
    return import_set(Store(), name, read.opened(), title=title or None, source="uploaded on the dashboard", names=names)
