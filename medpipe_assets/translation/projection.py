"""Carrying spans across a word alignment, from source to English and back.

Pure functions over the stage's Alignment; offsets count code points within a segment. What to show when nothing
aligns (the whole segment, or nothing) is the caller's choice.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from medpipe_assets.translation.engine import Alignment

Span = tuple[int, int]


def project(
    spans: Iterable[Span], alignment: Sequence[Alignment], to: Literal["target", "source"] = "target"
) -> list[Span]:
    """The spans on the other side that the given ones became.

    Args:
        spans: (begin, end) on the side the mention is on; parts of one mention.
        alignment: the segment's word alignment, any order.
        to: the side wanted: 'target' carries source spans to English, 'source' carries English spans back.

    Returns:
        Ordered spans, apart. A unit that a span merely touches counts whole, since words are the smallest thing
        aligned, except where both sides of a unit are equally long and one alone covers the span: then the offsets
        carry over one to one (pass-through text). Spans are joined where no other aligned unit lies between them.
        Empty where nothing aligns.
    """
    units = [_oriented(a, to) for a in alignment]
    hits: set[Span] = set()
    for begin, end in spans:
        hits.update(_carried(begin, end, unit) for unit in units if unit[0] < end and begin < unit[1])
    return _joined(sorted(hits), sorted(unit[2:] for unit in units))


def _oriented(a: Alignment, to: str) -> tuple[int, int, int, int]:
    if to == "target":
        return a.source_begin, a.source_end, a.target_begin, a.target_end
    return a.target_begin, a.target_end, a.source_begin, a.source_end


def _carried(begin: int, end: int, unit: tuple[int, int, int, int]) -> Span:
    here_begin, here_end, there_begin, there_end = unit
    if here_end - here_begin == there_end - there_begin and here_begin == there_begin:
        return max(begin, here_begin), min(end, here_end)
    return there_begin, there_end


def _joined(hits: list[Span], there: list[Span]) -> list[Span]:
    """Merge neighbours: overlapping ones, and those with nothing aligned between them (blanks, punctuation)."""
    joined: list[Span] = []
    for begin, end in hits:
        if joined and not any(joined[-1][1] <= b and e <= begin for b, e in there if b < e):
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined
