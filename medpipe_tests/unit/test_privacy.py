"""Folders are closed to others where that is ours to do, and files begin private."""

import os
import stat
from pathlib import Path

import pytest

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import ZONES, LakeLocation
from medpipe_assets.lake.processes import owned_prefix, sweep, this_process
from medpipe_assets.privacy import create_private, make_folder, tighten


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def no_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


def test_zones_that_others_can_look_into_are_closed(tmp_path: Path) -> None:
    for zone in ZONES:
        (tmp_path / zone).mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    Lake(LakeLocation.under(tmp_path))
    assert {mode(tmp_path / zone) for zone in ZONES} == {0o700}
    assert {mode(tmp_path / name) for name in ("catalog.db", "leases.db")} == {0o600}
    assert mode(tmp_path) == 0o755, "it may be a folder of somebody's own"


def test_a_folder_that_all_share_is_left_alone_and_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw").chmod(0o1777)
    assert not tighten(tmp_path / "raw")
    LakeLocation.under(tmp_path).create()
    assert mode(tmp_path / "raw") == 0o1777
    assert "others can look into" in caplog.text


def test_what_is_made_is_private_whatever_the_umask(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    create_private(tmp_path / "file")
    create_private(tmp_path / "file")
    assert {mode(tmp_path / "a"), mode(tmp_path / "a" / "b")} == {0o700}
    assert mode(tmp_path / "file") == 0o600


def test_what_dead_processes_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    host, pid, _ = this_process().split(" ")
    left, ours, other, strange = f"{host}~{pid}~1~x", f"{owned_prefix()}y", "elsewhere~1~1~z", f"{host}~x"
    (tmp_path / left).mkdir()
    (tmp_path / left / "spilled").touch()
    for name in (ours, other, strange):
        (tmp_path / name).touch()
    assert sweep(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {ours, other, strange}
    assert sweep(tmp_path / "nowhere") == 0
