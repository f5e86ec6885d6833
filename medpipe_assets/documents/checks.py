"""What must hold of every stage's rows: pure functions from tables to the ids of documents that break a rule.

The same rules guard each chunk before it is committed and, as asset checks, a whole day afterwards. A rule knows
tables, not engines; it reads each table's columns once.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Tables = Mapping[str, pa.Table]
Rule = Callable[[Tables], Collection[str]]


def _rows(table: pa.Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


def _page_texts(tables: Tables) -> dict[tuple[str, int], str]:
    return {(d, page): text for d, page, text in _rows(tables["pages"], "document_id", "page", "text")}


def _outside(table: pa.Table, *columns: str) -> set[str]:
    """Documents with a value outside 0..1 (nulls pass) in any of the columns."""
    found: set[str] = set()
    for name in columns:
        values = table[name]
        bad = pc.fill_null(pc.or_(pc.less(values, 0), pc.greater(values, 1)), False)
        bad = pc.or_(bad, pc.fill_null(pc.is_nan(values), False))
        found.update(table["document_id"].filter(bad).to_pylist())
    return found


def words_match_their_page(tables: Tables) -> set[str]:
    """Each word is the slice of its page's text that its offsets name."""
    texts = _page_texts(tables)
    rows = _rows(tables["words"], "document_id", "page", "text", "text_begin", "text_end")
    return {d for d, page, word, begin, end in rows if not _is_slice(word, texts.get((d, page), ""), begin, end)}


def _is_slice(part: str, whole: str, begin: int, end: int) -> bool:
    """Whether the offsets lie inside the text and name the part; Python's slices alone would forgive some."""
    return 0 <= begin <= end <= len(whole) and whole[begin:end] == part


def words_inside_page(tables: Tables) -> set[str]:
    """Boxes are fractions of the page, not turned inside out, and have all four sides or none."""
    words = tables["words"]
    found = _outside(words, "x0", "y0", "x1", "y1")
    for low, high in (("x0", "x1"), ("y0", "y1")):
        inverted = pc.fill_null(pc.greater(words[low], words[high]), False)
        found.update(words["document_id"].filter(inverted).to_pylist())
    for side in ("y0", "x1", "y1"):
        partial = pc.not_equal(pc.is_null(words["x0"]), pc.is_null(words[side]))
        found.update(words["document_id"].filter(partial).to_pylist())
    return found


def confidence_in_range(tables: Tables) -> set[str]:
    """Confidences of words and pages are null or between 0 and 1."""
    return _outside(tables["words"], "confidence") | _outside(tables["pages"], "mean_confidence")


def pages_have_a_language(tables: Tables) -> set[str]:
    """Each page names its language, and pages are numbered from 1 without a double."""
    seen: set[tuple[str, int]] = set()
    found: set[str] = set()
    for document_id, page, language in _rows(tables["pages"], "document_id", "page", "language"):
        if not language or page < 1 or (document_id, page) in seen:
            found.add(document_id)
        seen.add((document_id, page))
    return found


def segments_match_their_page(tables: Tables) -> set[str]:
    """Each segment is the slice of its page that its offsets name; alignments stay inside their texts."""
    texts = _page_texts(tables)
    rows = _rows(
        tables["segments"],
        "document_id", "page", "source_begin", "source_end", "source_text", "target_text", "alignment",
    )  # fmt: skip
    return {
        d
        for d, page, begin, end, source, target, alignment in rows
        if not _is_slice(source, texts.get((d, page), ""), begin, end)
        or any(not _aligned_inside(pair, len(source), len(target)) for pair in alignment or ())
    }


def _aligned_inside(pair: Mapping[str, int], source: int, target: int) -> bool:
    return 0 <= pair["source_begin"] <= pair["source_end"] <= source and (
        0 <= pair["target_begin"] <= pair["target_end"] <= target
    )


def entities_match_their_page(tables: Tables) -> set[str]:
    """An entity's words are what its spans name: in the pages, or in the English where that is what was read."""
    texts = _page_texts(tables)
    segments = {
        (d, page, index): text
        for d, page, index, text in _rows(
            tables["segments"], "document_id", "page", "segment_index", "target_text"
        )
    }  # fmt: skip
    found: set[str] = set()
    rows = _rows(tables["entities"], "document_id", "text", "source_spans", "target_spans")
    for document_id, text, source_spans, target_spans in rows:
        source = [(texts.get((document_id, s["page"]), ""), s["begin"], s["end"]) for s in source_spans]
        target = [
            (segments.get((document_id, s["page"], s["segment_index"]), ""), s["begin"], s["end"]) for s in target_spans
        ]
        inside = all(0 <= begin < end <= len(whole) for whole, begin, end in (*source, *target))
        if not inside or not (_names(source, text) or _names(target, text)):
            found.add(document_id)
    return found


def _names(spans: list[tuple[str, int, int]], text: str) -> bool:
    named = "".join(whole[begin:end] for whole, begin, end in spans)
    return bool(spans) and "".join(named.split()) == "".join(text.split())


def entity_scores_in_range(tables: Tables) -> set[str]:
    """Scores are between 0 and 1, and no mention stands twice."""
    entities = tables["entities"]
    found = _outside(entities, "score")
    seen: set[str] = set()
    for document_id, entity_id in _rows(entities, "document_id", "entity_id"):
        if entity_id in seen:
            found.add(document_id)
        seen.add(entity_id)
    return found


def codes_have_their_entity(tables: Tables) -> set[str]:
    """Each candidate code belongs to an entity of its document; probabilities are between 0 and 1."""
    entities = set(_rows(tables["entities"], "document_id", "entity_id"))
    mappings = tables["icd10_mappings"]
    found = {d for d, e in _rows(mappings, "document_id", "entity_id") if (d, e) not in entities}
    return found | _outside(mappings, "score") | _outside(tables["document_codes"], "probability")


def codes_are_valid(billable: Callable[[str, str], bool | None]) -> Rule:
    """A rule: codes are in the row's release of the code set with the right billable flag, or flagged as not in it.

    Args:
        billable: whether a code is a leaf of a release; None where the release lacks it.
    """

    def rule(tables: Tables) -> set[str]:
        found: set[str] = set()
        for document_id, code, release, flag, flags in _rows(
            tables["icd10_mappings"], "document_id", "code", "code_set_version", "billable", "flags"
        ):
            truth = billable(code, release)
            known = truth is not None or "not_in_code_set" in flags
            if not known or flag != bool(truth):
                found.add(document_id)
        return found

    return rule


def media_types_are_supported(supported: Collection[str]) -> Rule:
    """A rule: a document that is done with intake can be read by the next stage, and has a size."""

    def rule(tables: Tables) -> set[str]:
        rows = _rows(tables["raw_documents"], "document_id", "media_type", "size_bytes")
        return {d for d, media_type, size in rows if media_type not in supported or size <= 0}

    return rule
