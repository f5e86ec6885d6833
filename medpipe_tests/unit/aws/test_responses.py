"""Stored answers come back exactly, are private, and are there whole or not at all."""

import datetime as dt
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.responses import ResponseStore, response_key
from medpipe_assets.errors import ConfigurationError
from medpipe_tests.unit.aws.conftest import REGION

KEY = "ab" + "0" * 62

zones = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-5, minutes=-30))])
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0))
    | st.decimals(allow_nan=False)
)
names = st.text(st.characters()) | st.sampled_from(["$bytes", "$datetime", "$decimal", "$object", "$"])
responses = st.dictionaries(
    names,
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
    ),
    max_size=3,
)


@given(responses)
def test_any_answer_comes_back_as_it_was(response: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        store = ResponseStore(folder)
        store.put(KEY, response)
        assert repr(store.get(KEY)) == repr(response)


def test_an_answer_comes_back_from_s3_as_it_was(bucket: str) -> None:
    store = ResponseStore(f"s3://{bucket}/raw/responses/", Clients(REGION))
    response = {"Blocks": [{"Confidence": 99.81, "Bytes": b"\x00\xff", "At": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)}]}
    assert store.get(KEY) is None
    store.put(KEY, response)
    assert store.get(KEY) == response
    keys = [found["Key"] for found in boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"raw/responses/ab/{KEY}.json.gz"]


def test_objects_are_encrypted_with_the_key_that_is_given(bucket: str) -> None:
    key_id = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["KeyId"]
    ResponseStore(f"s3://{bucket}", Clients(REGION), kms_key=key_id).put(KEY, {"a": 1})
    found = boto3.client("s3", region_name=REGION).head_object(Bucket=bucket, Key=f"ab/{KEY}.json.gz")
    assert found["ServerSideEncryption"] == "aws:kms"
    assert key_id in found["SSEKMSKeyId"]


def test_a_bucket_that_is_not_there_is_a_matter_of_configuration(aws: None) -> None:
    store = ResponseStore("s3://nowhere", Clients(REGION))
    with pytest.raises(ConfigurationError, match="NoSuchBucket"):
        store.get(KEY)
    with pytest.raises(ConfigurationError, match="NoSuchBucket"):
        store.put(KEY, {})


def test_files_and_folders_are_their_owner_s_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ResponseStore(str(tmp_path / "responses")).put(KEY, {"Text": "x"})
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "responses").rglob("*")}
    modes[tmp_path / "responses"] = stat.S_IMODE((tmp_path / "responses").stat().st_mode)
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_write_that_fails_leaves_the_answer_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResponseStore(str(tmp_path))
    store.put(KEY, {"n": 1})

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        store.put(KEY, {"n": 2})
    assert store.get(KEY) == {"n": 1}
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@given(st.integers(0, 200))
def test_a_damaged_answer_counts_as_none(cut: int) -> None:
    with TemporaryDirectory() as folder:
        store = ResponseStore(folder)
        store.put(KEY, {"Text": "words " * 50})
        (path,) = Path(folder).rglob("*.gz")
        data = path.read_bytes()
        path.write_bytes(data[: min(cut, len(data) - 1)])
        assert store.get(KEY) is None


def test_what_cannot_be_kept_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(TypeError) as error:
        ResponseStore(str(tmp_path)).put(KEY, {"Body": {"the patient's words"}})
    assert "patient" not in str(error.value)


def test_a_key_tells_apart_whatever_changes_the_answer() -> None:
    base = ("textract", "AnalyzeDocument", {"features": "tables", "max": 5}, b"page")
    others = [
        ("translate", "AnalyzeDocument", {"features": "tables", "max": 5}, b"page"),
        ("textract", "DetectDocumentText", {"features": "tables", "max": 5}, b"page"),
        ("textract", "AnalyzeDocument", {"features": "forms", "max": 5}, b"page"),
        ("textract", "AnalyzeDocument", {"features": "tables", "max": "5"}, b"page"),
        ("textract", "AnalyzeDocument", {"features": "tables"}, b"page"),
        ("textract", "AnalyzeDocument", {"features": "tables", "max": 5}, b"page "),
    ]
    assert len({response_key(*request) for request in [base, *others]}) == 1 + len(others)


def test_a_key_does_not_depend_on_the_order_of_the_settings() -> None:
    assert response_key("a", "B", {"x": 1, "y": b"z"}, b"") == response_key("a", "B", {"y": b"z", "x": 1}, b"")
