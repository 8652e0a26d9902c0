"""Logit sets on disk, and the journal of rows on their way there."""

from duo_core.logits.store.importing import Imported, import_set, safe_name
from duo_core.logits.store.journal import Journal
from duo_core.logits.store.sets import DEFAULT_STORE, Store, default_store

__all__ = ["DEFAULT_STORE", "Imported", "Journal", "Store", "default_store", "import_set", "safe_name"]
