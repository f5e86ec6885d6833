"""ICD-10-CM as a code set: what a code is called, where it stands and whether a claim may carry it.

The set is one dated release; every answer is about that release. Judging a code (flags, roll-up) is in `validity`,
proposing one in the engines.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

from medpipe_assets.lexicon import build
from medpipe_assets.lexicon.tabular import RELEASE, extended

CODE_SYSTEM: Final = "ICD-10-CM"


def code_set_version() -> str:
    """The release's effective date, e.g. '2026-04-01'."""
    return RELEASE


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
    """

    code: str
    title: str
    billable: bool
    category: str
    parent: str
    seventh: str = ""
    default: str = ""


def lookup(code: str) -> Code | None:
    """The entry of a code, written with or without its dot, in either case; None where the set has no such code."""
    dotted = canonical(code)
    columns, places = _table()
    place = places.get(dotted)
    if place is not None:
        meanings = columns["seventh"][place]
        seventh = "" if meanings < 0 else "".join(columns["meanings"][meanings])
        return Code(
            code=dotted,
            title=columns["title"][place],
            billable=bool(columns["leaf"][place]) and not seventh,
            category=dotted[:3],
            parent=columns["parent"][place],
            seventh=seventh,
            default=columns["default"][place],
        )
    return _extended(dotted)


def canonical(code: str) -> str:
    """The code as the set writes it: upper case, a dot after the third character."""
    plain = code.strip().upper().replace(".", "")
    return plain if len(plain) <= 3 else f"{plain[:3]}.{plain[3:]}"


def _extended(code: str) -> Code | None:
    """The entry of a code with its seventh character, which the tabular list describes but doesn't write out."""
    if len(code) != 8:
        return None
    columns, places = _table()
    stem = code[:7]
    while stem not in places and stem.endswith(("X", ".")):
        stem = stem[:-1]
    place = places.get(stem)
    meanings = -1 if place is None else columns["seventh"][place]
    if place is None or meanings < 0 or extended(stem, code[7]) != code:
        return None
    meaning = columns["meanings"][meanings].get(code[7])
    if meaning is None:
        return None
    return Code(code, f"{columns['title'][place]}, {meaning}", True, code[:3], stem, "", code)


@cache
def _table() -> tuple[dict, dict[str, int]]:  # type: ignore[type-arg]
    columns = build.codes()
    return columns, {code: i for i, code in enumerate(columns["code"])}
