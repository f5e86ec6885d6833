"""The file in which compiled columns are kept."""

import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.lexicon.columns import Columns, Texts, opened, texts, write


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=8))
def test_texts_come_back_as_they_were(values: list[str]) -> None:
    column = texts("x", values)
    back = Texts(column["x"], column["x.ends"])
    assert (len(back), back.all()) == (len(values), values)


def test_a_file_gives_back_what_was_written_and_is_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.columns"
    arrays = {"small": np.array([1, 2], np.uint8), "none": np.array([], np.int32), "big": np.arange(9, dtype=np.uint64)}
    write(path, Columns({"word": "ñ"}, arrays | texts("names", ["a", "", "ñ"])))
    back = opened(path)
    assert back.about == {"word": "ñ"}
    assert {name: back.arrays[name].tolist() for name in arrays} == {n: a.tolist() for n, a in arrays.items()}
    assert back.texts("names").all() == ["a", "", "ñ"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_a_file_that_is_cut_off_is_not_opened(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "x.columns"
    write(path, Columns({}, {"a": np.arange(100)}))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises((ValueError, KeyError)):
        opened(path)
