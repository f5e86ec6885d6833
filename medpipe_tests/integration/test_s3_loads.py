"""Loads into a lake on S3: what holds of a local lake's holds of them, and their files are under the lake's key.

Tests that are imported are those of local lakes, run on the other kind: this module's `lake` stands before theirs.
"""
# ruff: noqa: F811, F401

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.load import load
from medpipe_assets.lake import maintenance
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.maintenance import maintain
from medpipe_tests.unit.etlt.flat import DAY, contract, lake_at, put_file, rows_of
from medpipe_tests.unit.etlt.test_load import (
    DAYS,
    clinic,
    clinics,
    load_of,
    test_a_closed_account_goes_and_no_older_record_brings_it_back,
    test_a_day_loaded_by_another_contract_is_replaced,
    test_a_load_that_stands_is_not_done_again,
    test_what_a_blocking_check_finds_is_not_published,
    test_what_is_wrong_is_rejected_with_column_and_reason,
)
from medpipe_tests.unit.lake.s3 import BUCKET, fresh_location, served

KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served() as url:
        yield url


@pytest.fixture
def lake(server: str, tmp_path: Path, clinics: Contract) -> Lake:
    return lake_at(replace(fresh_location(tmp_path), kms_key=KEY), clinics)


def test_a_load_supersedes_rows_and_keeps_others_with_every_file_under_the_lakes_key(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = contract(history=True)
    put_file(lake, stated, [clinic(n, place=state) for n, state in enumerate(["CA", "CA", "TX"])])
    load_of(lake, stated)
    put_file(
        lake, stated, [clinic(0, place="CA", since="2021-01-01"), clinic(9, place="CA")], day=DAYS[1], as_json=True
    )
    assert load_of(lake, stated, DAYS[1]).rows_replaced == 1
    put_file(lake, stated, [clinic(7, place="CA")], day=DAYS[2])
    load_of(lake, stated, DAYS[2])
    expected = [("000", "CA"), ("001", "CA"), ("002", "TX"), ("007", "CA"), ("009", "CA")]
    assert rows_of(lake, "clinics", "id", "state") == expected
    assert rows_of(lake, "clinics_history", "id", "_pipeline_load_date") == [("000", DAY)]
    monkeypatch.setattr(maintenance, "COMPACT_FROM_FILES", 2)
    assert maintain(lake)["partitions_compacted"]
    assert rows_of(lake, "clinics", "id", "state") == expected
    assert len(lake.data_files("clinics")) == 2
    assert not any(lake.location.scratch.iterdir())
    assert {key_of(file.file_path) for file in lake.data_files("clinics")} == {KEY}


def key_of(path: str) -> str:
    """The KMS key of an object."""
    bucket, _, key = path.removeprefix("s3://").partition("/")
    assert bucket == BUCKET
    return str(boto3.client("s3").head_object(Bucket=bucket, Key=key)["SSEKMSKeyId"])
