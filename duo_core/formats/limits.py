"""How large a file may be, checked on what it declares before anything is unpacked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duo_core.common.settings import MIB, number
from duo_core.formats.problems import Flaw

HEADER = 8 * MIB
"""Bytes of a safetensors header or a csv line."""
FOOTER_BYTES = 32 * MIB
"""Bytes of a Parquet footer: 25 000 columns take about 15 MiB as pandas writes them."""
CHUNKS = 30_000
"""Columns of a Parquet file, those of each row group counted."""
NESTS = 256
"""Columns of a Parquet file that hold others, lists among them, so that no column lies deeper than that."""
RECORDS = 8_000_000
"""Fields and elements of the records of a Parquet footer, or of all page headers."""
DIRECTORY = MIB
"""Bytes of a zip archive's table of contents, some ten thousand members."""
LETTERS = 1024
"""Characters of one id or name in an array of fixed width."""
ARRAYS = 4096
"""Arrays of a file."""
SPLITS = 64
"""Splits of a file."""


SETTINGS = {
    "file_bytes": "DUO_MAX_FILE_MIB",
    "decoded_bytes": "DUO_MAX_UNPACKED_MIB",
    "rows": "DUO_MAX_ROWS",
    "classes": "DUO_MAX_CLASSES",
    "all_bytes": "DUO_MAX_SESSION_MIB",
}
"""Environment variables that set limits."""


@dataclass(frozen=True)
class Limits:
    """What one upload may hold; smaller where many share a server."""

    file_bytes: int = 256 * MIB
    """Of one file as it is uploaded."""
    decoded_bytes: int = 1024 * MIB
    """Of all arrays of a file."""
    rows: int = 200_000
    classes: int = 25_000
    text_bytes: int = 64 * MIB
    """Of all ids, or of all names of splits, of a file; of arrays of fixed width, characters."""
    all_bytes: int = 1 << 50
    """Of all arrays of all files together."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Limits":
        """Return the limits that the environment sets, the others as they are by default, or lower in public mode.

        >>> Limits.from_environment({"DUO_MAX_FILE_MIB": "20"}).file_bytes, Limits.from_environment({"DUO_PUBLIC": "1"}).file_bytes
        (20971520, 67108864)

        Raises
        ------
        InputError
            Where a value is no whole number above 0.
        """
        found = {name: number(variable, environment) for name, variable in SETTINGS.items()}
        return cls(**{name: value for name, value in found.items() if value is not None})

    def check_file(self, size: int) -> None:
        """Raise a Flaw for a file of too many bytes."""
        if size > self.file_bytes:
            raise Flaw("E105", f"the file has {words(size)}", limit=f"at most {words(self.file_bytes)} a file")

    def check_decoded(self, size: int) -> None:
        """Raise a Flaw for arrays of too many bytes."""
        if size > self.decoded_bytes:
            raise Flaw(
                "E105", f"the arrays take {words(size)} unpacked", limit=f"at most {words(self.decoded_bytes)} a file, unpacked"
            )

    def check_all(self, size: int) -> None:
        """Raise a Flaw for arrays of several files that take too many bytes together."""
        if size > self.all_bytes:
            raise Flaw(
                "E105", f"the arrays of all files take {words(size)} unpacked", limit=f"at most {words(self.all_bytes)} together"
            )

    def check_rows(self, n: int) -> None:
        """Raise a Flaw for too many rows."""
        if n > self.rows:
            raise Flaw("E105", f"{n:,} rows are declared", limit=f"at most {self.rows:,} rows")

    def check_texts(self, size: int) -> None:
        """Raise a Flaw for names of too many bytes."""
        if size > self.text_bytes:
            raise self.long_texts(size)

    def long_texts(self, size: int) -> Flaw:
        """Return the Flaw of names of so many bytes."""
        return Flaw("E105", f"its texts take {words(size)} unpacked", limit=f"at most {words(self.text_bytes)} of text")

    def check_logits(self, shape: Sequence[int]) -> None:
        """Raise a Flaw for a logit array (n, k) of too many rows or classes."""
        self.check_rows(shape[0])
        if shape[1] > self.classes:
            raise Flaw("E105", f"{shape[1]:,} classes are declared", limit=f"at most {self.classes:,} classes")


def words(size: int) -> str:
    """A number of bytes in words.

    >>> words(300), words(5 << 20), words(3 << 31)
    ('300 bytes', '5 MiB', '6 GiB')
    """
    if size < MIB:
        return f"{size:,} bytes"
    number, unit = (size / MIB, "MiB") if size < 1024 * MIB else (size / MIB / 1024, "GiB")
    return f"{number:,.1f}".removesuffix(".0") + f" {unit}"
