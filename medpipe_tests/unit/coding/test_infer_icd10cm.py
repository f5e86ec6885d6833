"""InferICD10CM as a coder."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.aws.metering import collecting
from medpipe_assets.coding import icd10cm
from medpipe_assets.coding.engine import CodableMention, CodableText, Coding
from medpipe_assets.coding.infer_icd10cm import InferICD10CMCoding
from medpipe_assets.recognition.comprehend_medical import ComprehendMedicalRecognition
from medpipe_tests.unit.answers import Services, entities_of, paid

CORPORA = Path(os.environ.get("MEDPIPE_CORPORA", Path(__file__).parents[3].parent / "shared" / "data"))


def concepts(*codes: tuple[str, float]) -> dict[str, Any]:
    return {"ICD10CMConcepts": [{"Code": code, "Description": f"as {code}", "Score": s} for code, s in codes]}


TERMS: dict[str, dict[str, Any]] = {
    "hypertension": concepts(("I10", 0.8), ("I15.9", 0.5)),
    "sprain": concepts(("S93.401", 0.6), ("Z99.999", 0.1)),
    "diabetes": {**concepts(("E11.9", 0.7)), "Traits": [{"Name": "PERTAINS_TO_FAMILY", "Score": 0.9}]},
    "since May": {"Type": "TIME_EXPRESSION"},
}


def answer(Text: str) -> dict[str, Any]:  # noqa: N803 - the service's own parameter
    return {"Entities": list(entities_of(Text, TERMS)), "ModelVersion": "1"}


def mention(text: str, words: str, asserted: bool = True, index: int = 0) -> CodableMention:
    begin = text.index(words)
    return CodableMention(index, ((begin, begin + len(words)),), "MEDICAL_CONDITION", "DX_NAME", 0.9, (), asserted)


def coded(text: str, *mentions: CodableMention) -> Coding:
    return InferICD10CMCoding(paid(Services({"infer_icd10_cm": answer}))).code([CodableText(text, "en")], mentions)


def test_a_mention_gets_the_codes_of_the_entity_that_it_overlaps_most() -> None:
    text = "Essential hypertension, ankle sprain."
    coding = coded(text, mention(text, "ankle sprain"), mention(text, "Essential hypertension"), mention(text, "ankle"))
    assert [[c.code for c in found] for found in coding.candidates] == [["S93.401", "Z99.999"], ["I10", "I15.9"], []]


def test_codes_are_judged_by_our_code_set() -> None:
    (ankle, unknown), = coded("sprain", mention("sprain", "sprain")).candidates  # fmt: skip
    assert (ankle.billable, ankle.category) == (False, "S93")
    assert "seventh_character_missing" in ankle.flags
    assert ankle.description == icd10cm.lookup("S93.401").title  # type: ignore[union-attr]
    assert (unknown.flags, unknown.billable) == (("not_in_code_set", "not_billable"), False)
    assert unknown.description == "as Z99.999"


def test_only_the_best_candidate_of_an_asserted_mention_is_accepted() -> None:
    text = "hypertension"
    codes = {c.code: c for c in coded(text, mention(text, text)).codes}
    assert (codes["I10"].accepted, codes["I10"].asserted, codes["I10"].mentions) == (True, True, 1)
    assert not codes["I15.9"].accepted


@pytest.mark.parametrize("words, asserted", [("hypertension", False), ("diabetes", True)])
def test_what_the_recogniser_or_the_service_denies_is_not_accepted(words: str, asserted: bool) -> None:
    text = "no hypertension, mother had diabetes"
    codes = coded(text, mention(text, words, asserted)).codes
    assert codes
    assert not any(c.accepted or c.asserted for c in codes)


def test_codes_of_a_document_are_ranked() -> None:
    text = "hypertension, sprain"
    codes = coded(text, mention(text, "sprain"), mention(text, "hypertension")).codes
    assert codes[0].code == "I10"
    assert [c.probability for c in codes] == sorted((c.probability for c in codes), reverse=True)


def test_a_text_without_mentions_or_in_another_language_is_not_sent() -> None:
    services = Services({"infer_icd10_cm": answer})
    texts = [CodableText("hypertension", "en"), CodableText("hipertensión", "es")]
    coding = InferICD10CMCoding(paid(services)).code(texts, [mention("hipertensión", "hipertensión", index=1)])
    assert coding.candidates == ((),)
    assert services.sent == []


def test_in_codes_only_the_coder_reads_the_answer_that_the_recogniser_paid_for(tmp_path: Path) -> None:
    text = "Known hypertension since May.\n\nAnkle sprain. " + "Nothing else to say. " * 800
    services = Services({"infer_icd10_cm": answer})
    calls = paid(services, tmp_path)
    mentions = ComprehendMedicalRecognition(calls, codes_only=True).recognise(text, "en")
    sent = len(services.sent)
    codable = [CodableMention(0, m.spans, m.category, m.type, m.score) for m in mentions]
    with collecting() as costs:
        coding = InferICD10CMCoding(calls).code([CodableText(text, "en")], codable)
    assert [c.code for c in coding.codes if c.accepted] == ["I10", "S93.401"]
    assert len(services.sent) == sent == 3
    assert sum(c.dollars for c in costs) == 0
    assert sum(c.saved_dollars for c in costs) > 0


@pytest.mark.corpora
def test_every_concept_of_a_real_answer_becomes_a_candidate() -> None:
    file = CORPORA / "comprehend_medical_responses" / "icd10-concepts.json"
    if not file.exists():
        pytest.skip(f"no corpora at {CORPORA}: set MEDPIPE_CORPORA")
    response = json.loads(file.read_text())
    letters = ["."] * max(e["EndOffset"] for e in response["Entities"])
    for item in [*response["Entities"], *(a for e in response["Entities"] for a in e["Attributes"])]:
        letters[item["BeginOffset"] : item["EndOffset"]] = item["Text"]
    text = "".join(letters)
    calls = paid(Services({"infer_icd10_cm": lambda Text: response}))  # noqa: N803
    found = ComprehendMedicalRecognition(calls, codes_only=True).recognise(text, "en")
    assert sum(len(m.attributes) for m in found) == sum(len(e["Attributes"]) for e in response["Entities"])
    coding = InferICD10CMCoding(calls).code(
        [CodableText(text, "en")], [CodableMention(0, m.spans, m.category, m.type, m.score) for m in found]
    )
    entities = sorted(response["Entities"], key=lambda e: e["BeginOffset"])
    for candidates, entity in zip(coding.candidates, entities, strict=True):
        assert [(c.code, c.score) for c in candidates] == [(c["Code"], c["Score"]) for c in entity["ICD10CMConcepts"]]
