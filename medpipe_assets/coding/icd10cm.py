"""ICD-10-CM as a code set: what a code is called, where it stands and whether a claim may carry it.

The set comes in dated releases, and every answer is about one of them: the newest where none is named. Judging a code
(flags, roll-up) is in `validity`, proposing one in the engines.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np

from medpipe_assets.lexicon import build
from medpipe_assets.lexicon.releases import releases
from medpipe_assets.lexicon.tabular import dotted, extended

CODE_SYSTEM: Final = "ICD-10-CM"
_REMEMBERED: Final = 20_000


def code_set_version() -> str:
    """The newest release, by the day from which it is in force: '2026-04-01'. Codes are proposed from this one."""
    return releases()[-1].effective


def release_on(day: dt.date) -> str:
    """The release in force on a day of service; the oldest there is for the days before it."""
    effective = [release.effective for release in releases()]
    return effective[max(0, bisect_right(effective, day.isoformat()) - 1)]


@dataclass(frozen=True, slots=True)
class Code:
    """A code of the set.

    Attributes:
        code: with its dot.
        billable: a leaf that needs no further character: valid on a claim.
        category: its first three characters.
        parent: the next more general code; '' for a category.
        seventh: characters of which one must still be added; '' for most.
        default: the code that stands for this one where nothing more is known: its 'unspecified' descendant, or itself.
        place: where its row stands in the tabular list; for a code with its seventh character that of the code without.
    """

    code: str
    title: str
    billable: bool
    category: str
    parent: str
    seventh: str = ""
    default: str = ""
    place: int = -1


def lookup(code: str, release: str = "") -> Code | None:
    """The entry of a code, written with or without its dot, in either case; None where the release has no such code."""
    return _table(release or code_set_version(), build.fingerprint()).lookup(dotted(code))


def billable(release: str) -> frozenset[str]:
    """All codes that a claim may carry under a release."""
    return frozenset(_table(release, build.fingerprint()).billable())


def canonical(code: str) -> str:
    """The code as the set writes it: upper case, a dot after the third character."""
    return dotted(code)


class _Table:
    """The rows of a release."""

    def __init__(self, release: str) -> None:
        compiled = build.codes(release)
        self._sorted, self._order = compiled.arrays["sorted"], compiled.arrays["order"]
        self._codes, self._titles = compiled.texts("code"), compiled.texts("title")
        self._parent, self._leaf = compiled.arrays["parent"], compiled.arrays["leaf"]
        self._default, self._seventh = compiled.arrays["default"], compiled.arrays["seventh"]
        self._meanings: list[dict[str, str]] = compiled.about["meanings"]
        self.lookup = lru_cache(_REMEMBERED)(self._lookup)

    def _lookup(self, written: str) -> Code | None:
        place = self.place(written)
        return self.extended(written) if place is None else self.code(place)

    def place(self, written: str) -> int | None:
        """Where a code's row is."""
        sought = np.array(written.encode("ascii", "replace"), "S")
        at = int(np.searchsorted(self._sorted, sought))
        return int(self._order[at]) if at < len(self._sorted) and self._sorted[at] == sought else None

    def code(self, place: int) -> Code:
        """The entry of a row."""
        written, parent = self._codes[place], int(self._parent[place])
        seventh = "".join(self._characters(place))
        return Code(
            code=written,
            title=self._titles[place],
            billable=bool(self._leaf[place]) and not seventh,
            category=written[:3],
            parent="" if parent < 0 else self._codes[parent],
            seventh=seventh,
            default=self._codes[int(self._default[place])],
            place=place,
        )

    def extended(self, written: str) -> Code | None:
        """The entry of a code with its seventh character, which the rows describe but don't write out."""
        if len(written) != 8:
            return None
        stem = written[:7]
        while (place := self.place(stem)) is None and stem.endswith(("X", ".")):
            stem = stem[:-1]
        if place is None or extended(stem, written[7]) != written:
            return None
        meaning = self._characters(place).get(written[7])
        if meaning is None:
            return None
        title = ", ".join(filter(None, (self._titles[place], meaning)))
        return Code(written, title, True, written[:3], stem, "", written, place)

    def billable(self) -> Iterator[str]:
        """Codes that need no further character, those with their seventh included."""
        for place in np.flatnonzero(self._leaf).tolist():
            written, characters = self._codes[place], self._characters(place)
            yield from (extended(written, character) for character in characters) if characters else (written,)

    def _characters(self, place: int) -> dict[str, str]:
        meanings = int(self._seventh[place])
        return {} if meanings < 0 else self._meanings[meanings]


@cache
def _table(release: str, fingerprint: str) -> _Table:
    """The rows of a release; `fingerprint` tells files that were replaced from those before."""
    return _Table(release)
