"""Plain text: encodings, clean-up, pages, offsets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import plain_text
from medpipe_assets.extraction.text_pages import clean, pages_of
from medpipe_tests.unit.extraction.checks import assert_sound

NOTE = "Paciente de 54 años con neumonía. Diagnóstico: «EPOC», corazón sin soplos – alta."


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "mac_roman"]
)
def test_a_note_reads_the_same_in_every_encoding(encoding: str) -> None:
    page = plain_text.extract(NOTE.encode(encoding)).pages[0]
    assert page.text == NOTE


@pytest.mark.parametrize("encoding", ["latin-1", "cp850"])
def test_a_note_from_older_systems_keeps_its_accents(encoding: str) -> None:
    note = "Niño de 3 años con otitis, sin fiebre. Evolución favorable; próxima revisión el día 5."
    assert plain_text.extract(note.encode(encoding)).pages[0].text == note


def test_a_form_feed_begins_a_page_and_a_last_one_does_not() -> None:
    extraction = plain_text.extract(b"first page\r\n\x0csecond\rpage\x0c\n")
    assert [(p.number, p.text) for p in extraction.pages] == [(1, "first page"), (2, "second\npage")]


def test_zeros_and_controls_in_a_text_are_dropped() -> None:
    assert plain_text.extract(b"BP 120/80\x00\x07 mmHg, pulse 72, no fever").pages[0].text.startswith("BP 120/80 mmHg")


def test_ligatures_and_loose_accents_become_the_letters_that_people_search_for() -> None:
    assert clean("\ufb01ebre neumoni\u0301a") == "fiebre neumonía"


@pytest.mark.parametrize("data", [b" \n\t\r\n", b"\x0c\x0c"])
def test_a_text_without_words_is_empty(data: bytes) -> None:
    with pytest.raises(DocumentError) as raised:
        plain_text.extract(data)
    assert raised.value.reason is Reason.EMPTY


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=300))
def test_offsets_name_the_words_of_any_text(text: str) -> None:
    for page in pages_of(text):
        assert [page.text[b:e] for b, e in zip(page.words.begin, page.words.end, strict=True)] == page.words.text
        page.text.encode("utf-8")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_a_reason(data: bytes) -> None:
    try:
        assert_sound(plain_text.extract(data))
    except DocumentError as error:
        assert error.reason is Reason.EMPTY


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=200))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)
