"""What is wrong with a code, judged against a release of the code set: pure rules, no proposals and no probabilities.

Codes are judged, never dropped. Some findings are about a code alone (`flags`), others about the codes that a document
bears together (`together`). FLAGS is the closed list of both, and the data dictionary's.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.coding import icd10cm
from medpipe_assets.coding.icd10cm import Code
from medpipe_assets.lexicon import build, tabular

NOT_IN_CODE_SET: Final = "not_in_code_set"
NOT_BILLABLE: Final = "not_billable"
SEVENTH_CHARACTER_MISSING: Final = "seventh_character_missing"
SEVENTH_CHARACTER_INVALID: Final = "seventh_character_invalid"
UNSPECIFIED: Final = "unspecified"
EXCLUDES1_CONFLICT: Final = "excludes1_conflict"
CODE_FIRST: Final = "code_first"
USE_ADDITIONAL_CODE: Final = "use_additional_code"

FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        NOT_IN_CODE_SET: "the release has no such code",
        NOT_BILLABLE: "no claim may carry it: the release does not have it, or divides it further",
        SEVENTH_CHARACTER_MISSING: "all it lacks for a claim is its seventh character",
        SEVENTH_CHARACTER_INVALID: "its seventh character is none of those that the release allows for it",
        UNSPECIFIED: "valid, but its title says that the record could say more",
        EXCLUDES1_CONFLICT: "an Excludes1 note forbids it beside another code that the document bears",
        CODE_FIRST: "a note asks for an underlying condition's code first, and the document bears none that it names",
        USE_ADDITIONAL_CODE: "a note asks for a further code, and the document bears none of those that it names",
    }
)
"""Every flag with its meaning. A document bears the codes that are accepted and asserted."""

_MISSING: Final = {
    tabular.KINDS.index(tabular.CODE_FIRST): CODE_FIRST,
    tabular.KINDS.index(tabular.USE_ADDITIONAL): USE_ADDITIONAL_CODE,
}


def flags(code: str, release: str = "") -> tuple[str, ...]:
    """What is wrong with a code alone, in the order of FLAGS; empty for a good one.

    Args:
        release: the release that is asked; '' for the newest.
    """
    entry = icd10cm.lookup(code, release)
    if entry is None:
        return NOT_IN_CODE_SET, NOT_BILLABLE, *([SEVENTH_CHARACTER_INVALID] if _is_extended(code, release) else [])
    found = {
        NOT_BILLABLE: not entry.billable,
        SEVENTH_CHARACTER_MISSING: bool(entry.seventh),
        UNSPECIFIED: "unspecified" in entry.title.lower(),
    }
    return tuple(flag for flag, holds in found.items() if holds)


def together(codes: Collection[str], release: str = "") -> dict[str, tuple[str, ...]]:
    """What is wrong with codes that a document bears together, in the order of FLAGS; those with nothing are left out.

    A code that the release lacks takes no part. Of two that exclude one another both are flagged: which of them is to
    go is for a person to say.
    """
    entries = {code: entry.place for code in codes if (entry := icd10cm.lookup(code, release)) is not None}
    rules = _rules(release or icd10cm.code_set_version(), build.fingerprint())
    found: dict[str, set[str]] = defaultdict(set)
    for code, place in entries.items():
        others = {other: at for other, at in entries.items() if at != place}
        for kind, ranges in rules.of(place):
            named = [other for other, at in others.items() if any(low <= at < high for low, high in ranges)]
            if kind in _MISSING:
                if not named:
                    found[code].add(_MISSING[kind])
            elif named:
                for conflicting in (code, *named):
                    found[conflicting].add(EXCLUDES1_CONFLICT)
    return {code: tuple(flag for flag in FLAGS if flag in told) for code, told in found.items()}


def ancestors(code: str, release: str = "") -> tuple[Code, ...]:
    """The more general codes above a code, nearest first, up to its category."""
    found = []
    entry = icd10cm.lookup(code, release)
    while entry is not None and entry.parent:
        entry = icd10cm.lookup(entry.parent, release)
        if entry is not None:
            found.append(entry)
    return tuple(found)


def rolled_up(codes: tuple[str, ...], release: str = "") -> str | None:
    """The most specific code above or at all of these; None where they share no category or one is unknown."""
    if not codes or any(icd10cm.lookup(code, release) is None for code in codes):
        return None
    lines = [[icd10cm.canonical(c), *(a.code for a in ancestors(c, release))] for c in codes]
    return next((code for code in lines[0] if all(code in line for line in lines[1:])), None)


def _is_extended(code: str, release: str) -> bool:
    """Whether an unknown code is a known one with a seventh character."""
    written = icd10cm.canonical(code)
    stem = icd10cm.lookup(written[:7].rstrip("X."), release) if len(written) == 8 else None
    return stem is not None and bool(stem.seventh)


class _Rules:
    """The rules of a release, by the places of the rows that they hold for."""

    def __init__(self, release: str) -> None:
        arrays = build.codes(release).arrays
        self._kind, self._group = arrays["rule.kind"], arrays["rule.group"]
        self._begin, self._end = arrays["rule.begin"], arrays["rule.end"]
        self._low, self._high = arrays["rule.low"], arrays["rule.high"]

    def of(self, place: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """The rules that hold for a row: each a place in tabular.KINDS and the places of rows that it names."""
        holding: NDArray[np.intp] = np.flatnonzero((self._begin <= place) & (place < self._end))
        targets: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for i in holding.tolist():
            targets[int(self._kind[i]), int(self._group[i])].append((int(self._low[i]), int(self._high[i])))
        for (kind, _), ranges in targets.items():
            yield kind, ranges


@cache
def _rules(release: str, fingerprint: str) -> _Rules:
    """The rules of a release; `fingerprint` tells files that were replaced from those before."""
    return _Rules(release)
