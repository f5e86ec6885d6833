"""Headings of clinical texts and where their sections end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.sections import sections
from medpipe_assets.recognition.terms import LANGUAGES


def kinds(text: str, language: str) -> list[tuple[str, str]]:
    return [(s.kind, text[s.begin : s.end].strip(" \n:")) for s in sections(text, language)]


def test_a_heading_alone_on_its_line_opens_a_section_up_to_the_next() -> None:
    text = "PAST MEDICAL HISTORY\n\nGout.\n\nAsthma.\n\nMEDICATIONS\nAllopurinol"
    assert kinds(text, "en") == [("PAST_HISTORY", "Gout.\n\nAsthma."), ("MEDICATIONS", "Allopurinol")]


def test_a_heading_with_text_behind_it_ends_with_its_paragraph() -> None:
    text = "Antecedentes familiares: padre con infarto.\n\nPaciente de 50 años."
    assert kinds(text, "es") == [("FAMILY_HISTORY", "padre con infarto.")]


def test_a_line_longer_than_a_page_is_wide_is_a_paragraph() -> None:
    text = "Family history: " + "father with gout, " * 10 + "\nThe patient is well."
    assert kinds(text, "en")[0][1].endswith("gout,")


def test_a_wrapped_line_goes_on() -> None:
    assert kinds("Family history: father with\ngout", "en") == [("FAMILY_HISTORY", "father with\ngout")]


def test_headings_may_follow_each_other_on_one_line() -> None:
    text = "Allergies: none. Family history: stroke."
    assert kinds(text, "en") == [("ALLERGIES", "none."), ("FAMILY_HISTORY", "stroke.")]


def test_an_unknown_heading_ends_a_section() -> None:
    assert kinds("Family history:\nstroke\nTravel:\nnone", "en") == [("FAMILY_HISTORY", "stroke")]


def test_a_label_within_a_section_does_not_end_it() -> None:
    assert kinds("Family history:\nFather: stroke\nMother: gout", "en")[0][1].endswith("gout")


def test_a_heading_word_in_running_text_is_no_heading() -> None:
    assert sections("She has a family history of gout and takes medications.", "en") == ()


@pytest.mark.parametrize(
    ("heading", "language"),
    [
        ("Family history", "en"),
        ("Antecedentes familiares", "es"),
        ("Antécédents familiaux", "fr"),
        ("História familiar", "pt"),
        ("Anamnesi familiare", "it"),
        ("Familienanamnese", "de"),
    ],
)
def test_the_family_section_is_known_in_every_language(heading: str, language: str) -> None:
    assert kinds(f"{heading.upper()}\nx", language)[0][0] == "FAMILY_HISTORY"
    assert kinds(f"{heading}: x", language)[0][0] == "FAMILY_HISTORY"


@given(
    st.lists(st.sampled_from(["Family history:", "PMH", "Plan:", "stroke", "\n", ". ", " ", "Travel:"]), max_size=20),
    st.sampled_from(LANGUAGES),
)
def test_sections_lie_inside_the_text_in_order_without_overlap(parts: list[str], language: str) -> None:
    text = "".join(parts)
    found = sections(text, language)
    assert all(0 <= s.begin <= s.end <= len(text) for s in found)
    assert all(a.end <= b.begin for a, b in pairwise(found))
