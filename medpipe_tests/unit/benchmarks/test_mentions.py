"""The benchmark of mentions: reading PubTator's format and counting agreement."""

import json
from pathlib import Path

import pytest

from benchmarks.mentions import Abstract, Counts, exact, f1, main, overlap, precision, pubtator, recall

BLOCK = (
    "{n}|t|Gout in {n} men\n{n}|a|They had gout and severe anemia.\n"
    "{n}\t0\t4\tGout\tSpecificDisease\tD006073\n{n}\tCID\tD1\tD2\n{n}\t{b}\t{e}\tgout\tSpecificDisease\tD006073\n\n"
)


def blocks(count: int) -> str:
    return "".join(
        BLOCK.format(n=n, b=len(f"Gout in {n} men ") + 9, e=len(f"Gout in {n} men ") + 13) for n in range(count)
    )


def test_abstracts_are_read_with_offsets_over_title_and_abstract(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("\n" + blocks(2), encoding="utf-8")
    first, second = pubtator(path)
    assert first == Abstract("Gout in 0 men They had gout and severe anemia.", frozenset({(0, 4), (23, 27)}))
    assert [second.text[b:e] for b, e in sorted(second.spans)] == ["Gout", "gout"]


def test_exact_agreement_wants_the_same_ends_and_overlap_one_character() -> None:
    found, gold = {(0, 4), (10, 20), (30, 31)}, frozenset({(0, 4), (12, 15), (16, 22)})
    assert exact(found, gold) == Counts(3, 3, 1, 1)
    assert overlap(found, gold) == Counts(3, 3, 2, 3)


def test_f1_is_the_harmonic_mean() -> None:
    counts = [Counts(3, 3, 2, 3), Counts(1, 0, 0, 0)]
    assert (precision(counts), recall(counts), f1(counts)) == (0.5, 1.0, pytest.approx(2 / 3))
    assert f1([Counts(0, 0, 0, 0)]) == 0


def test_what_is_trained_on_is_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text(blocks(30), encoding="utf-8")
    main(["--train", str(path), "--corpus", str(path)])
    figures = {row["figure"]: row["value"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert figures["mentions_exact_f1"] == 1
    assert figures["mentions_overlap_f1"] == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--corpus", str(tmp_path / "none.txt"), "--train", str(tmp_path / "none.txt")])
    assert "none.txt" in capsys.readouterr().err
