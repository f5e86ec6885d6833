"""The embedded recogniser: all finders together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.lexicon.words import LANGUAGES
from medpipe_assets.recognition.embedded import EmbeddedRecognition, resolved
from medpipe_assets.recognition.engine import CATEGORIES, TRAITS, Mention

ENGINE = EmbeddedRecognition()
PIECES = st.sampled_from(
    "No |denies |sin |fever|pneumonia|renal failure|metformin 500 mg BID|glucose 105 mg/dL|knee"
    "|İ|ß|e\u0301|\u00ad|\u200b|\n\n|, |. |FAMILY HISTORY:\n|🙂|\x00".split("|")
)


def traits(text: str, language: str) -> dict[str, set[str]]:
    found = ENGINE.recognise(text, language)
    return {text[m.spans[0][0] : m.spans[-1][1]]: {trait.name for trait in m.traits} for m in found}


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join), st.sampled_from(LANGUAGES))
def test_mentions_of_any_text_lie_within_it_in_order_and_do_not_overlap(text: str, language: str) -> None:
    free_from = 0
    for mention in ENGINE.recognise(text, language):
        for begin, end in mention.spans:
            assert free_from <= begin < end <= len(text)
            free_from = end
        assert mention.category in CATEGORIES
        assert {trait.name for trait in mention.traits} <= set(TRAITS)
        for attribute in mention.attributes:
            assert " ".join(text[begin:end] for begin, end in attribute.spans) == attribute.text


def test_a_negated_finding_is_marked_and_its_neighbour_is_not() -> None:
    said = traits("Patient denies chest pain. She has pneumonia.", "en")
    assert "NEGATION" in said["chest pain"]
    assert "NEGATION" not in said["pneumonia"]


@pytest.mark.parametrize(
    ("language", "text", "name"),
    [
        ("es", "No presenta fiebre.", "fiebre"),
        ("fr", "Pas de fièvre.", "fièvre"),
        ("pt", "Nega febre.", "febre"),
        ("it", "Nega febbre.", "febbre"),
        ("de", "Kein Fieber.", "Fieber"),
    ],
)
def test_a_finding_is_negated_in_every_language(language: str, text: str, name: str) -> None:
    assert "NEGATION" in traits(text, language)[name]


def test_what_the_family_had_is_not_the_patients() -> None:
    assert "FAMILY_HISTORY" in traits("Mother had breast cancer.", "en")["breast cancer"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Allergies: NKDA."),
        ("en", "Allergies:\nnone"),
        ("es", "Alergias: no conocidas."),
        ("fr", "Allergies : aucune connue."),
        ("pt", "Alergias: nega."),
        ("it", "Allergie: nessuna nota."),
        ("de", "Allergien: keine bekannt."),
        ("en", "No known allergies. Non-smoker."),
        ("es", "Sin alergias conocidas. No fumador."),
        ("fr", "Pas d'allergie connue. Non-fumeuse."),
        ("pt", "Sem alergias conhecidas. Não fumadora."),
        ("it", "Nessuna allergia nota. Non fumatrice."),
        ("de", "Keine Allergien bekannt. Nichtraucherin."),
    ],
)
def test_a_patient_without_allergies_who_does_not_smoke_has_neither(language: str, text: str) -> None:
    found = [m for m in ENGINE.recognise(text, language) if m.category == "MEDICAL_CONDITION"]
    assert [m for m in found if "NEGATION" not in {trait.name for trait in m.traits}] == []


def test_a_heading_is_no_finding_and_what_stands_under_it_is() -> None:
    assert list(traits("Allergies: hay fever. An allergy.", "en")) == ["hay fever", "allergy"]


def test_a_condition_takes_its_site_with_it() -> None:
    found = ENGINE.recognise("Chronic kidney disease.", "en")
    assert [mention.category for mention in found] == ["MEDICAL_CONDITION"]


def test_conditions_medications_and_tests_are_found_side_by_side() -> None:
    found = ENGINE.recognise("Pneumonia treated with amoxicillin 500 mg; glucose 105 mg/dL.", "en")
    assert {"MEDICAL_CONDITION", "MEDICATION", "TEST_TREATMENT_PROCEDURE"} <= {mention.category for mention in found}


def test_of_overlapping_mentions_the_longest_stays() -> None:
    short, long, apart = (Mention("ANATOMY", "SYSTEM_ORGAN_SITE", (span,), 0.9) for span in ((0, 5), (2, 12), (20, 22)))
    assert resolved([apart, short, long]) == [long, apart]


def test_a_language_without_terms_is_said_so() -> None:
    assert not ENGINE.supports("ja")
