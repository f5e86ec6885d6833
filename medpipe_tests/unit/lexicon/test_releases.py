"""The user's own releases and Index: kept, replaced, found again."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from medpipe_assets.cli import main
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lexicon import build, lexicon, releases
from medpipe_tests.unit.lexicon.test_alphabetic_index import TABLE
from medpipe_tests.unit.lexicon.test_tabular import ORDER, XML


def forget() -> None:
    releases.releases.cache_clear()
    releases.index.cache_clear()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(releases, "_shipped", lambda: ())
    forget()
    (tmp_path / "icd10cm-tabular-2027.xml").write_text(XML, encoding="utf-8")
    (tmp_path / "icd10cm-order-April-2027.txt").write_text(ORDER, encoding="utf-8")
    (tmp_path / "index.csv").write_text(TABLE, encoding="utf-8")
    yield tmp_path
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("icd10cm-tabular-2027.xml", "2026-10-01"),
        ("icd10cm_order_2025.txt", "2024-10-01"),
        ("icd10cm-order-April-2026.txt", "2026-04-01"),
        ("icd10c-tabular-April-1-2026.xml", "2026-04-01"),
    ],
)
def test_a_release_is_in_force_from_the_day_that_its_files_name_says(name: str, day: str) -> None:
    assert releases.effective_day(name) == day


def test_what_is_added_is_there_in_order_and_replaces_what_was_added_for_the_same_day(data: Path) -> None:
    assert releases.add(data / "icd10cm-order-April-2027.txt") == "2027-04-01"
    assert releases.add(data / "icd10cm-tabular-2027.xml") == "2026-10-01"
    assert releases.add(data / "icd10cm-tabular-2027.xml", dt.date(2027, 4, 1)) == "2027-04-01"
    assert [(r.effective, r.file.suffix) for r in releases.releases()] == [
        ("2026-10-01", ".xml"),
        ("2027-04-01", ".xml"),
    ]


def test_what_is_added_changes_the_fingerprint(data: Path) -> None:
    releases.add(data / "icd10cm-tabular-2027.xml")
    release = build.fingerprint()
    releases.add(data / "index.csv")
    assert releases.index() is not None
    assert build.fingerprint() != release


def test_a_file_that_is_neither_is_not_kept(data: Path) -> None:
    (data / "notes-2027.txt").write_text("something else", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="notes-2027"):
        releases.add(data / "notes-2027.txt")
    (data / "order.txt").write_text(ORDER, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="--effective"):
        releases.add(data / "order.txt")
    assert not releases.folder().exists()
    with pytest.raises(ConfigurationError, match="medpipe codes add"):
        releases.releases()


def test_the_index_and_inclusion_terms_name_codes_of_the_newest_release(data: Path) -> None:
    for name in ("icd10cm-tabular-2027.xml", "icd10cm-order-April-2027.txt", "index.csv"):
        releases.add(data / name)
    known = lexicon.Lexicon("en")
    of_inclusion, of_index = known.sense("sinistralgia"), known.sense("elbowache")
    assert of_inclusion is not None
    assert (of_inclusion.codes, of_inclusion.kind) == (("A00.0",), "inclusion")
    assert of_index is not None
    assert of_index.kind == "index"


def test_the_command_says_what_it_added(data: Path) -> None:
    arguments = [str(data / name) for name in ("icd10cm-tabular-2027.xml", "index.csv")]
    added = CliRunner().invoke(main, ["codes", "add", *arguments])
    assert added.exit_code == 0
    assert added.output.splitlines() == [
        "ICD-10-CM in force from 2026-10-01: 5 codes for claims",
        "Alphabetic Index: 6 lines",
    ]
    listed = CliRunner().invoke(main, ["codes", "list"]).output
    assert "2026-10-01" in listed
    assert "index.csv" in listed


def test_the_command_names_a_file_that_is_not_there(data: Path) -> None:
    told = CliRunner().invoke(main, ["codes", "add", str(data / "absent-2027.xml")])
    assert told.exit_code == 2
    assert "absent-2027.xml" in told.output
