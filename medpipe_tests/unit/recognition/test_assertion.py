"""Who has a finding, and whether it is there at all: cues, their reach, headings; in six languages."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.assertion import assertion
from medpipe_assets.recognition.engine import TRAITS
from medpipe_assets.recognition.terms import LANGUAGES, read_table

LOWEST_ACCURACY = 0.95

Marked = tuple[str, tuple[int, int]]


def marked(sentence: str) -> Marked:
    """A sentence whose mention stands in square brackets, as text and the mention's offsets."""
    before, mention, after = sentence.replace("\\n", "\n").replace("]", "[").split("[")
    return before + mention + after, (len(before), len(before) + len(mention))


def traits(sentence: str, language: str) -> set[str]:
    text, span = marked(sentence)
    return {trait.name for trait in assertion(text, language, [[span]])[0]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nearly_all_written_sentences_are_read_as_a_person_reads_them(language: str) -> None:
    table = (Path(__file__).parent / f"assertion_{language}.tsv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    wrong = [r["sentence"] for r in rows if traits(r["sentence"], language) != set((r["traits"] or "").split())]
    assert 1 - len(wrong) / len(rows) >= LOWEST_ACCURACY, wrong


def test_a_negation_ends_where_another_finding_is_asserted() -> None:
    assert traits("Denies fever, but has [cough].", "en") == set()
    assert traits("Niega [fiebre], pero refiere tos.", "es") == {"NEGATION"}


def test_a_negation_does_not_reach_over_a_paragraph() -> None:
    assert traits("No\n\n[fever]", "en") == set()


def test_a_negation_reaches_over_a_line_break_within_a_sentence() -> None:
    assert traits("no evidence of\n[metastatic disease]", "en") == {"NEGATION"}


def test_a_cue_inside_a_mention_says_nothing_of_it_or_of_its_neighbours() -> None:
    text = "no hodgkin lymphoma, cough"
    assert assertion(text, "en", [[(0, 19)], [(21, 26)]]) == [(), ()]


def test_a_finding_under_the_family_heading_is_the_familys_until_the_next_heading() -> None:
    text = "Family history:\nDiabetes\n\nAssessment:\nAsthma"
    family, own = assertion(text, "en", [[(16, 24)], [(38, 44)]])
    assert [trait.name for trait in family] == ["FAMILY_HISTORY"]
    assert own == ()


def test_what_is_denied_has_no_past() -> None:
    assert traits("Antecedentes personales: no [diabetes].", "es") == {"NEGATION"}


def test_a_negation_inside_brackets_stays_there() -> None:
    assert traits("Cirrhosis (no ascites) and [encephalopathy].", "en") == set()


def test_a_language_without_cues_gives_no_traits() -> None:
    assert assertion("Ingen feber", "sv", [[(6, 11)]]) == [()]


@pytest.mark.timeout(20)
def test_a_long_text_without_punctuation_is_read_in_time() -> None:
    text = "no fever and " * 20_000
    spans = [[(begin + 3, begin + 8)] for begin in range(0, len(text), 13)]
    assert {trait.name for result in assertion(text, "en", spans) for trait in result} == {"NEGATION"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_cue_names_a_known_trait_direction_and_strength(language: str) -> None:
    for row in read_table(f"cues_{language}.tsv"):
        assert row["trait"] in {*TRAITS, "*"}, row
        assert row["direction"] in {"forward", "backward", "answer", "reply", "whole", "stop", "pseudo"}, row
        assert row["strength"] in {"strong", "list", "weak", "next"}, row


@given(st.text(max_size=120), st.sampled_from([*LANGUAGES, "xx"]), st.data())
def test_any_text_and_any_spans_give_one_result_a_mention(text: str, language: str, data: st.DataObject) -> None:
    offset = st.integers(0, len(text))
    span = st.tuples(offset, offset).map(lambda pair: (min(pair), max(pair)))
    spans = data.draw(st.lists(st.lists(span, max_size=2), max_size=5))
    results = assertion(text, language, spans)
    assert len(results) == len(spans)
    assert all(trait.name in TRAITS and 0 < trait.score <= 1 for result in results for trait in result)


@given(st.lists(st.sampled_from(["no", "fever", ",", "and", ".", "\n", "denies", "history of", "(", ")"]), max_size=25))
def test_text_after_the_sentence_changes_nothing_in_it(words: list[str]) -> None:
    text = " ".join(words).replace("\n", "") + " pain."
    span = [(len(text) - 5, len(text) - 1)]
    assert assertion(text, "en", [span]) == assertion(text + " No fever. Denies cough.", "en", [span])
