"""A text annotated with no lake."""

import json
import os
from pathlib import Path

import pytest

from medpipe_assets.annotate import annotate
from medpipe_assets.coding.embedded import ACCEPTED

TEXT = "The patient has hypertension and type 2 diabetes. She denies chest pain. Metformin 500 mg twice daily."


def test_entities_can_be_written_as_json_and_name_their_text() -> None:
    entities = list(annotate(TEXT, "en"))
    assert json.loads(json.dumps(entities))
    for entity in entities:
        assert TEXT[entity["begin"] : entity["end"]] == entity["text"]


def test_a_negated_finding_is_not_asserted() -> None:
    asserted = {e["text"]: e["codes"][0]["asserted"] for e in annotate(TEXT, "en") if e["codes"]}
    assert asserted["hypertension"]
    assert not asserted["chest pain"]


def test_the_language_is_found_from_the_text() -> None:
    text = "El paciente presenta neumonía e hipertensión arterial, sin dolor torácico ni fiebre."
    codes = {e["text"]: e["codes"][0]["code"] for e in annotate(text, None) if e["codes"]}
    assert codes["hipertensión arterial"] == "I10"


def test_a_text_too_short_to_tell_is_read_as_english() -> None:
    assert [entity["text"] for entity in annotate("asthma", None)] == ["asthma"]


def test_a_medication_comes_with_its_dose() -> None:
    (medication,) = [e for e in annotate(TEXT, "en") if e["category"] == "MEDICATION"]
    assert "500 mg" in [attribute["text"] for attribute in medication["attributes"]]


def test_a_language_without_terms_has_no_entities() -> None:
    assert list(annotate("高血圧の患者です。", "ja")) == []


@pytest.mark.corpora
@pytest.mark.parametrize(("folder", "language", "floor"), [("text_files", "es", 0.45), ("text_files_en", "en", 0.42)])
def test_codes_of_real_notes_meet_the_gold_standard_often_enough(folder: str, language: str, floor: float) -> None:
    """Micro-F1 of asserted, likely codes on CodiEsp's development part."""
    corpora = Path(os.environ.get("MEDPIPE_CORPORA", Path(__file__).parents[3] / "shared" / "data"))
    part = corpora / "codiesp" / "dev"
    if not part.is_dir():
        pytest.skip(f"the CodiEsp corpus is not in {corpora}")
    gold = {tuple(line.upper().split("\t")[:2]) for line in (part / "devD.tsv").read_text().splitlines()}
    found = {
        (note.stem.upper(), code["code"])
        for note in (part / folder).glob("*.txt")
        for entity in annotate(note.read_text(encoding="utf-8"), language)
        for code in entity["codes"]
        if code["asserted"] and code["score"] >= ACCEPTED
    }
    assert 2 * len(gold & found) / (len(gold) + len(found)) >= floor
