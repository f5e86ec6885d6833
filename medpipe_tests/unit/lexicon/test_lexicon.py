"""Finding terms in a text, and codes for a term."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.lexicon import lexicon
from medpipe_assets.lexicon.words import LANGUAGES, spans

PIECES = st.sampled_from(
    [
        "hypertension",
        "type 2 diabetes",
        "dolor",
        "abdominal",
        "HTA",
        "ﬁèvre",
        "İ",
        "e\u0301",
        "\u00ad",
        " ",
        "\n\n",
        ",",
    ]
)


def named(text: str, language: str = "en") -> dict[str, str]:
    return {text[f.begin : f.end]: f.sense.codes[0] for f in lexicon.load(language).find(text)}


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES | st.text(max_size=8)).map("".join), st.sampled_from(LANGUAGES))
def test_terms_found_in_any_text_are_whole_words_in_order_that_mean_what_was_found(text: str, language: str) -> None:
    known = lexicon.load(language)
    begins, ends = zip(*spans(text), strict=True) if spans(text) else ((), ())
    free_from = 0
    for found in known.find(text):
        assert free_from <= found.begin < found.end
        assert found.begin in begins
        assert found.end in ends
        assert known.sense(text[found.begin : found.end]) is not None
        free_from = found.end


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("en", "acute appendicitis", "K35.80"),
        ("es", "insuficiencia renal crónica", "N18.9"),
        ("es", "cálculo ureteral", "N20.1"),
        ("es", "absceso hepático", "K75.0"),
        ("es", "nefropatía diabética", "E11.21"),
        ("fr", "insuffisance rénale chronique", "N18.9"),
        ("pt", "abscesso hepático", "K75.0"),
        ("it", "ascesso epatico", "K75.0"),
        ("de", "chronische Niereninsuffizienz", "N18.9"),
        ("de", "Schädelfraktur", "S02.91"),
    ],
)
def test_a_condition_is_known_in_the_language_it_is_written_in(language: str, text: str, code: str) -> None:
    sense = lexicon.load(language).sense(text)
    assert sense is not None
    assert sense.codes[0][:3] == code[:3]


def test_the_longest_term_wins() -> None:
    assert list(named("Type 2 diabetes mellitus and iron deficiency anemia.")) == [
        "Type 2 diabetes mellitus",
        "iron deficiency anemia",
    ]


def test_a_term_found_in_another_order_is_trusted_less() -> None:
    known = lexicon.load("en")
    straight, turned = known.sense("acute kidney failure"), known.sense("kidney failure, acute")
    assert straight is not None
    assert turned is not None
    assert turned.kind == "bag" != straight.kind
    assert turned.codes == straight.codes


def test_no_term_reaches_across_a_sentence_or_a_paragraph() -> None:
    assert "chest. Pain" not in named("Clear chest. Pain in the knee.")
    assert named("chest\n\npain").keys() == {"pain"}


def test_a_line_break_within_a_term_does_not_hide_it() -> None:
    assert "iron deficiency\nanemia" in named("known iron deficiency\nanemia since May")


@pytest.mark.parametrize("text", ["Contact her family.", "A cold compress.", "HISTORY OF PRESENT ILLNESS", "two drops"])
def test_everyday_words_are_no_conditions(text: str) -> None:
    assert named(text) == {}


def test_the_year_is_not_an_organ() -> None:
    assert named("dos años con enfermedad", "es") == {}


def test_hepatitis_is_not_hepatitis_a() -> None:
    hepatitis, of_a = lexicon.load("en").sense("hepatitis"), lexicon.load("en").sense("hepatitis A")
    assert of_a is not None
    assert of_a.codes[0] == "B15.9"
    assert hepatitis is None or hepatitis.codes[0] != "B15.9"


def test_a_text_without_words_has_no_sense() -> None:
    assert lexicon.load("en").sense("") is None
    assert lexicon.load("en").sense(" of the ") is None


def test_an_ambiguous_abbreviation_counts_only_in_capitals() -> None:
    assert named("She has AIDS.") == {"AIDS": "B20"}
    assert named("She wears hearing aids.") == {}


def test_capitals_mark_no_abbreviation_where_all_is_in_capitals() -> None:
    assert "AIDS" not in named("HEARING AIDS WERE CHECKED")


def test_no_term_out_of_order_reaches_across_a_conjunction_or_a_comma() -> None:
    assert "finger and pain" not in named("the finger and pain")
    assert "finger, pain" not in named("the finger, pain")
    assert "finger with pain" in named("the finger with pain")


def test_blood_and_urine_are_not_blood_in_the_urine() -> None:
    assert named("blood in the urine") == {"blood in the urine": "R31.9"}
    assert named("blood and urine") == {}
