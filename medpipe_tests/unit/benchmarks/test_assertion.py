"""The benchmark of denials: reading tables and BRAT folders as they come, and finding concepts in sentences."""

import json
from pathlib import Path

import pytest

from benchmarks.assertion import SENTENCES, Judged, brat, f1, locate, main, precision, recall, table

ROWS = (
    "Report No.\tConcept\tSentence\tNegation",
    '1\tfever\t"No fever, ""chills"" or cough."\tNegated\tPatient',
    "2\tcough\tHas a\tcough.\tAffirmed",
    "3\tgout\tNo rash.\tNegated",
    "",
)


def test_a_table_is_read_with_header_quotes_and_tabs_within_the_sentence(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("\r\n".join(ROWS), encoding="utf-8")
    assert table(path) == [
        Judged('No fever, "chills" or cough.', (3, 8), True, "line 2"),
        Judged("Has a\tcough.", (6, 11), False, "line 3"),
        Judged("No rash.", None, True, "line 4"),
    ]


@pytest.mark.parametrize(
    ("concept", "sentence", "span"),
    [
        ("MI", "Family history of mi.", (18, 20)),
        ("chest pain", "No CHEST  PAIN.", (3, 14)),
        ("tender", "Nontender.", (3, 9)),
        ("gout", "No rash.", None),
        ("", "No rash.", None),
    ],
)
def test_a_concept_stands_where_it_is_first_a_whole_word(
    concept: str, sentence: str, span: tuple[int, int] | None
) -> None:
    assert locate(concept, sentence) == span


def test_in_a_brat_folder_what_lies_in_a_markers_scope_is_negated(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Sin fiebre ni tos. Con disnea. Afebril. Probable gripe.", encoding="utf-8")
    annotations = (
        "T1\tNegSynMarker 0 3\tSin\nT2\tPhrase 4 17\tfiebre ni tos\nT3\tDISO 4 10\tfiebre\nT4\tDISO 14 17\ttos\n"
        "T5\tDISO 23 29\tdisnea\nT6\tNegMorMarker 31 38\tAfebril\nR1\tScope Arg1:T1 Arg2:T2\n"
        "T7\tUncertLexMarker 40 48\tProbable\nT8\tDISO 49 54\tgripe\nR2\tScope Arg1:T7 Arg2:T8\n"
    )
    (tmp_path / "a.ann").write_text(annotations, encoding="utf-8")
    annotated, found, uncertain = brat(tmp_path, "es")
    assert [(m.span, m.gold) for m in annotated] == [
        ((4, 10), True),
        ((14, 17), True),
        ((23, 29), False),
        ((49, 54), False),
    ]
    assert [m.gold for m in uncertain] == [False, False, False, True]
    assert ((4, 10), True) in {(m.span, m.gold) for m in found}


def test_figures_count_the_negated() -> None:
    verdicts = [(True, True), (True, False), (False, True), (False, False)]
    assert (f1(verdicts), precision(verdicts), recall(verdicts)) == (0.5, 0.5, 0.5)


def test_a_concept_that_is_not_there_counts_as_missing_and_not_negated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "three.tsv"
    path.write_text("\n".join(ROWS), encoding="utf-8")
    main(["--input", str(path), "--errors", str(tmp_path / "errors")])
    figures = {row["figure"]: row["value"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert figures["negation_concepts_missing_three"] == 1
    assert figures["negation_precision_three"] == 1
    assert figures["negation_recall_three"] == 0.5
    assert (tmp_path / "errors").read_text().startswith("three\tline 4\tnegation missed")


def test_nearly_all_of_our_own_sentences_are_judged_rightly(capsys: pytest.CaptureFixture[str]) -> None:
    main([argument for path in SENTENCES for argument in ("--input", str(path))])
    figures = {row["figure"]: row["value"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert all(figures[f"negation_f1_{path.stem}"] > 0.97 for path in SENTENCES)
