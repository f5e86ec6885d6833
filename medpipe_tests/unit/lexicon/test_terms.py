"""Wordings of the tabular list as people write them, and our own lists against the code set."""

import pytest

from medpipe_assets.coding import icd10cm
from medpipe_assets.lexicon import terms
from medpipe_assets.lexicon.terms import variants
from medpipe_assets.lexicon.words import LANGUAGES


@pytest.mark.parametrize(
    ("wording", "said"),
    [
        ("Pneumonia, unspecified organism", "Pneumonia"),
        ("Malignant neoplasm of the bronchus", "bronchus cancer"),
        ("Polyp, cervix", "cervix Polyp"),
        ("Type 2 diabetes mellitus without complications", "Type 2 diabetes mellitus"),
        ("Hypertension (arterial) (benign)", "Hypertension"),
        ("Cough, NOS", "Cough"),
    ],
)
def test_a_wording_is_also_known_as_people_write_it(wording: str, said: str) -> None:
    assert said in list(variants(wording))


@pytest.mark.parametrize("wording", ["Other pneumonia", "Pneumonia in diseases classified elsewhere", "Includes:"])
def test_a_wording_that_names_no_concept_gives_no_term(wording: str) -> None:
    assert list(variants(wording)) == []


def test_every_code_of_our_own_terms_is_in_the_code_set() -> None:
    codes = {term.code for term in terms.own()} | {a.code for a in terms.abbreviations()}
    assert [code for code in sorted(codes) if icd10cm.lookup(code) is None] == []


def test_every_abbreviation_says_its_language() -> None:
    assert {a.language for a in terms.abbreviations()} <= set(LANGUAGES)


def test_refused_terms_are_listed_once_and_for_a_known_language() -> None:
    rows = [(row["language"], row["term"]) for row in terms.table("not_conditions.tsv")]
    assert len(rows) == len(set(rows))
    assert {language for language, _ in rows} <= set(LANGUAGES)
