"""Chunks: what a service is sent, and the way back."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.text_chunks import (
    MIN_LIMIT,
    MIN_SHARED,
    PAGE_BREAK,
    chunks,
    digest,
    inked,
    passages,
    sentence_ends,
    shared_lines,
)

TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="ab .\n\r\té😀\u0301\u200d👩", max_size=200),
    st.lists(st.sampled_from(["Fever. ", "No cough\n", "Dr. Li ", "天気。 ", "e\u0301e\u0301 ", "👩‍⚕️", "."])).map(
        "".join
    ),
)


@given(TEXTS, st.integers(MIN_LIMIT, 60))
def test_chunks_cover_the_text_without_gap_or_overlap_and_keep_the_limit(text: str, limit: int) -> None:
    found = chunks(text, limit)
    assert "".join(text[begin:end] for begin, end in found) == text
    assert [begin for begin, _ in found] == [0, *(end for _, end in found)][: len(found)]
    assert all(begin < end and len(text[begin:end].encode()) <= limit for begin, end in found)


@given(TEXTS, st.integers(MIN_LIMIT, 60), st.data())
def test_an_offset_of_a_chunk_maps_back_to_the_same_words(text: str, limit: int, data: st.DataObject) -> None:
    for begin, end in chunks(text, limit):
        chunk = text[begin:end]
        b = data.draw(st.integers(0, len(chunk)))
        e = data.draw(st.integers(b, len(chunk)))
        assert text[begin + b : begin + e] == chunk[b:e]


@given(st.text(alphabet="ae\u0301👩\u200d⚕🇫🇷"), st.integers(40, 60))
def test_a_grapheme_that_fits_is_never_cut(text: str, limit: int) -> None:
    graphemes = [m.span() for m in regex.finditer(r"\X", text)]
    if all(len(text[begin:end].encode()) <= limit for begin, end in graphemes):
        assert {end for _, end in chunks(text, limit)} <= {end for _, end in graphemes}


def test_a_text_is_cut_where_a_sentence_ends() -> None:
    text = "Fever for three days. No cough. Was seen by Dr. Smith at home."
    assert [text[b:e] for b, e in chunks(text, 34)] == [
        "Fever for three days. No cough. ",
        "Was seen by Dr. Smith at home.",
    ]


def test_without_a_sentence_end_in_reach_a_text_is_cut_between_words() -> None:
    text = "shortness of breath and chest pain"
    assert [text[b:e] for b, e in chunks(text, 20)] == ["shortness of breath ", "and chest pain"]


def test_the_limit_counts_bytes_and_not_characters() -> None:
    assert chunks("ñ" * 10, 20) == [(0, 10)]
    assert chunks("ñ" * 11, 20) == [(0, 10), (10, 11)]


def test_a_limit_that_no_character_needs_to_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes"):
        chunks("a", MIN_LIMIT - 1)


def test_titles_initials_and_small_letters_do_not_end_a_sentence() -> None:
    text = "Mrs. J. Doe took approx. two pills. Then slept."
    assert sentence_ends(text) == [text.index("Then")]


@given(TEXTS)
def test_inked_drops_white_space_only(text: str) -> None:
    begin, end = inked(text, 0, len(text))
    assert text[begin:end] == text.strip()


FOOTER = "This report is confidential and is meant for the physician named above and for nobody else at all. " * 2


@given(st.lists(st.sampled_from(["Fever.", "Cough.", FOOTER, "Family history:", "", PAGE_BREAK])))
def test_passages_hold_all_ink_in_order(lines: list[str]) -> None:
    text = "\n".join(lines)
    found = passages(text, frozenset({digest(FOOTER), digest("Family history:")}))
    assert "".join("".join(text[b:e].split()) for b, e in found) == "".join(text.split())
    assert all(b < e and text[b:e] == text[b:e].strip() for b, e in found)
    assert found == sorted(found)


def test_the_same_page_is_the_same_passage_in_every_document() -> None:
    page = "Hypertension.\nNo fever."
    for text in (page, f"Other page.{PAGE_BREAK}{page}", f"{page}{PAGE_BREAK}Last page."):
        assert page in [text[b:e] for b, e in passages(text)]


def test_lines_that_many_documents_share_become_a_passage_of_their_own() -> None:
    texts = [f"Fever {i}.\n{FOOTER}\nSigned {i}." for i in range(3)]
    shared = shared_lines(texts)
    assert shared == {digest(FOOTER)}
    cut = [[text[b:e] for b, e in passages(text, shared)] for text in texts]
    assert cut == [[f"Fever {i}.", FOOTER.strip(), f"Signed {i}."] for i in range(3)]


def test_a_shared_heading_stays_with_the_text_below_it() -> None:
    heading = "Family history:"
    text = f"{FOOTER}\n{heading}\nMother had diabetes."
    found = [text[b:e] for b, e in passages(text, frozenset({digest(FOOTER), digest(heading)}))]
    assert found == [FOOTER.strip(), f"{heading}\nMother had diabetes."]
    assert len(heading) < MIN_SHARED


def test_white_space_does_not_make_a_line_another() -> None:
    assert digest(" St.  Mary\tHospital ") == digest("St. Mary Hospital") != digest("St Mary Hospital")
