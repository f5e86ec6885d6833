"""Words of six languages as concepts, and the table behind them."""

from collections import Counter

import pytest

from medpipe_assets.lexicon import terms
from medpipe_assets.lexicon.concepts import concept, skeleton, skeletons
from medpipe_assets.lexicon.words import LANGUAGES, spans

COGNATES = skeletons(["nephropathy", "leukemia", "hypertrophy", "anemia", "chronic", "hydrocephalus"])


@pytest.mark.parametrize(
    ("language", "word", "english"),
    [
        ("es", "riñón", "kidney"),
        ("fr", "rénale", "kidney"),
        ("de", "Nieren", "kidney"),
        ("es", "derecha", "right"),
        ("es", "nefropatía", "nephropathy"),
        ("fr", "néphropathie", "nephropathy"),
        ("de", "Leukämie", "leukemia"),
        ("it", "ipertrofia", "hypertrophy"),
        ("pt", "crônica", "chronic"),
        ("es", "anemia", "anemia"),
        ("it", "idrocefalo", "hydrocephalus"),
        ("pt", "fígado", "hepatic"),
    ],
)
def test_a_word_means_the_same_in_every_language(language: str, word: str, english: str) -> None:
    assert concept(word, language, COGNATES) == concept(english, "en", COGNATES)


def test_a_foreign_word_never_meets_an_english_one_by_chance() -> None:
    assert concept("red", "es", COGNATES) != concept("red", "en", COGNATES)


@pytest.mark.parametrize(
    ("compound", "parts"),
    [("Nierensteine", "kidney stone"), ("Leberabszess", "liver abscess"), ("Bauchschmerzen", "abdomen pain")],
)
def test_a_german_compound_means_what_its_parts_mean(compound: str, parts: str) -> None:
    assert concept(compound, "de", COGNATES) == parts


@pytest.mark.parametrize("word", ["Handschuh", "Arbeitsplatz", "Kindergarten", "Zahnarzt"])
def test_a_german_word_that_only_begins_like_an_organ_is_a_word_of_its_own(word: str) -> None:
    assert concept(word, "de", COGNATES).startswith("de:")


def test_one_word_may_be_two_in_english() -> None:
    assert concept("ferropénica", "es", COGNATES) == "iron deficiency"


def test_a_stop_word_is_no_concept_but_the_letter_of_a_type_is() -> None:
    assert concept("a", "en", COGNATES) == ""
    assert concept("A", "en", COGNATES) == "a"


def test_short_learned_words_are_not_taken_for_cognates() -> None:
    assert skeleton("parto") == skeleton("part")
    assert skeletons(["part"]) == {}


def test_the_word_table_holds_single_words_each_row_with_its_own_concept() -> None:
    rows = terms.table("words.tsv")
    firsts = Counter(row["en"].split("|")[0] for row in rows)
    assert not [first for first, count in firsts.items() if count > 1 or not first]
    cells = [word for row in rows for language in LANGUAGES[1:] for word in row[language].split("|") if word]
    assert [word for word in cells if len(spans(word)) != 1] == []
    assert len(rows) > 400
