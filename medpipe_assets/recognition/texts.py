"""A document as recognisers and coders read it: stretches of one language, with the way back to pages and segments.

An engine sees plain text; these pure functions join pages (or translated segments) into such texts and carry offsets
back. Nothing here knows an engine.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Offsets = tuple[int, int]
PAGE_BREAK = "\n\n"
"""Between joined pages: ends a sentence, but lets a mention that crosses a page be found by those who look for it."""


WHOLE_PAGE = -1
"""In place of a segment's index, where a piece is a page."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a joined text: where it begins there, its length, and what it is (page, and segment or WHOLE_PAGE)."""

    begin: int
    length: int
    page: int
    segment_index: int


@dataclass(frozen=True, slots=True)
class JoinedText:
    """A stretch of a document in one language."""

    text: str
    language: str
    pieces: tuple[Piece, ...]

    def locate(self, spans: Sequence[Offsets]) -> list[tuple[Piece, int, int]]:
        """Where spans of the joined text lie: (piece, begin, end) with offsets within the piece, breaks left out."""
        starts = [piece.begin for piece in self.pieces]
        found: list[tuple[Piece, int, int]] = []
        for begin, end in spans:
            for piece in self.pieces[max(0, bisect_right(starts, begin) - 1) :]:
                if piece.begin >= end:
                    break
                low, high = max(begin, piece.begin), min(end, piece.begin + piece.length)
                if low < high:
                    found.append((piece, low - piece.begin, high - piece.begin))
        return found


def join(parts: Sequence[tuple[Piece, str]], language: str, separator: str) -> JoinedText:
    """Join texts; the pieces given tell only page and segment, their places are set here."""
    pieces: list[Piece] = []
    position = 0
    for piece, text in parts:
        pieces.append(Piece(position, len(text), piece.page, piece.segment_index))
        position += len(text) + len(separator)
    return JoinedText(separator.join(text for _, text in parts), language, tuple(pieces))


def source_texts(pages: Sequence[Mapping[str, Any]]) -> list[JoinedText]:
    """The document in its own languages: consecutive pages of one language together."""
    ordered = sorted(pages, key=lambda page: page["page"])
    return [
        join([(Piece(0, 0, page["page"], WHOLE_PAGE), page["text"]) for page in run], language, PAGE_BREAK)
        for language, run in groupby(ordered, key=lambda page: page["language"])
    ]


def english_texts(segments: Sequence[Mapping[str, Any]]) -> list[JoinedText]:
    """The document in English: all translated segments, one a line, pages parted as in `source_texts`."""
    ordered = sorted(segments, key=lambda s: (s["page"], s["segment_index"]))
    parts: list[str] = []
    pieces: list[Piece] = []
    position = 0
    for segment in ordered:
        if pieces:
            gap = "\n" if pieces[-1].page == segment["page"] else PAGE_BREAK
            parts.append(gap)
            position += len(gap)
        pieces.append(Piece(position, len(segment["target_text"]), segment["page"], segment["segment_index"]))
        parts.append(segment["target_text"])
        position += len(segment["target_text"])
    return [JoinedText("".join(parts), "en", tuple(pieces))] if pieces else []
