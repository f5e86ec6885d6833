"""Medications, their names in six languages and the parts of a prescription."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.engine import Mention
from medpipe_assets.recognition.medications import find, localised
from medpipe_assets.recognition.terms import LANGUAGES


def named(text: str, mention: Mention) -> str:
    return " ".join(text[begin:end] for begin, end in mention.spans)


def parts(text: str, language: str, at: int = 0) -> list[tuple[str, str]]:
    return [(attribute.type, attribute.text) for attribute in find(text, language)[at].attributes]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (
            "Metformin 500 mg PO BID for 10 days",
            "en",
            [("DOSAGE", "500 mg"), ("ROUTE_OR_MODE", "PO"), ("FREQUENCY", "BID"), ("DURATION", "for 10 days")],
        ),
        ("amoxicillin 500 mg every 8 hours", "en", [("DOSAGE", "500 mg"), ("FREQUENCY", "every 8 hours")]),
        (
            "Tylenol 325 mg tablets 2 tabs q6h prn",
            "en",
            [
                ("STRENGTH", "325 mg"),
                ("FORM", "tablets"),
                ("DOSAGE", "2 tabs"),
                ("FORM", "tabs"),
                ("FREQUENCY", "q6h"),
                ("FREQUENCY", "prn"),
            ],
        ),
        (
            "Enalapril 5 mg, 1 comp. cada 12 h",
            "es",
            [("STRENGTH", "5 mg"), ("DOSAGE", "1 comp"), ("FORM", "comp"), ("FREQUENCY", "cada 12 h")],
        ),
        (
            "Paracetamol 1 g v.o. cada 8 horas durante 5 días",
            "es",
            [
                ("DOSAGE", "1 g"),
                ("ROUTE_OR_MODE", "v.o."),
                ("FREQUENCY", "cada 8 horas"),
                ("DURATION", "durante 5 días"),
            ],
        ),
        ("Omeprazol 20 mg 1-0-0", "es", [("DOSAGE", "20 mg"), ("FREQUENCY", "1-0-0")]),
        (
            "Amoxicilline 1 g trois fois par jour pendant 7 jours",
            "fr",
            [("DOSAGE", "1 g"), ("FREQUENCY", "trois fois par jour"), ("DURATION", "pendant 7 jours")],
        ),
        (
            "Dipirona 500 mg VO de 6 em 6 horas",
            "pt",
            [("DOSAGE", "500 mg"), ("ROUTE_OR_MODE", "VO"), ("FREQUENCY", "de 6 em 6 horas")],
        ),
        ("Ramipril 5 mg una volta al giorno", "it", [("DOSAGE", "5 mg"), ("FREQUENCY", "una volta al giorno")]),
        ("Metoprolol 47,5 mg 1-0-1", "de", [("DOSAGE", "47,5 mg"), ("FREQUENCY", "1-0-1")]),
        ("Ibuprofen 400 mg 2 x tgl.", "de", [("DOSAGE", "400 mg"), ("FREQUENCY", "2 x tgl.")]),
    ],
)
def test_a_prescription_is_taken_apart(text: str, language: str, expected: list[tuple[str, str]]) -> None:
    assert parts(text, language) == expected


def test_a_dose_before_the_name_belongs_to_it() -> None:
    assert parts("She took 500 mg of amoxicillin.", "en") == [("DOSAGE", "500 mg")]


def test_each_medication_keeps_its_own_dose() -> None:
    text = "lisinopril 10 mg daily, metformin 500 mg BID"
    assert parts(text, "en", 0) == [("DOSAGE", "10 mg"), ("FREQUENCY", "daily")]
    assert parts(text, "en", 1) == [("DOSAGE", "500 mg"), ("FREQUENCY", "BID")]


def test_the_next_sentence_says_nothing_of_the_medication() -> None:
    assert parts("She takes warfarin. Potassium is 4 mg daily", "en") == []


def test_a_concentration_is_no_dose() -> None:
    assert all(kind != "DOSAGE" for kind, _ in parts("On metformin, glucose 180 mg/dl", "en"))


def test_brand_names_and_generic_names_are_told_apart() -> None:
    assert [mention.type for mention in find("Lasix and furosemide", "en")] == ["BRAND_NAME", "GENERIC_NAME"]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("amoxicillin", ["amoxicilina", "amoxicilline", "amoxicilina", "amoxicillina", "amoxicillin"]),
        ("omeprazole", ["omeprazol", "omeprazole", "omeprazol", "omeprazolo", "omeprazol"]),
        ("furosemide", ["furosemida", "furosemide", "furosemida", "furosemide", "furosemid"]),
        (
            "valproic acid",
            ["acido valproico", "acide valproique", "acido valproico", "acido valproico", "valproinsaure"],
        ),
    ],
)
def test_nonproprietary_names_follow_their_suffix(name: str, names: list[str]) -> None:
    assert [localised(name, language) for language in LANGUAGES[1:]] == names


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Levothyroxine", "en"),
        ("Ácido acetilsalicílico", "es"),
        ("hydrochlorothiazide", "fr"),
        ("Amoxicilina + ácido clavulânico", "pt"),
        ("acido valproico", "it"),
        ("Acetylsalicylsäure", "de"),
    ],
)
def test_a_name_is_found_whole(text: str, language: str) -> None:
    assert [named(text, mention) for mention in find(text, language)] == [text]


def test_an_unknown_language_has_no_medications() -> None:
    assert find("aspirin", "xx") == []


PIECES = [
    "Aspirin",
    " 500",
    " mg",
    "/8h",
    " 1 comp",
    ".",
    "\n",
    " İ",
    "ß",
    "\u0301",
    " every 8 hours",
    " 1-0-1",
    "ﬁ",
    "metformin ",
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=20).map("".join))
def test_offsets_name_exactly_what_they_say(text: str) -> None:
    for language in LANGUAGES:
        for mention in find(text, language):
            assert named(text, mention)
            for attribute in mention.attributes:
                assert " ".join(text[begin:end] for begin, end in attribute.spans) == attribute.text
