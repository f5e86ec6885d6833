"""Words, their offsets and their normal form."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.lexicon.words import LANGUAGES, normal, normals, parted, read, spans

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


@given(
    st.lists(
        texts | st.sampled_from(["E. coli, ", "a's's ", "one\n\ntwo ", "x — y", " ̈ ̈b", "\uf0b7 漢字。", "😀𝐚"]),
        max_size=30,
    ).map("".join)
)
def test_long_texts_are_read_as_short_ones_are(text: str) -> None:
    text += " end" * 60  # long enough to be read by arrays
    found, places = read(text), spans(text)
    assert list(zip(found.begins.tolist(), found.ends.tolist(), strict=True)) == places
    assert found.parted.tolist() == [True, *(parted(text, a, b) for a, b in pairwise(places))]


@given(st.lists(st.sampled_from("a b ab ba á tos Tos toss".split()), min_size=2, max_size=400))
def test_words_have_the_same_print_where_they_are_written_alike_and_only_there(words: list[str]) -> None:
    prints = read(" ".join(words)).prints.tolist()
    assert len(set(zip(words, prints, strict=True))) == len(set(words)) == len(set(prints))


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
