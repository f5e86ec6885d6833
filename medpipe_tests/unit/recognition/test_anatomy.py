"""Body sites and the directions beside them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.anatomy import find
from medpipe_assets.recognition.terms import LANGUAGES, read_table


def sites(text: str, language: str) -> list[tuple[str, list[str]]]:
    return [
        (text[slice(*mention.spans[0])], [attribute.text for attribute in mention.attributes])
        for mention in find(text, language)
    ]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("pain in the left upper arm", "en", [("arm", ["left", "upper"])]),
        ("bilateral lower extremities", "en", [("lower extremities", ["bilateral"])]),
        ("dolor en la pierna derecha", "es", [("pierna", ["derecha"])]),
        ("douleur du genou gauche", "fr", [("genou", ["gauche"])]),
        ("dor no joelho esquerdo", "pt", [("joelho", ["esquerdo"])]),
        ("dolore al ginocchio destro", "it", [("ginocchio", ["destro"])]),
        ("Schmerzen im linken Knie", "de", [("Knie", ["linken"])]),
    ],
)
def test_a_site_carries_the_directions_beside_it(
    text: str, language: str, expected: list[tuple[str, list[str]]]
) -> None:
    assert sites(text, language) == expected


def test_a_direction_further_off_is_not_the_sites() -> None:
    assert sites("he left the room; knee", "en") == [("knee", [])]


def test_part_of_a_word_is_no_site() -> None:
    assert sites("harmful elegance", "en") == []


def test_the_longest_name_wins() -> None:
    assert sites("Vena cava inferior", "es") == [("Vena cava inferior", [])]


@pytest.mark.parametrize("table", ["anatomy.tsv", "tests_and_procedures.tsv", "directions.tsv"])
def test_every_concept_has_a_name_in_every_language(table: str) -> None:
    for row in read_table(table):
        assert all((row[language] or "").strip("|") for language in LANGUAGES), row


@given(
    st.lists(st.one_of(st.sampled_from(["left ", "knee", " Herz", "İ", "\u0301", " "]), st.text(max_size=4))).map(
        "".join
    )
)
def test_every_span_lies_in_the_text_and_the_attributes_quote_it(text: str) -> None:
    for language in LANGUAGES:
        for mention in find(text, language):
            (begin, end) = mention.spans[0]
            assert 0 <= begin < end <= len(text)
            assert all(text[slice(*a.spans[0])] == a.text for a in mention.attributes)
