"""How a CSV file is written (delimiter, quotes, header), told from its beginning; and mending one that is broken.

Telling what a file is takes the names a contract expects as evidence: the delimiter is the one that makes them appear.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from medpipe_assets.etlt.contract import normalised
from medpipe_assets.etlt.lines import Numbers

DELIMITERS = (",", "\t", ";", "|")
SAMPLE_CHARACTERS = 1 << 18
SAMPLE_RECORDS = 1000
HEADER_WITHIN = 20
"""Records at a file's beginning among which its header is looked for: exports put titles and dates above it."""
MAX_LINES_PER_RECORD = 200
"""A quote that nothing closes within so many lines is a stray one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How records are written; `escape` makes a quote inside quotes an ordinary character."""

    delimiter: str
    quote: str = '"'
    escape: str = '"'


@dataclass(frozen=True)
class Head:
    """The beginning of a file.

    Attributes:
        dialect: how it is written.
        headers: of the columns, trimmed; a column without one has an empty one.
        skip: records down to the header, blank ones and the header included.
        sample: records after it, as wide as the headers.
    """

    dialect: Dialect
    headers: tuple[str, ...]
    skip: int
    sample: tuple[tuple[str, ...], ...]


def head_of(path: Path, expected: frozenset[str], delimiter: str | None = None) -> Head | None:
    """Tell how a UTF-8 file is written.

    Args:
        expected: normalised names that its headers may have; when empty, the header is the first record that is as
            wide as most.
        delimiter: what is known of it.

    Returns:
        None where no record has any of the expected names.
    """
    text = _sample(path)
    best: tuple[tuple[int, int, int], Head] | None = None
    for dialect in _dialects(text, delimiter):
        records = _records(text, dialect)
        found = _header(records, expected)
        if found is None:
            continue
        place, matched = found
        head = _head(dialect, records, place)
        whole = sum(len(record) == len(head.headers) for record in records[place + 1 :])
        score = (matched, whole * (len(head.headers) > 1), len(head.headers))
        if best is None or score > best[0]:
            best = (score, head)
    return best[1] if best else None


def _sample(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        text = file.read(SAMPLE_CHARACTERS)
        if len(text) < SAMPLE_CHARACTERS:
            return text
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[: end + 1] if end > 0 else text


def _dialects(text: str, delimiter: str | None) -> Iterator[Dialect]:
    for candidate in [delimiter] if delimiter else DELIMITERS:
        quote = _quote(text, candidate)
        yield Dialect(candidate, quote, _escape(text, candidate, quote))


def _quote(text: str, delimiter: str) -> str:
    """The character that encloses most values; the double one where none does."""
    d = re.escape(delimiter)
    enclosed = {
        quote: len(re.findall(rf"(?:^|{d})[ ]*{quote}[^{quote}]*{quote}[ ]*(?={d}|\r|$)", text, re.MULTILINE))
        for quote in ('"', "'")
    }
    return "'" if enclosed["'"] > 1 and not enclosed['"'] else '"'


def _escape(text: str, delimiter: str, quote: str) -> str:
    """A backslash where it makes more lines whole than a doubled quote does."""
    if f"\\{quote}" not in text:
        return quote
    lines = text.splitlines()
    doubled, backslash = (_grammar(Dialect(delimiter, quote, escape)) for escape in (quote, "\\"))
    return "\\" if sum(map(backslash.whole, lines)) > sum(map(doubled.whole, lines)) else quote


def _records(text: str, dialect: Dialect) -> list[list[str]]:
    doubled = dialect.escape == dialect.quote
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=doubled,
        escapechar=None if doubled else dialect.escape,
        skipinitialspace=True,
    )
    records: list[list[str]] = []
    with suppress(csv.Error):  # a field beyond csv's limit: a quote was never closed
        records.extend(islice(reader, SAMPLE_RECORDS))
    return records


def _header(records: Sequence[Sequence[str]], expected: frozenset[str]) -> tuple[int, int] | None:
    """Where the header is, from 0, and how many expected names it has."""
    first = [(place, record) for place, record in enumerate(records[:HEADER_WITHIN]) if any(map(str.strip, record))]
    if not first:
        return None
    if not expected:
        usual = Counter(len(record) for record in records if record).most_common(1)[0][0]
        return next(((place, 0) for place, record in first if len(record) == usual), None)
    place, record = max(first, key=lambda found: _matched(found[1], expected))  # the first of those with as many
    return (place, matched) if (matched := _matched(record, expected)) else None


