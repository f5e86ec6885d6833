"""Tests with values and units, procedures and treatments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.terms import LANGUAGES
from medpipe_assets.recognition.tests_and_procedures import find


def found(text: str, language: str) -> list[tuple[str, str, list[str]]]:
    return [
        (mention.type, text[slice(*mention.spans[0])], [attribute.text for attribute in mention.attributes])
        for mention in find(text, language)
    ]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("BP 120/80 mmHg", "en", ("TEST_NAME", "BP", ["120/80", "mmHg"])),
        ("Hemoglobin was low at 9.2 g/dL", "en", ("TEST_NAME", "Hemoglobin", ["9.2", "g/dL"])),
        ("A1c of 7.1%", "en", ("TEST_NAME", "A1c", ["7.1", "%"])),
        ("Troponin negative", "en", ("TEST_NAME", "Troponin", ["negative"])),
        ("creatinina de 1,4 mg/dl", "es", ("TEST_NAME", "creatinina", ["1,4", "mg/dl"])),
        ("Leucocitos: 12.000/mm3", "es", ("TEST_NAME", "Leucocitos", ["12.000", "/mm3"])),
        ("hémoglobine à 9,8 g/dl", "fr", ("TEST_NAME", "hémoglobine", ["9,8", "g/dl"])),
        ("Frequência cardíaca de 90 bpm", "pt", ("TEST_NAME", "Frequência cardíaca", ["90", "bpm"])),
        ("glicemia 110 mg/dl", "it", ("TEST_NAME", "glicemia", ["110", "mg/dl"])),
        ("Hämoglobin 9,8 g/dl", "de", ("TEST_NAME", "Hämoglobin", ["9,8", "g/dl"])),
    ],
)
def test_a_test_carries_its_value_and_unit(text: str, language: str, expected: tuple[str, str, list[str]]) -> None:
    assert found(text, language) == [expected]


def test_tests_procedures_and_treatments_are_told_apart() -> None:
    text = "CT scan, then appendectomy, then chemotherapy"
    assert [kind for kind, *_ in found(text, "en")] == ["TEST_NAME", "PROCEDURE_NAME", "TREATMENT_NAME"]


def test_a_number_further_off_is_not_the_tests_value() -> None:
    assert found("Colonoscopy and CT in 2 weeks", "en")[1][2] == []


def test_an_abbreviation_that_is_also_a_word_counts_only_in_capitals() -> None:
    assert found("Please call us", "en") == []
    assert [name for _, name, _ in found("US of the abdomen", "en")] == ["US"]
    assert found("Der Patient ist 70 Jahre alt", "de") == []


PIECES = ["Hb", " 9.2", " g/dl", "BP", " 120/80", " mmHg", "İ", "ß", "\u0301", " ", "°C", "½"]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=15).map("".join))
def test_every_span_quotes_the_text(text: str) -> None:
    for language in LANGUAGES:
        for mention in find(text, language):
            begin, end = mention.spans[0]
            assert 0 <= begin < end <= len(text)
            assert all(text[slice(*a.spans[0])] == a.text for a in mention.attributes)
