"""The embedded coder."""

import csv
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from medpipe_assets.coding import embedded, icd10cm
from medpipe_assets.coding.embedded import EmbeddedCoding, _Learnt
from medpipe_assets.coding.engine import CodableMention, CodableText, Coding
from medpipe_assets.lexicon.terms import KINDS
from medpipe_assets.model.reader import Proposal, Reading


def coded(*named: str, asserted: bool = True, language: str = "en", category: str = "MEDICAL_CONDITION") -> Coding:
    text = ". ".join(named)
    mentions = [
        CodableMention(0, ((text.index(n), text.index(n) + len(n)),), category, "DX_NAME", 0.9, (), asserted)
        for n in named
    ]
    return EmbeddedCoding().code([CodableText(text, language)], mentions)


def test_a_condition_gets_candidates_best_first_that_are_in_the_code_set() -> None:
    (candidates,) = coded("chronic kidney disease").candidates
    assert 1 <= len(candidates) <= embedded.CANDIDATES
    scores = [c.score for c in candidates]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert all(icd10cm.lookup(c.code) is not None and c.description for c in candidates)


def test_a_category_is_coded_as_its_unspecified_leaf() -> None:
    (candidates,) = coded("bronchiectasis").candidates
    assert (candidates[0].code, candidates[0].billable) == ("J47.9", True)


def test_a_negated_mention_has_codes_and_none_of_them_is_asserted() -> None:
    coding = coded("hypertension", asserted=False)
    assert coding.candidates[0][0].code == "I10"
    assert [(c.code, c.asserted, c.accepted) for c in coding.codes] == [("I10", False, True)]


def test_one_asserted_mention_is_enough_to_assert_a_code() -> None:
    text = CodableText("No hypertension. Hypertension.", "en")
    mentions = [
        CodableMention(0, ((3, 15),), "MEDICAL_CONDITION", "DX_NAME", 0.9, ("NEGATION",), False),
        CodableMention(0, ((17, 29),), "MEDICAL_CONDITION", "DX_NAME", 0.9, (), True),
    ]
    (code,) = EmbeddedCoding().code([text], mentions).codes
    assert (code.asserted, code.accepted, code.mentions) == (True, True, 2)


def test_codes_of_a_document_are_ranked_and_vague_ones_not_accepted() -> None:
    codes = coded("tumor", "hypertension").codes
    assert codes[0].code == "I10"
    assert [c.probability for c in codes] == sorted((c.probability for c in codes), reverse=True)
    assert not next(c for c in codes if c.code == "D49.9").accepted


def test_what_is_likely_wrong_is_marked_for_review() -> None:
    for candidates in coded("tumor", "hypertension", "chronic kidney disease").candidates:
        assert all(c.review == (c.score < embedded.SURE) for c in candidates)


@pytest.mark.parametrize("category", ["MEDICATION", "ANATOMY"])
def test_only_conditions_are_coded(category: str) -> None:
    assert coded("hypertension", category=category) == Coding(((),), ())


def test_a_mention_that_is_no_term_has_no_candidates() -> None:
    assert coded("qwertyuiop").candidates == ((),)


def test_a_discontinuous_mention_is_read_as_one() -> None:
    text = CodableText("abscess, as seen, of the liver", "en")
    mention = CodableMention(0, ((0, 7), (18, 30)), "MEDICAL_CONDITION", "DX_NAME", 0.9)
    assert EmbeddedCoding().code([text], [mention]).candidates[0][0].code == "K75.0"


def test_every_kind_of_term_is_calibrated() -> None:
    with (Path(embedded.__file__).parent / "calibration.tsv").open(encoding="utf-8", newline="") as lines:
        precisions = {row["kind"]: float(row["precision"]) for row in csv.DictReader(lines, delimiter="\t")}
    assert set(precisions) == {*KINDS, "ambiguous", "category", "later"}
    assert all(0 < precision < 1 for precision in precisions.values())


def test_the_coder_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(EmbeddedCoding()))
    assert sent == EmbeddedCoding()
    assert sent.reads == "source"


def learnt(*proposals: Proposal) -> _Learnt:
    codes = tuple(sorted(((p.code, p.probability) for p in proposals), key=lambda told: -told[1]))
    reader = SimpleNamespace(accepted=0.4, sure=0.8)
    return _Learnt(reader, Reading(proposals, codes))  # type: ignore[arg-type]  # no more of a reader is asked for


def read_by(known: _Learnt, text: str, monkeypatch: pytest.MonkeyPatch) -> Coding:
    """What is coded where a model reads so in a text that is one mention."""
    asked = SimpleNamespace(accepted=0.4, sure=0.8, read=lambda _: known.reading)
    model = SimpleNamespace(reader=lambda *_: asked)
    monkeypatch.setattr(embedded.reader, "load", lambda _: model)
    mention = CodableMention(0, ((0, len(text)),), "MEDICAL_CONDITION", "DX_NAME", 0.9)
    return EmbeddedCoding("model").code([CodableText(text, "es")], [mention])


def test_codes_none_of_which_is_probable_enough_are_rolled_up_to_what_they_share_and_left_to_a_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = learnt(Proposal(0, 9, "e11.9", 0.3), Proposal(0, 9, "e11.65", 0.2))
    coding = read_by(known, "diabetes 2", monkeypatch)
    first, *rest = coding.candidates[0]
    assert (first.code, first.rolled_up_from, first.review, first.billable) == ("E11", "E11.9", True, False)
    assert first.score == pytest.approx(0.5)
    assert [c.code for c in rest] == ["E11.9", "E11.65"]
    assert not any(c.accepted for c in coding.codes)


def test_a_probable_code_is_not_rolled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    known = learnt(Proposal(0, 9, "e11.9", 0.9), Proposal(0, 9, "e11.65", 0.05))
    coding = read_by(known, "diabetes 2", monkeypatch)
    assert [(c.code, c.review) for c in coding.candidates[0]] == [("E11.9", False), ("E11.65", True)]
    assert [(c.code, c.accepted) for c in coding.codes] == [("E11.9", True), ("E11.65", False)]


def test_codes_without_a_common_category_are_not_rolled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    known = learnt(Proposal(0, 9, "e11.9", 0.3), Proposal(0, 9, "i10", 0.3))
    assert {c.rolled_up_from for c in read_by(known, "diabetes 2", monkeypatch).candidates[0]} == {None}


def test_a_term_that_a_model_thinks_nothing_of_is_shown_to_a_person_and_not_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert coded("asma", language="es").codes[0].accepted
    coding = read_by(learnt(), "asma", monkeypatch)
    assert all(c.review for c in coding.candidates[0])
    assert [(c.code, c.accepted) for c in coding.codes] == [("J45.909", False)]
