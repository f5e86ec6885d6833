"""What is wrong with a code, judged against the code set: pure rules, no proposals and no probabilities."""

from typing import Final

from medpipe_assets.coding import icd10cm
from medpipe_assets.coding.icd10cm import Code

NOT_IN_CODE_SET: Final = "not_in_code_set"
NOT_BILLABLE: Final = "not_billable"
SEVENTH_CHARACTER_MISSING: Final = "seventh_character_missing"
UNSPECIFIED: Final = "unspecified"


def flags(code: str) -> tuple[str, ...]:
    """What keeps a code from a claim, or makes it a poor one; empty for a good one.

    'not_billable': the set divides it further. 'seventh_character_missing': the same, and all it lacks is the seventh
    character. 'unspecified': valid, but the title says that the record could say more.
    """
    entry = icd10cm.lookup(code)
    if entry is None:
        return (NOT_IN_CODE_SET, NOT_BILLABLE)
    found = []
    if not entry.billable:
        found.append(NOT_BILLABLE)
    if entry.seventh:
        found.append(SEVENTH_CHARACTER_MISSING)
    if "unspecified" in entry.title.lower():
        found.append(UNSPECIFIED)
    return tuple(found)


def ancestors(code: str) -> tuple[Code, ...]:
    """The more general codes above a code, nearest first, up to its category."""
    found = []
    entry = icd10cm.lookup(code)
    while entry is not None and entry.parent:
        entry = icd10cm.lookup(entry.parent)
        if entry is not None:
            found.append(entry)
    return tuple(found)


def rolled_up(codes: tuple[str, ...]) -> str | None:
    """The most specific code above or at all of these; None where they share no category or one is unknown."""
    if not codes or any(icd10cm.lookup(code) is None for code in codes):
        return None
    lines = [[icd10cm.canonical(c), *(a.code for a in ancestors(c))] for c in codes]
    return next((code for code in lines[0] if all(code in line for line in lines[1:])), None)
