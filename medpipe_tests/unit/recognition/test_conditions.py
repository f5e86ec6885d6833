"""Conditions in a text."""

import pytest

from medpipe_assets.lexicon.terms import KINDS
from medpipe_assets.recognition.conditions import SCORES, find


@pytest.mark.parametrize(
    ("text", "nature"),
    [("pneumonia", "DIAGNOSIS"), ("cough", "SYMPTOM"), ("low back pain", "SYMPTOM"), ("proteinuria", "SIGN")],
)
def test_a_condition_is_a_diagnosis_a_symptom_or_a_sign(text: str, nature: str) -> None:
    (mention,) = find(text, "en")
    assert [trait.name for trait in mention.traits] == [nature]


def test_the_same_condition_is_found_in_upper_and_lower_case() -> None:
    spans = [[mention.spans for mention in find(text, "es")] for text in ("neumonía", "NEUMONÍA", "Neumonia")]
    assert spans[0] == spans[1] == spans[2] == [((0, 8),)]


def test_every_kind_of_term_has_a_score() -> None:
    assert set(SCORES) == set(KINDS)
