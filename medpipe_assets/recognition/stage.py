"""The recognition stage for one document: pages and segments in, columns of `entities` out. Pure but for the engine.

The engine reads one side (the document's own language, or English); this module finds the spans on the other side.
"""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from medpipe_assets.recognition.engine import Attribute, Mention, Offsets, RecognitionEngine, Trait
from medpipe_assets.recognition.texts import JoinedText, english_texts, source_texts
from medpipe_assets.translation.engine import Alignment
from medpipe_assets.translation.projection import project

Columns = dict[str, list[Any]]
Row = Mapping[str, Any]


def recognise_document(
    engine: RecognitionEngine, document_id: str, pages: Sequence[Row], segments: Sequence[Row]
) -> Columns:
    """Find a document's entities.

    Args:
        pages: rows of `pages` with page, language, text.
        segments: rows of `segments`.
    """
    reads_source = engine.reads == "source"
    texts = source_texts(pages) if reads_source else english_texts(segments)
    sides = _Sides(segments)
    columns: Columns = defaultdict(list)
    seen: set[str] = set()
    for text in texts:
        if not engine.supports(text.language):
            continue
        for mention in engine.recognise(text.text, text.language):
            source, target, projection = (
                sides.from_source(text, mention.spans) if reads_source else sides.from_english(text, mention.spans)
            )
            # Where English was read, two mentions of a segment may have one and the same place in the source.
            entity_id = _entity_id(document_id, source if reads_source else [*source, *target], mention)
            if entity_id in seen:
                continue
            seen.add(entity_id)
            row = {
                "entity_id": entity_id,
                "category": mention.category,
                "type": mention.type,
                "text": " ".join(text.text[begin:end] for begin, end in mention.spans),
                "language": text.language,
                "source_spans": source,
                "target_spans": target,
                "projection": projection,
                "score": mention.score,
                "traits": [_trait(trait) for trait in mention.traits],
                "attributes": [_attribute(a, text, sides, reads_source) for a in mention.attributes],
            }
            for name, value in row.items():
                columns[name].append(value)
    return dict(columns)


class _Sides:
    """A document's segments by page, to go from source spans to English ones and back."""

    def __init__(self, segments: Sequence[Row]) -> None:
        self._by_page: dict[int, list[Row]] = defaultdict(list)
        self._by_place: dict[tuple[int, int], Row] = {}
        for segment in sorted(segments, key=lambda s: (s["page"], s["segment_index"])):
            self._by_page[segment["page"]].append(segment)
            self._by_place[segment["page"], segment["segment_index"]] = segment
        self._ends = {page: [s["source_end"] for s in found] for page, found in self._by_page.items()}

    def from_source(self, text: JoinedText, spans: Sequence[Offsets]) -> tuple[list[Any], list[Any], str]:
        """Source spans as rows, the English ones they became, and how these were found."""
        source: list[Any] = []
        target: list[Any] = []
        exact = True
        for piece, begin, end in text.locate(spans):
            source.append({"page": piece.page, "begin": begin, "end": end})
            for segment in self._between(piece.page, begin, end):
                offset = segment["source_begin"]
                inside = (max(begin, offset) - offset, min(end, segment["source_end"]) - offset)
                found, aligned = _other_side(segment, inside, "target", len(segment["target_text"]))
                exact = exact and aligned
                place = {"page": piece.page, "segment_index": segment["segment_index"]}
                target += [{**place, "begin": b, "end": e} for b, e in found]
        return source, target, _projection(target, exact)

    def from_english(self, text: JoinedText, spans: Sequence[Offsets]) -> tuple[list[Any], list[Any], str]:
        """As `from_source`, for spans of the English."""
        source: list[Any] = []
        target: list[Any] = []
        exact = True
        for piece, begin, end in text.locate(spans):
            segment = self._by_place[piece.page, piece.segment_index]
            target.append({"page": piece.page, "segment_index": piece.segment_index, "begin": begin, "end": end})
            found, aligned = _other_side(segment, (begin, end), "source", len(segment["source_text"]))
            exact = exact and aligned
            offset = segment["source_begin"]
            source += [{"page": piece.page, "begin": offset + b, "end": offset + e} for b, e in found]
        return source, target, _projection(source, exact)

    def _between(self, page: int, begin: int, end: int) -> Iterator[Row]:
        """The segments of a page that overlap a span."""
        segments = self._by_page[page]
        for segment in segments[bisect_right(self._ends.get(page, []), begin) :]:
            if segment["source_begin"] >= end:
                return
            yield segment


def _other_side(
    segment: Row, span: Offsets, to: Literal["target", "source"], length: int
) -> tuple[list[Offsets], bool]:
    """Where a span of a segment went, and whether word by word; the whole segment where nothing aligns."""
    alignment = [Alignment(**pair) for pair in segment["alignment"] or ()]
    found = [(begin, end) for begin, end in project([span], alignment, to=to) if begin < end]
    whole = [(0, length)] if length else []
    return found or whole, bool(found)


def _projection(other_side: list[Any], exact: bool) -> str:
    if not other_side:
        return "none"
    return "word" if exact else "segment"


def _entity_id(document_id: str, place: list[Any], mention: Mention) -> str:
    spans = [list(span.values()) for span in place]
    identity = f"{document_id} {spans} {mention.category} {mention.type}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _trait(trait: Trait) -> dict[str, Any]:
    return {"name": trait.name, "score": trait.score}


def _attribute(attribute: Attribute, text: JoinedText, sides: _Sides, reads_source: bool) -> dict[str, Any]:
    find = sides.from_source if reads_source else sides.from_english
    source, _, _ = find(text, attribute.spans)
    return {
        "type": attribute.type,
        "category": attribute.category,
        "text": attribute.text,
        "score": attribute.score,
        "relationship_score": attribute.relationship_score,
        "relationship_type": attribute.relationship_type,
        "source_spans": source,
        "traits": [_trait(trait) for trait in attribute.traits],
    }
