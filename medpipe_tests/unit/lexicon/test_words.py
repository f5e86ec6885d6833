"""Words, their offsets and their normal form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.lexicon.words import LANGUAGES, normal, normals, spans

texts = st.text(st.characters(codec="utf-8") | st.sampled_from("aéñßİﬁ\u0301\u00ad\u200b .,-’'\n\x0012"))


@given(texts, st.sampled_from(LANGUAGES))
def test_word_offsets_ascend_and_lie_within_any_text(text: str, language: str) -> None:
    end = 0
    for begin, stop in spans(text):
        assert end <= begin < stop <= len(text)
        end = stop
    assert len(normals(text, language)) <= len(spans(text))


@given(texts)
def test_words_leave_nothing_out_but_signs(text: str) -> None:
    covered = {place for begin, end in spans(text) for place in range(begin, end)}
    assert not any(char.isalpha() for place, char in enumerate(text) if place not in covered)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "fractures", "fracture"),
        ("en", "Crohn’s", "Crohn"),
        ("en", "oedema", "edema"),
        ("en", "II", "2"),
        ("es", "infecciones", "infección"),
        ("es", "crónicas", "cronico"),
        ("pt", "infecções", "infecção"),
        ("fr", "hépatiques", "hépatique"),
        ("it", "epatici", "epatico"),
        ("de", "chronischen", "chronische"),
    ],
)
def test_number_gender_and_spelling_do_not_part_words(language: str, one: str, other: str) -> None:
    assert normal(one, language) == normal(other, language)


@pytest.mark.parametrize(("language", "word"), [("en", "gas"), ("es", "tos"), ("en", "diabetis"), ("en", "thrombus")])
def test_a_word_that_only_looks_like_a_plural_keeps_its_ending(language: str, word: str) -> None:
    assert normal(word, language) == word
