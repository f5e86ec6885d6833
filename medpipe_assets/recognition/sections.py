"""The sections of a clinical text, by their headings.

Belongs here: where a section begins and ends and of which kind it is. Does not belong here: what follows from that for
the mentions inside (assertion.py decides).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from medpipe_assets.recognition.terms import LANGUAGES, Terms, read_table

WRAPPED = 120
"""Longest line of a text that breaks its lines for the page; a longer line is a whole paragraph."""

_LINE_END, _BLANK_LINE = re.compile(r"\n"), re.compile(r"\n[ \t]*\n")
_LINE_START = re.compile(r"(?:^|\n)[ \t]*(?:[#*•\-–>]+|\d{1,2}[.)])?[ \t*_]*$")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
_SENTENCE_START = re.compile(r"[.;!?][ \t]+$")
# An unknown heading: a label alone on its line, or a line in capitals. 'Father: ...' within a section is none.
_ANY_HEADING = re.compile(r"^[ \t#*•]*[^\W\d_](?:[^\n:.;,]{1,48}:|[^\na-zß-ÿ.:;,]{3,58})[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text under one heading: kind (a kind of headings.tsv, or OTHER), begin (after the heading), end.

    `heading` is where its heading begins; `inline` whether text stands behind the heading's colon.
    """

    kind: str
    begin: int
    end: int
    heading: int
    inline: bool


@cache
def _headings(language: str) -> tuple[Terms, tuple[str, ...]]:
    rows = [row for row in read_table("headings.tsv") if row["language"] == language]
    return Terms(row["heading"] for row in rows), tuple(row["kind"] for row in rows)


@lru_cache(maxsize=2)
def sections(text: str, language: str) -> tuple[Section, ...]:
    """The sections under known headings, in order; text under no heading, or under an unknown one, is in none.

    A heading that stands alone on its line opens a section up to the next heading, known or not. A heading with text
    behind its colon opens one up to the end of the paragraph or the next heading, for what follows is prose again; or
    of its sentence, where it stands in the middle of a line.
    """
    if language not in LANGUAGES:
        return ()
    terms, kinds = _headings(language)
    found: list[tuple[int, int, str, bool]] = []
    for match in terms.find(text):
        alone = _heading_kind(text, match.begin, match.end)
        if alone is not None:
            found.append((match.begin, match.end, kinds[match.index], alone))
    if not found:
        return ()
    starts = sorted({begin for begin, *_ in found} | {m.start() for m in _ANY_HEADING.finditer(text)})
    return tuple(
        Section(kind, end, _section_end(text, begin, end, alone, starts), begin, not alone)
        for begin, end, kind, alone in found
    )


def _heading_kind(text: str, begin: int, end: int) -> bool | None:
    """True for a heading alone on its line, False for one with text behind its colon, None for no heading."""
    before = text[max(0, begin - 40) : begin]
    on_own_line = begin == 0 or _LINE_START.search(before) is not None
    if not on_own_line and not _SENTENCE_START.search(before):
        return None
    rest = text[end : end + 200].split("\n", 1)[0].strip(" \t*_")
    if on_own_line and rest in ("", ":", ".", "-"):
        return True
    return False if rest.startswith(":") or (on_own_line and rest.startswith((". ", "- "))) else None


def _section_end(text: str, heading: int, begin: int, alone: bool, starts: Sequence[int]) -> int:
    following = bisect_right(starts, begin)
    end = starts[following] if following < len(starts) else len(text)
    if not alone:
        line_end = text.find("\n", begin, end)
        unwrapped = line_end - text.rfind("\n", 0, begin) > WRAPPED
        paragraph = _LINE_END.search(text, begin, end) if unwrapped else _BLANK_LINE.search(text, begin, end)
        end = paragraph.start() if paragraph else end
        if _SENTENCE_START.search(text, max(0, heading - 40), heading):
            sentence = _SENTENCE_END.search(text, begin, end)
            end = sentence.end() if sentence else end
    return end
