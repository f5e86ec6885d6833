"""Measuring with an Index, and without one."""

from pathlib import Path

from benchmarks.installation import installed
from medpipe_assets.lexicon import lexicon, releases
from medpipe_tests.unit.lexicon.test_alphabetic_index import TABLE


def knows(text: str) -> bool:
    return lexicon.load("en").sense(text) is not None


def test_an_index_counts_while_it_is_installed_and_not_after(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(TABLE, encoding="utf-8")
    before = releases.folder()
    with installed(tmp_path / "index.csv"):
        inside = knows("elbowache")
        with installed(None):
            nested = knows("elbowache")
    assert (inside, nested, knows("elbowache")) == (True, False, False)
    assert releases.folder() == before
