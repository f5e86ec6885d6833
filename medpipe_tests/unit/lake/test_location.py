"""Where a lake is: what the environment says, and what is refused before anything is written."""

from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.location import DEFAULT_HOME, ZONES, LakeLocation

BUCKETS = {f"{zone.upper()}_BUCKET": f"s3://{zone}-bucket" for zone in ZONES}


def test_one_prefix_holds_all_zones_and_the_home_stays_on_this_machine(tmp_path: Path) -> None:
    found = LakeLocation.from_environment({"MEDPIPE_LAKE": "s3://bucket/some/prefix/", "MEDPIPE_HOME": str(tmp_path)})
    assert [found.zone(zone) for zone in ZONES] == [f"s3://bucket/some/prefix/{zone}" for zone in ZONES]
    assert found.home == tmp_path
    assert found.is_remote


def test_a_root_says_all_of_a_lake_or_nothing() -> None:
    for root in ("s3://bucket", "s3://bucket/some/prefix", "/folder"):
        assert LakeLocation.under(root).root == root
    assert LakeLocation.from_environment(BUCKETS).root == ""
    assert LakeLocation.from_environment({"MEDPIPE_LAKE": "/folder", "RAW_BUCKET": "/raw"}).root == ""


def test_each_zone_may_be_a_bucket_and_a_home_is_found_for_them() -> None:
    found = LakeLocation.from_environment(BUCKETS)
    assert [found.zone(zone) for zone in ZONES] == [f"s3://{zone}-bucket" for zone in ZONES]
    assert found.home == Path(DEFAULT_HOME).expanduser()


def test_a_zones_own_bucket_stands_before_the_lakes(tmp_path: Path) -> None:
    found = LakeLocation.from_environment({"MEDPIPE_LAKE": "s3://lake", "RAW_BUCKET": "s3://raw-bucket/in"})
    assert (found.raw, found.staging) == ("s3://raw-bucket/in", "s3://lake/staging")


def test_key_and_database_are_the_environments() -> None:
    more = {"MEDPIPE_KMS_KEY": "alias/medpipe", "MEDPIPE_GLUE_DATABASE": "medpipe_test"}
    found = LakeLocation.from_environment({**BUCKETS, **more})
    assert (found.kms_key, found.database) == ("alias/medpipe", "medpipe_test")
    with pytest.raises(ConfigurationError, match="MEDPIPE_GLUE_DATABASE"):
        LakeLocation.from_environment({**BUCKETS, "MEDPIPE_GLUE_DATABASE": "Two Words"})


@pytest.mark.parametrize(
    "root", ["s3://", "s3://a", "s3://UPPER", "s3://bucket//x", "s3://bucket/a b", "s3://bucket/%41", "gs://bucket"]
)
def test_a_root_that_would_have_to_be_quoted_somewhere_is_refused(root: str) -> None:
    with pytest.raises(ConfigurationError, match="RAW_BUCKET"):
        LakeLocation.from_environment({**BUCKETS, "RAW_BUCKET": root})


def test_a_home_that_cannot_be_made_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="MEDPIPE_HOME"):
        LakeLocation.under("s3://bucket", tmp_path / "file" / "home").create()


def test_making_a_remote_lakes_folders_makes_none_but_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    LakeLocation.under("s3://bucket/prefix", tmp_path / "home").create()
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["home", "home/scratch"]
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
