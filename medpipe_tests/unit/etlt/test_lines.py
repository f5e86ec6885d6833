"""Lines are counted as CSV has them, wherever the parts in which a file is read end."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import DocumentError
from medpipe_assets.etlt import lines
from medpipe_assets.etlt.lines import census, numbers_among_all

cells = st.text(st.sampled_from('ab,"\n\r '), max_size=6)


@settings(max_examples=150)
@given(
    rows=st.lists(st.lists(cells, min_size=2, max_size=3), max_size=8),
    blank=st.lists(st.integers(0, 8), max_size=3),
    newline=st.sampled_from(["\n", "\r\n"]),
    block=st.integers(1, 9),
)
def test_a_table_has_as_many_lines_as_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], blank: list[int], newline: str, block: int
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=newline, quoting=csv.QUOTE_ALL)
    kinds = []
    for number, row in enumerate(rows):
        for _ in range(blank.count(number)):
            out.write(newline)
            kinds.append("blank")
        writer.writerow(row)
        kinds.append("row")
    path = tmp_path_factory.mktemp("lines") / "table.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        found = census(path, '"', ",")
    assert found.regular
    assert found.lines == len(kinds)
    assert found.blank.tolist() == [number for number, kind in enumerate(kinds, 1) if kind == "blank"]


@pytest.mark.parametrize(
    "text",
    ["a,b\r\nc,d\n", "a\rb\n", 'a,"b\nc,d\n', 'a,5" pipe\n', 'a,"b"c\n', 'a,"b\n"c",d\n'],
)
def test_what_only_looks_like_csv_is_not_regular(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    assert not census(path, '"', ",").regular


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_RECORD_BYTES", 100)
    path = tmp_path / "table.csv"
    path.write_text("a\n" + "x" * 101 + "\nb\n")
    with pytest.raises(DocumentError, match="a line of more"):
        census(path)


@given(st.sets(st.integers(1, 30)))
def test_numbers_are_found_again_after_others_were_removed(removed: set[int]) -> None:
    left = [number for number in range(1, 31) if number not in removed]
    found = numbers_among_all(np.arange(1, len(left) + 1), np.array(sorted(removed), np.int64))
    assert found.tolist() == left