def _matched(record: Sequence[str], expected: frozenset[str]) -> int:
    return len({normalised(cell) for cell in record} & expected)


def _head(dialect: Dialect, records: Sequence[Sequence[str]], place: int) -> Head:
    headers = [cell.strip() for cell in records[place]]
    rows = [record for record in records[place + 1 :] if record]
    usual = Counter(map(len, rows)).most_common(1)[0][0] if rows else len(headers)
    if usual < len(headers) and not any(headers[usual:]):  # delimiters after the last header only
        headers = headers[:usual]
    wide = len(headers)
    sample = tuple(
        tuple(row[:wide]) for row in rows if len(row) >= wide and not any(row[wide:]) and row != records[place]
    )
    return Head(dialect, tuple(headers), place + 1, sample)


@dataclass(frozen=True, slots=True)
class _Grammar:
    complete: "re.Pattern[str]"
    unclosed: "re.Pattern[str]"

    def whole(self, record: str) -> bool:
        return self.complete.fullmatch(record) is not None

    def open(self, record: str) -> bool:
        """Whether it may be the beginning of a record that goes on in the next line."""
        return self.unclosed.fullmatch(record) is not None


def _grammar(dialect: Dialect) -> _Grammar:
    d, q, e = (re.escape(part) for part in (dialect.delimiter, dialect.quote, dialect.escape))
    inside = rf"(?:[^{q}]|{q}{q})*+" if dialect.escape == dialect.quote else rf"(?:[^{q}{e}]|{e}.)*+"
    field = rf"[ ]*+(?:{q}{inside}{q}[ ]*+|[^{q}{d}][^{d}]*+|)"
    before = rf"(?:{field}{d})*+"
    return _Grammar(re.compile(before + field, re.DOTALL), re.compile(rf"{before}[ ]*+{q}{inside}{e}?", re.DOTALL))


@dataclass(frozen=True)
class Mended:
    """A broken file's whole records, and what was taken out.

    Attributes:
        path: the records, each ended by a line feed.
        records: number of all, removed and blank ones included.
        blank: numbers of the blank ones, which are not in the file.
        removed: numbers of those that are not written as CSV is.
        texts: JSON lines: `record`, the text of each of them.
    """

    path: Path
    records: int
    blank: Numbers
    removed: Numbers
    texts: Path


def mend(path: Path, dialect: Dialect, folder: Path) -> Mended:
    """Part a file with stray quotes, or with several kinds of newline, into whole records and broken ones.

    A quote that is never closed costs the line that it is in, not those after it. This goes line by line, so it is for
    the file whose records another count does not confirm.
    """
    target, texts = folder / "mended.csv", folder / "broken.jsonl"
    blank: list[int] = []
    removed: list[int] = []
    number = 0
    with (
        path.open(encoding="utf-8-sig", newline="", errors="replace") as source,
        target.open("w", encoding="utf-8", newline="") as good,
        texts.open("w", encoding="utf-8") as bad,
    ):
        for record, is_whole in _parted(source, dialect):
            number += 1
            if not record:
                blank.append(number)
            elif is_whole:
                good.write(record + "\n")
            else:
                removed.append(number)
                bad.write(json.dumps({"record": record}) + "\n")
    return Mended(target, number, np.array(blank, np.int64), np.array(removed, np.int64), texts)


def _parted(lines: Iterator[str], dialect: Dialect) -> Iterator[tuple[str, bool]]:
    """Records without their newlines, and whether each is whole."""
    grammar = _grammar(dialect)
    waiting: list[str] = []  # lines to be read again, last first
    held: list[str] = []  # lines of a record that is not closed
    while True:
        line = waiting.pop() if waiting else next(lines, None)
        if line is None and not held:
            return
        held += [line] if line is not None else []
        record = "".join(held).rstrip("\r\n")
        plain = len(held) == 1 and dialect.quote not in record
        if plain or grammar.whole(record):
            held = []
            yield record, True
        elif line is None or len(held) > MAX_LINES_PER_RECORD or not grammar.open("".join(held)):
            waiting += reversed(held[1:])
            yield held[0].rstrip("\r\n"), False
            held = []
