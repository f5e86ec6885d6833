"""The doctor sees what is missing, lost or open to others, and says what to do."""

from pathlib import Path

import pytest

from medpipe_assets import doctor
from medpipe_assets.doctor import BAD, GOOD, MISSING, Finding, examine, lines
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.lake import Lake
from medpipe_assets.model import artefact
from medpipe_assets.settings import Settings
from medpipe_tests.unit.lake.builders import document, put


def engines() -> object:
    raise ConfigurationError("there is no profile 'x': choose one of local, aws")


def found(lake: Lake | None) -> dict[str, Finding]:
    return {finding.about: finding for finding in examine(lake, Settings(), engines)}


def test_a_healthy_lake_is_told_so(lake: Lake) -> None:
    put(lake, "pages", {"document_id": document("a")})
    lake.location.home.chmod(0o700)
    told = found(lake)
    assert told["catalog"].state == told["permissions"].state == told["compaction"].state == GOOD


def test_engines_that_cannot_be_made_are_told_with_the_reason(lake: Lake) -> None:
    assert found(lake)["engines"].state == BAD and "choose one of" in found(lake)["engines"].told


def test_files_that_a_table_refers_to_and_that_are_gone_are_told(lake: Lake) -> None:
    put(lake, "pages", {"document_id": document("a")})
    put(lake, "stage_status", {"document_id": document("a")})
    Path(lake.data_files("pages")[0].file_path.removeprefix("file://")).unlink()
    told = found(lake)["catalog"]
    assert told.state == BAD and "1 of pages" in told.told and "backup" in told.next_step


def test_files_that_belong_to_no_table_are_counted(lake: Lake) -> None:
    put(lake, "pages", {"document_id": document("a")})
    Path(lake.location.zone("preprocessed"), "pages", "data", "cut off.parquet").write_bytes(b"123")
    assert found(lake)["orphans"].told.startswith("1 files")


def test_a_lake_that_others_may_read_is_told(lake: Lake) -> None:
    lake.location.home.chmod(0o755)
    told = found(lake)["permissions"]
    assert told.state == BAD and "chmod" in told.next_step


def test_a_disk_that_is_nearly_full_is_told(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK_BYTES", 1 << 60)
    assert found(lake)["disk"].state == BAD


def test_what_is_not_installed_is_told_with_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", {"no-such-package": ("nothing works", "install it")})
    monkeypatch.setattr(doctor, "PROGRAMS", {"no-such-program": ("little works", "install it, too")})
    told = found(None)
    for name in ("no-such-package", "no-such-program"):
        assert told[name].state == MISSING and told[name].next_step
    assert "next: install it, too" in "\n".join(lines(told.values()))
    assert told["lake"].state == MISSING


def test_the_coding_model_is_told_or_what_it_costs_to_have_none(tmp_path: Path) -> None:
    file = tmp_path / "coding.model"

    def told() -> Finding:
        return {finding.about: finding for finding in examine(None, Settings(model=str(file)), engines)}["coding model"]

    assert told().state == MISSING and "make model" in told().next_step
    fingerprint = artefact.write(file, {}, {})
    assert (told().state, told().told) == (GOOD, f"{fingerprint}, {file}")
    file.write_bytes(b"something else")
    assert told().state == BAD
