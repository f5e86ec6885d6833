"""The rules: each passes a good table and finds the document whose row was spoiled, and only that."""

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.documents import checks
from medpipe_assets.documents.checks import Rule
from medpipe_tests.unit.lake.builders import document, rows

GOOD, BAD = document("good"), document("bad")
TEXT = "Doña Ana 𝒳 has a cough. Fever too."
ENGLISH = "Ana has a cough."
COUGH = (TEXT.index("cough"), TEXT.index("cough") + 5)
ALIGNMENT = {"source_begin": 0, "source_end": 4, "target_begin": 0, "target_end": 3}


def both(row: Mapping[str, Any], spoiled: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same row for both documents, spoiled for one."""
    return [{**row, "document_id": GOOD}, {**row, "document_id": BAD, **spoiled}]


PAGE = {"page": 1, "language": "es", "text": TEXT, "mean_confidence": 0.9}
WORD = {
    "page": 1, "text": "cough", "text_begin": COUGH[0], "text_end": COUGH[1],
    "confidence": 0.5, "x0": 0.1, "y0": 0.1, "x1": 0.2, "y1": 0.2,
}  # fmt: skip
SEGMENT = {
    "page": 1, "segment_index": 0, "source_begin": 0, "source_end": len(TEXT), "source_text": TEXT,
    "target_text": ENGLISH, "alignment": [ALIGNMENT],
}  # fmt: skip
ENTITY = {
    "text": "cough", "score": 0.9,
    "source_spans": [{"page": 1, "begin": COUGH[0], "end": COUGH[1]}],
    "target_spans": [{"page": 1, "segment_index": 0, "begin": 10, "end": 15}],
}  # fmt: skip
RELEASE = "2026-04-01"
CODE = {"code": "R05.9", "code_set_version": RELEASE, "billable": True, "flags": [], "score": 0.5}


def tables(table: str = "", **spoiled: Any) -> dict[str, pa.Table]:
    """Good tables of two documents, one column of one of them spoiled for BAD."""
    good = {
        "pages": PAGE,
        "words": WORD,
        "segments": SEGMENT,
        "entities": ENTITY,
        "icd10_mappings": CODE,
        "document_codes": {"probability": 0.5},
        "raw_documents": {"media_type": "text/plain", "size_bytes": 1},
    }
    made = {}
    for name, row in good.items():
        given_rows = both(row, spoiled if name == table else {})
        if name in ("entities", "icd10_mappings"):
            for given_row in given_rows:
                given_row.setdefault("entity_id", f"of {given_row['document_id']}")
        made[name] = rows(name, *given_rows)
    return made


BILLABLE: Mapping[str, bool] = {"R05.9": True, "R05": False}
VALID_CODES = checks.codes_are_valid(lambda code, release: BILLABLE.get(code) if release == RELEASE else None)
SUPPORTED = checks.media_types_are_supported({"text/plain"})

SPOILED: list[tuple[Rule, str, dict[str, Any]]] = [
    (checks.words_match_their_page, "words", {"text": "Cough"}),
    (checks.words_match_their_page, "words", {"text_begin": COUGH[0] - 1}),
    (checks.words_match_their_page, "words", {"text_begin": COUGH[0] - len(TEXT), "text_end": COUGH[1] - len(TEXT)}),
    (checks.words_match_their_page, "words", {"text_end": COUGH[1] - len(TEXT)}),
    (checks.words_match_their_page, "words", {"text": "too.", "text_begin": len(TEXT) - 4, "text_end": len(TEXT) + 1}),
    (checks.words_match_their_page, "words", {"text": "", "text_begin": 5, "text_end": 4}),
    (checks.words_match_their_page, "words", {"page": 2}),
    (checks.words_inside_page, "words", {"x1": 1.01}),
    (checks.words_inside_page, "words", {"y0": -0.01}),
    (checks.words_inside_page, "words", {"x0": math.nan}),
    (checks.words_inside_page, "words", {"x0": 0.3}),
    (checks.words_inside_page, "words", {"y0": 0.3}),
    (checks.words_inside_page, "words", {"x0": None}),
    (checks.words_inside_page, "words", {"y1": None}),
    (checks.words_inside_page, "words", {"x1": None}),
    (checks.words_inside_page, "words", {"y0": None}),
    (checks.words_inside_page, "words", {"x0": None, "y1": None}),
    (checks.confidence_in_range, "words", {"confidence": 1.5}),
    (checks.confidence_in_range, "pages", {"mean_confidence": -0.1}),
    (checks.confidence_in_range, "pages", {"mean_confidence": math.nan}),
    (checks.pages_have_a_language, "pages", {"language": ""}),
    (checks.pages_have_a_language, "pages", {"page": 0}),
    (checks.segments_match_their_page, "segments", {"source_begin": 1}),
    (checks.segments_match_their_page, "segments", {"source_begin": -len(TEXT)}),
    (checks.segments_match_their_page, "segments", {"source_end": len(TEXT) + 1}),
    (checks.segments_match_their_page, "segments", {"page": 2}),
    (checks.segments_match_their_page, "segments", {"alignment": [{**ALIGNMENT, "target_end": len(ENGLISH) + 1}]}),
    (checks.segments_match_their_page, "segments", {"alignment": [{**ALIGNMENT, "source_end": len(TEXT) + 1}]}),
    (checks.segments_match_their_page, "segments", {"alignment": [{**ALIGNMENT, "source_begin": -1}]}),
    (checks.segments_match_their_page, "segments", {"alignment": [{**ALIGNMENT, "source_begin": 5}]}),
    (checks.entities_match_their_page, "entities", {"text": "fever"}),
    (checks.entities_match_their_page, "entities", {"source_spans": [], "target_spans": []}),
    (checks.entities_match_their_page, "entities", {"source_spans": [{"page": 9, "begin": 0, "end": 5}]}),
    (checks.entities_match_their_page, "entities", {"source_spans": [{"page": 1, "begin": -5, "end": 5}]}),
    (checks.entities_match_their_page, "entities", {"source_spans": [{"page": 1, "begin": 0, "end": len(TEXT) + 1}]}),
    (checks.entities_match_their_page, "entities", {"source_spans": [{"page": 1, "begin": 5, "end": 5}]}),
    (
        checks.entities_match_their_page,
        "entities",
        {"target_spans": [{"page": 1, "segment_index": 7, "begin": 10, "end": 15}]},
    ),
    (checks.entity_scores_in_range, "entities", {"score": 1.1}),
    (checks.entity_scores_in_range, "entities", {"entity_id": f"of {GOOD}"}),
    (checks.codes_have_their_entity, "icd10_mappings", {"entity_id": f"of {GOOD}"}),
    (checks.codes_have_their_entity, "icd10_mappings", {"score": 2.0}),
    (checks.codes_have_their_entity, "document_codes", {"probability": -1.0}),
    (VALID_CODES, "icd10_mappings", {"code": "R05"}),
    (VALID_CODES, "icd10_mappings", {"billable": False}),
    (VALID_CODES, "icd10_mappings", {"code": "X", "billable": False}),
    (VALID_CODES, "icd10_mappings", {"code_set_version": "2025-10-01"}),
    (VALID_CODES, "icd10_mappings", {"code": "X", "flags": ["not_in_code_set"]}),
    (SUPPORTED, "raw_documents", {"media_type": "video/mp4"}),
    (SUPPORTED, "raw_documents", {"size_bytes": 0}),
]


@pytest.mark.parametrize(
    "rule", {id(rule): rule for rule, _, _ in SPOILED}.values(), ids=lambda rule: rule.__qualname__
)
def test_a_rule_passes_good_rows(rule: Rule) -> None:
    assert set(rule(tables())) == set()


@pytest.mark.parametrize(("rule", "table", "spoiled"), SPOILED)
def test_a_rule_finds_the_document_that_was_spoiled(rule: Rule, table: str, spoiled: dict[str, Any]) -> None:
    assert set(rule(tables(table, **spoiled))) == {BAD}


@pytest.mark.parametrize(
    "rule", {id(rule): rule for rule, _, _ in SPOILED}.values(), ids=lambda rule: rule.__qualname__
)
def test_a_rule_passes_a_day_without_rows(rule: Rule) -> None:
    assert set(rule({name: table.slice(0, 0) for name, table in tables().items()})) == set()


def test_a_page_that_stands_twice_is_found() -> None:
    doubled = pa.concat_tables([tables()["pages"], tables()["pages"].slice(1)])
    assert checks.pages_have_a_language({"pages": doubled}) == {BAD}


def test_words_without_a_layout_are_fine() -> None:
    words = rows("words", {**WORD, **dict.fromkeys(("x0", "y0", "x1", "y1", "confidence"))})
    assert checks.words_inside_page({"words": words}) == set()
    assert checks.confidence_in_range({"words": words, "pages": rows("pages", PAGE)}) == set()


def test_a_code_outside_the_code_set_passes_where_it_says_so() -> None:
    flagged = {"code": "X", "billable": False, "flags": ["not_in_code_set"]}
    assert VALID_CODES(tables("icd10_mappings", **flagged)) == set()


def test_an_entity_read_in_english_is_named_by_its_english_spans() -> None:
    english = {"text": "has a", "target_spans": [{"page": 1, "segment_index": 0, "begin": 4, "end": 9}]}
    assert checks.entities_match_their_page(tables("entities", **english)) == set()


def test_a_mention_in_parts_is_named_by_all_of_them() -> None:
    fever = TEXT.index("Fever")
    spans = [{"page": 1, "begin": COUGH[0], "end": COUGH[1]}, {"page": 1, "begin": fever, "end": fever + 5}]
    assert checks.entities_match_their_page(tables("entities", text="cough Fever", source_spans=spans)) == set()
    half = tables("entities", text="cough Fever", source_spans=spans[:1])
    assert checks.entities_match_their_page(half) == {BAD}


@given(st.text(), st.data())
def test_a_word_matches_where_python_slices_it(text: str, data: st.DataObject) -> None:
    text = text.encode("utf-8", "ignore").decode()  # what a table can hold
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    page = rows("pages", {**PAGE, "document_id": GOOD, "text": text})
    word = {**WORD, "document_id": GOOD, "text": text[begin:end], "text_begin": begin, "text_end": end}
    assert checks.words_match_their_page({"pages": page, "words": rows("words", word)}) == set()
    wrong = {**word, "text": f"{text[begin:end]}!"}
    assert checks.words_match_their_page({"pages": page, "words": rows("words", wrong)}) == {GOOD}


@given(st.lists(st.floats(0, 1, width=32), min_size=1), st.floats(width=32))
def test_a_score_outside_its_range_is_found_among_any_others(good: list[float], other: float) -> None:
    found = checks.entity_scores_in_range(
        {
            "entities": rows(
                "entities",
                *({"document_id": GOOD, "entity_id": str(n), "score": score} for n, score in enumerate(good)),
                {"document_id": BAD, "entity_id": "other", "score": other},
            )
        }
    )
    assert found == (set() if 0 <= other <= 1 else {BAD})
