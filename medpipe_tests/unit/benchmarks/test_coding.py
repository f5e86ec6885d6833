"""The coding benchmark counts as the task does, and writes the files that the task's scorer reads."""

import json
from pathlib import Path

import pytest

from benchmarks import coding
from benchmarks.coding import Answer, average_precision, evidence_counts, near
from medpipe_assets.model.corpus import DIAGNOSIS, PROCEDURE, Document, Evidence
from medpipe_tests.unit.model.corpora import write_corpus


def answer(evidence: dict[str, list[tuple[int, int]]]) -> Answer:
    return Answer({}, {}, {}, {DIAGNOSIS: evidence})


@pytest.mark.parametrize(
    ("told", "counts"),
    [((10, 20), True), ((0, 30), True), ((10, 31), False), ((11, 20), False), ((10, 19), False)],
)
def test_a_span_counts_that_holds_the_gold_one_and_is_at_most_ten_wider(told: tuple[int, int], counts: bool) -> None:
    assert near((10, 20), told) is counts


def test_average_precision_is_over_all_gold_codes() -> None:
    assert average_precision(["a", "x", "b"], frozenset("abc")) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision([], frozenset("a")) == 0


def test_a_code_with_evidence_counts_once_where_one_of_its_spans_is_right() -> None:
    pieces = (
        Evidence(DIAGNOSIS, "r50.9", ((5, 11),)),
        Evidence(DIAGNOSIS, "r50.9", ((40, 46),)),
        Evidence(PROCEDURE, "bw03zzz", ((20, 24), (30, 36))),
    )
    document = Document("a", "", pieces)
    assert evidence_counts(document, answer({"r50.9": [(0, 3), (40, 46)], "r51": [(5, 11)]})) == (1, 2, 2)
    assert evidence_counts(document, answer({"bw03zzz": [(20, 36)]})) == (1, 1, 2)


def test_what_is_written_is_what_the_tasks_scorer_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_corpus(tmp_path / "test", 4)
    files = {name: tmp_path / f"{name}.tsv" for name in ("predictions", "ranking", "evidence")}
    options = [text for name, file in files.items() for text in (f"--{name}", str(file))]
    coding.main(["--zero-shot", "--test", str(folder), *options])
    figures = {(row := json.loads(line))["figure"]: row for line in capsys.readouterr().out.splitlines()}
    assert 0 < figures["coding_d_f1"]["value"] <= 1 and figures["coding_d_f1"]["n"] == 4
    rows = {name: [line.split("\t") for line in file.read_text().splitlines()] for name, file in files.items()}
    assert {len(row) for row in rows["predictions"] + rows["ranking"]} == {2}
    ranked = [tuple(row) for row in rows["ranking"]]
    assert len(ranked) == len(set(ranked)) and {tuple(row) for row in rows["predictions"]} <= set(ranked)
    for name, offsets, kind, code in rows["evidence"]:
        begin, end = map(int, offsets.split())
        assert begin < end and kind == DIAGNOSIS and [name, code] in rows["predictions"]
