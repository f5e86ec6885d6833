"""Lines and records of a text file: how many there are, counted without reading what they say.

The count is the one that readers of records are held to, so it shares no code with them.
"""

from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medpipe_assets.errors import DocumentError, Reason

MAX_RECORD_BYTES = 16 << 20
"""A line longer than this is no record: what is read at once must fit in memory. It is DuckDB's own limit for JSON."""
BLOCK = 4 << 20
_NEWLINE, _RETURN = 0x0A, 0x0D

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Census:
    """What a file's lines are like; a newline between quotes ends none.

    Attributes:
        lines: all lines, a last one without a newline included.
        blank: numbers, from 1, of the lines that hold nothing.
        newline: what ends them.
        regular: whether all end alike, no return stands alone, and quotes only enclose whole values: where it is not
            so, the other figures are worth nothing.
    """

    lines: int
    blank: Numbers
    newline: str
    regular: bool


def census(path: Path, quote: str = "", delimiter: str = "") -> Census:
    """Count the lines of a file of UTF-8 or another encoding that extends ASCII.

    Args:
        quote: a character between two of which newlines belong to the line; empty where there is none.
        delimiter: what stands before and after values in quotes.

    Raises:
        DocumentError: too_large, where a line is longer than MAX_RECORD_BYTES.
    """
    counts = _Counts(quote, delimiter)
    with path.open("rb") as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        while block := file.read(BLOCK):
            while block.endswith((b"\r", counts.mark)) and (more := file.read(1)):
                block += more
            counts.take(np.frombuffer(block, np.uint8))
    return counts.result()


class _Counts:
    def __init__(self, quote: str, delimiter: str) -> None:
        self.mark = quote.encode() or b"\n\r"  # a block may not end with it; without quotes, with none such
        self._quote = ord(quote) if quote else -1
        self._around = np.zeros(256, bool)
        self._around[[*f"\n\r {quote}{delimiter}".encode()]] = True
        self._strange = False  # a quote where none belongs
        self._open = 0  # 1 inside quotes
        self._lines = 0
        self._held = 0  # bytes of the line that no newline has ended yet
        self._blank: list[Numbers] = []
        self._bare = self._pairs = self._alone = 0  # \n, \r\n, and \r by itself

    def take(self, block: npt.NDArray[np.uint8]) -> None:
        ends = np.flatnonzero(block == _NEWLINE)
        returns = np.flatnonzero(block == _RETURN)
        if self._quote >= 0:
            quotes = np.flatnonzero(block == self._quote)
            self._strange |= self._is_strange(block, quotes)
            if len(quotes) or self._open:
                ends = ends[(np.searchsorted(quotes, ends) + self._open) & 1 == 0]
                returns = returns[(np.searchsorted(quotes, returns) + self._open) & 1 == 0]
            self._open = (self._open + len(quotes)) & 1
        before = np.isin(ends - 1, returns, assume_unique=True) if len(returns) else np.zeros(len(ends), bool)
        pairs = int(before.sum())
        self._pairs += pairs
        self._bare += len(ends) - pairs
        self._alone += len(returns) - pairs
        self._measure(len(block), ends, before)

    def _is_strange(self, block: npt.NDArray[np.uint8], quotes: Numbers) -> bool:
        """Whether a quote opens what does not begin there, or closes what goes on."""
        opening, closing = quotes[self._open :: 2], quotes[1 - self._open :: 2]
        before = block[opening[opening > 0] - 1]
        after = block[closing[closing < len(block) - 1] + 1]
        return not (self._around[before].all() and self._around[after].all())

    def _measure(self, size: int, ends: Numbers, before: npt.NDArray[np.bool_]) -> None:
        """Lengths of lines, and which of them hold nothing."""
        longest = 0
        if not len(ends):
            self._held += size
        else:
            lengths = np.diff(ends, prepend=-1) - 1 - before
            lengths[0] += self._held
            if (empty := np.flatnonzero(lengths == 0)).size:
                self._blank.append(empty + self._lines + 1)
            longest = int(lengths.max())
            self._lines += len(ends)
            self._held = size - 1 - int(ends[-1])
        if max(longest, self._held) > MAX_RECORD_BYTES:
            raise DocumentError(Reason.TOO_LARGE, f"a line of more than {MAX_RECORD_BYTES >> 20} MB")

    def result(self) -> Census:
        return Census(
            self._lines + (self._held > 0),
            np.concatenate(self._blank) if self._blank else np.zeros(0, np.int64),
            "\r\n" if self._pairs else "\n",
            not (self._alone or (self._pairs and self._bare) or self._open or self._strange),
        )


def numbers_among_all(numbers: Numbers, removed: Numbers) -> Numbers:
    """The numbers that things had before others were removed, from their numbers among what was left (all from 1).

    Args:
        removed: sorted numbers, among all, of those that are gone.
    """
    return numbers + np.searchsorted(removed - np.arange(1, len(removed) + 1), numbers)
