"""Files of a lake on S3 go in and out whole; those of a local lake are tested with what makes them."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from medpipe_assets.etlt.flatten import flatten
from medpipe_assets.etlt.sources import extract, request
from medpipe_assets.etlt.zone_files import drafts, keep, opened
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.objects import store_at
from medpipe_tests.unit.etlt.contracts import people
from medpipe_tests.unit.lake.s3 import fresh_location, served

TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with served():
        yield Lake(fresh_location(tmp_path_factory.mktemp("home")))


def test_a_lake_on_s3_receives_and_flattens(remote: Lake, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("person_id,city\n1,Riga\n,\n")
    assert request(remote, people(), [str(tmp_path / "a.csv")], TODAY) == 1
    assert extract(remote, people(), TODAY, run_id="r1").files == 1
    assert flatten(remote, people(), TODAY, run_id="r1").rows == 1
    (line,) = remote.read("dataset_flattened").to_pylist()
    assert store_at(remote.location.preprocessed).get(line["path"]).startswith(b"PAR1")
    assert remote.read("dataset_rejects").num_rows == 1
    assert not [path for path in remote.location.home.rglob("*") if path.is_file() and "scratch" in path.parts]


def test_what_is_under_a_key_stays(remote: Lake) -> None:
    for data in (b"first", b"second"):
        with drafts(remote, "raw", "test") as folder:
            (folder / "draft").write_bytes(data)
            keep(remote, "raw", "datasets/test/key", folder / "draft")
    with drafts(remote, "raw", "test") as folder, opened(remote, "datasets/test/key", folder) as path:
        assert path.read_bytes() == b"first"
