"""Comprehend Medical as a recogniser."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws import medical_text
from medpipe_assets.aws.metering import collecting
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.recognition.comprehend_medical import CODED_AS, ComprehendMedicalRecognition
from medpipe_assets.recognition.engine import Mention
from medpipe_assets.text_chunks import digest
from medpipe_tests.unit.answers import Services, entities_of, paid

TERMS: dict[str, dict[str, Any]] = {"fever": {}, "naïve 😀 cough": {"Traits": [{"Name": "NEGATION", "Score": 0.8}]}}
CORPORA = Path(os.environ.get("MEDPIPE_CORPORA", Path(__file__).parents[3].parent / "shared" / "data"))


def answer(Text: str) -> dict[str, Any]:  # noqa: N803 - the service's own parameter
    return {"Entities": list(entities_of(Text, TERMS)), "UnmappedAttributes": [], "ModelVersion": "1"}


def fixed(response: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    return lambda Text: response  # noqa: N803


def entity(text: str, begin: int, **more: Any) -> dict[str, Any]:
    return {
        "Id": 0, "BeginOffset": begin, "EndOffset": begin + len(text), "Text": text, "Score": 0.9,
        "Category": "MEDICAL_CONDITION", "Type": "DX_NAME", "Traits": [], "Attributes": [], **more,
    }  # fmt: skip


def recognised(text: str, response: dict[str, Any], **settings: Any) -> list[Mention]:
    operation = "infer_icd10_cm" if settings.get("codes_only") else "detect_entities_v2"
    engine = ComprehendMedicalRecognition(paid(Services({operation: fixed(response)})), **settings)
    return engine.recognise(text, "en")


@given(st.lists(st.sampled_from(["fever", "naïve 😀 cough", "ñandú ", " ", "\n\n", "Then. ", "x" * 4000]), max_size=30))
def test_spans_name_the_same_words_wherever_a_text_is_cut(parts: list[str]) -> None:
    text = "".join(parts)
    services = Services({"detect_entities_v2": answer})
    mentions = ComprehendMedicalRecognition(paid(services)).recognise(text, "en")
    assert all(len(sent.encode()) <= 20_000 and sent == sent.strip() for sent in services.texts())
    assert all(text[b:e] in TERMS for m in mentions for b, e in m.spans)
    assert [m.spans for m in mentions] == sorted({m.spans for m in mentions})


def test_every_mention_of_a_long_text_is_found() -> None:
    text = "No fever today. " * 4000
    services = Services({"detect_entities_v2": answer})
    mentions = ComprehendMedicalRecognition(paid(services)).recognise(text, "en")
    assert len(mentions) == 4000
    assert len(services.sent) == 4


def test_attributes_traits_and_scores_are_kept() -> None:
    text = "severe pain of the hip, mother had gout"
    attribute = {
        "Type": "ACUITY", "Score": 0.7, "RelationshipScore": 0.6, "RelationshipType": "ACUITY", "Id": 3,
        "BeginOffset": 0, "EndOffset": 6, "Text": "severe", "Category": "MEDICAL_CONDITION", "Traits": [],
    }  # fmt: skip
    pain, gout = recognised(
        text,
        {
            "Entities": [
                entity("gout", 35, Traits=[{"Name": "PERTAINS_TO_FAMILY", "Score": 0.8}]),
                entity("pain", 7, Attributes=[attribute], Traits=[{"Name": "SYMPTOM", "Score": 0.5}]),
            ]
        },
    )
    assert [(t.name, t.score) for t in pain.traits] == [("SYMPTOM", 0.5)]
    assert [(t.name, t.score) for t in gout.traits] == [("FAMILY_HISTORY", 0.8)]
    (severe,) = pain.attributes
    assert (severe.type, severe.text, severe.spans) == ("ACUITY", "severe", ((0, 6),))
    assert (severe.score, severe.relationship_score, severe.relationship_type) == (0.7, 0.6, "ACUITY")


def test_an_attribute_without_an_entity_is_a_mention_of_its_own() -> None:
    unmapped = {
        "Type": "ANATOMY",
        "Attribute": {"Type": "DIRECTION", "Score": 0.9, "Id": 1, "BeginOffset": 0, "EndOffset": 4, "Text": "left",
                      "Category": "ANATOMY", "Traits": []},
    }  # fmt: skip
    (mention,) = recognised("left", {"Entities": [], "UnmappedAttributes": [unmapped]})
    assert (mention.category, mention.type, mention.spans) == ("ANATOMY", "DIRECTION", ((0, 4),))


@pytest.mark.parametrize("encoding, width", [("utf-16-le", 2), ("utf-8", 1)])
def test_offsets_in_other_units_are_told_by_the_words_they_name(encoding: str, width: int) -> None:
    text = "😀 señor with fever, no more fever"

    def units(Text: str) -> dict[str, Any]:  # noqa: N803
        found = answer(Text)
        for item in found["Entities"]:
            for name in ("BeginOffset", "EndOffset"):
                item[name] = len(Text[: item[name]].encode(encoding)) // width
        return found

    mentions = ComprehendMedicalRecognition(paid(Services({"detect_entities_v2": units}))).recognise(text, "en")
    assert [text[b:e] for m in mentions for b, e in m.spans] == ["fever", "fever"]


def test_offsets_that_name_other_words_are_refused_without_showing_them() -> None:
    with pytest.raises(DocumentError) as error:
        recognised("no fever", {"Entities": [entity("fever", 1)]})
    assert error.value.reason is Reason.INCONSISTENT
    assert "fever" not in str(error.value)


def test_an_answer_that_was_cut_short_is_asked_for_in_parts() -> None:
    def short(Text: str) -> dict[str, Any]:  # noqa: N803
        found = answer(Text)
        if len(found["Entities"]) > 10:
            return {"Entities": found["Entities"][:10], "PaginationToken": "more"}
        return found

    text = "He had fever then. " * 40
    mentions = ComprehendMedicalRecognition(paid(Services({"detect_entities_v2": short}))).recognise(text, "en")
    assert len(mentions) == 40


def test_a_page_that_stood_in_another_document_is_not_paid_for_again(tmp_path: Path) -> None:
    services = Services({"detect_entities_v2": answer})
    engine = ComprehendMedicalRecognition(paid(services, tmp_path))
    page = "The patient has fever since Monday. " * 10
    engine.recognise(f"First letter.\n\n{page}", "en")
    with collecting() as costs:
        mentions = engine.recognise(f"{page}\n\nSecond letter.", "en")
    assert len(mentions) == 10
    assert services.texts().count(page.strip()) == 1
    assert sum(c.saved_dollars for c in costs) == pytest.approx(0.04)
    assert sum(c.dollars for c in costs) == pytest.approx(0.01)


def test_shared_lines_are_sent_once(tmp_path: Path) -> None:
    consent = (
        "I agree to the treatment and to the transfer of my data to the health insurance company named above. " * 2
    )
    services = Services({"detect_entities_v2": answer})
    engine = ComprehendMedicalRecognition(paid(services, tmp_path), shared=frozenset({digest(consent)}))
    for number in range(3):
        text = f"Visit {number} with fever.\n{consent}"
        assert [text[b:e] for m in engine.recognise(text, "en") for b, e in m.spans] == ["fever"]
    assert services.texts().count(consent.strip()) == 1


def test_codes_only_never_calls_the_dear_operation() -> None:
    services = Services({"infer_icd10_cm": answer})
    with collecting() as costs:
        (mention,) = ComprehendMedicalRecognition(paid(services), codes_only=True).recognise("some fever", "en")
    assert mention.spans == ((5, 10),)
    assert [name for name, _ in services.sent] == ["infer_icd10_cm"]
    assert {cost.reason_saved: cost.saved_dollars for cost in costs} == {"codes_only": pytest.approx(0.0095), None: 0.0}


def test_what_codes_alone_cost_and_save_is_the_whole_bill(tmp_path: Path) -> None:
    """Asked by both stages, the answer is paid once: paid and saved are what entities and codes would have cost."""
    calls = paid(Services({"infer_icd10_cm": answer}), tmp_path)
    text = "He had fever then. " * 700
    with collecting() as costs:
        ComprehendMedicalRecognition(calls, codes_only=True).recognise(text, "en")
        medical_text.ask(calls, "InferICD10CM", text)
    codes = 0.0005 * 134  # two requests, of which each ends with a unit that is not full
    assert sum(cost.dollars for cost in costs) == pytest.approx(codes)
    assert sum(cost.dollars + cost.saved_dollars for cost in costs) == pytest.approx(0.01 * 133 + codes)


def test_concepts_of_other_systems_become_attributes_and_what_one_call_alone_finds_is_kept() -> None:
    concept = {"Code": "1191", "Description": "aspirin", "Score": 0.9}
    aspirin = {"Category": "MEDICATION", "Type": "GENERIC_NAME"}
    services = Services(
        {
            "detect_entities_v2": fixed({"Entities": [entity("aspirin", 0, **aspirin)]}),
            "infer_rx_norm": fixed({"Entities": [entity("aspirin", 0, **aspirin, RxNormConcepts=[concept])]}),
            "detect_phi": fixed(
                {"Entities": [entity("Ann", 12, Category="PROTECTED_HEALTH_INFORMATION", Type="NAME")]}
            ),
        }
    )
    engine = ComprehendMedicalRecognition(paid(services), rxnorm=True, detect_phi=True)
    found, name = engine.recognise("aspirin for Ann", "en")
    assert [(a.type, a.text, a.relationship_type) for a in found.attributes] == [
        ("RXNORM_CODE", "1191 aspirin", CODED_AS)
    ]
    assert (name.type, name.spans) == ("NAME", ((12, 15),))


def test_settings_that_change_answers_change_the_version() -> None:
    calls = paid(Services({}))
    engines = [
        ComprehendMedicalRecognition(calls),
        ComprehendMedicalRecognition(calls, codes_only=True),
        ComprehendMedicalRecognition(calls, detect_phi=True),
        ComprehendMedicalRecognition(calls, shared=frozenset({"00"})),
    ]
    assert len({engine.version for engine in engines}) == len(engines)
    assert all(engine.supports("en") and not engine.supports("es") for engine in engines)


@pytest.mark.corpora
def test_a_real_answer_is_read_without_loss() -> None:
    file = CORPORA / "comprehend_medical_responses" / "entities.json"
    if not file.exists():
        pytest.skip(f"no corpora at {CORPORA}: set MEDPIPE_CORPORA")
    response = json.loads(file.read_text())
    items = response["Entities"] + [u["Attribute"] for u in response["UnmappedAttributes"]]
    text = rebuilt(items)
    mentions = recognised(text, response)
    assert len(mentions) == len(items)
    said = {(m.category, m.type, m.spans[0], m.score, tuple((t.name, t.score) for t in m.traits)) for m in mentions}
    expected = {
        (i["Category"], i["Type"], (i["BeginOffset"], i["EndOffset"]), i["Score"],
         tuple((t["Name"], t["Score"]) for t in i["Traits"]))
        for i in items
    }  # fmt: skip
    assert said == expected
    assert sorted(text[b:e] for m in mentions for b, e in m.spans) == sorted(i["Text"] for i in items)


def rebuilt(items: list[dict[str, Any]]) -> str:
    """A text in which each item stands where the answer says: the one that was sent was not kept."""
    letters = ["."] * max(i["EndOffset"] for i in items)
    for item in items:
        letters[item["BeginOffset"] : item["EndOffset"]] = item["Text"]
    return "".join(letters)
