"""Files are received once a version, whole, from wherever they are."""

import base64
import datetime as dt
import hashlib
import io
import logging
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError, RunStopError
from medpipe_assets.etlt import https, places, sources
from medpipe_assets.etlt.sources import changes, extract, request
from medpipe_assets.lake.lake import Lake
from medpipe_tests.unit.etlt.contracts import people

TODAY = dt.datetime.now(dt.UTC).date()
LONG_AGO = dt.date(2020, 1, 1)
DATA = bytes(range(256)) * 4096  # 1 MB


def received(lake: Lake) -> list[dict[str, Any]]:
    return list(lake.read("dataset_files").sort_by("sequence").to_pylist())


def raw(lake: Lake, row: dict[str, Any]) -> bytes:
    return lake.raw.get(row["raw_key"])


def take(lake: Lake, *uris: str | Path, day: dt.date = TODAY, **source: object) -> sources.ExtractReport:
    request(lake, people(**source), map(str, uris), day)
    return extract(lake, people(**source), day, run_id="r1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    (made / "sub").mkdir(parents=True)
    (made / "a.csv").write_bytes(b"one")
    (made / "sub" / "b.csv").write_bytes(b"two")
    (made / ".hidden").write_bytes(b"three")
    return made


def test_a_folders_files_are_received_with_hash_size_and_order(lake: Lake, folder: Path) -> None:
    report = take(lake, folder)
    assert (report.files, report.failed, report.size_bytes) == (2, 0, 6)
    rows = received(lake)
    assert [(row["file_id"], row["size_bytes"], row["sequence"]) for row in rows] == [
        (hashlib.sha256(b"one").hexdigest(), 3, 1),
        (hashlib.sha256(b"two").hexdigest(), 3, 2),
    ]
    assert [raw(lake, row) for row in rows] == [b"one", b"two"]
    kept = Path(lake.location.raw) / rows[0]["raw_key"]
    assert kept.stat().st_mode & 0o077 == 0


def test_versions_known_are_not_received_again_and_changed_ones_are(lake: Lake, folder: Path) -> None:
    take(lake, folder)
    assert request(lake, people(), [str(folder)], TODAY) == 0
    assert extract(lake, people(), TODAY, run_id="r2").files == 0
    (folder / "a.csv").write_bytes(b"more")
    assert take(lake, folder).files == 1
    assert [row["sequence"] for row in received(lake)] == [1, 2, 3]


def test_nothing_of_a_request_is_outside_the_lake_and_it_is_gone_when_done(lake: Lake, folder: Path) -> None:
    assert request(lake, people(), [str(folder)], TODAY) == 2
    assert len(list(lake.raw.list("requests/"))) == 1
    extract(lake, people(), TODAY, run_id="r1")
    assert not list(lake.raw.list("requests/"))


def test_the_watched_folder_is_read_today_and_not_by_a_backfill(lake: Lake, folder: Path) -> None:
    contract = people(uri=str(folder))
    assert extract(lake, contract, LONG_AGO, run_id="r1").files == 0
    assert extract(lake, contract, TODAY, run_id="r1").files == 2


def test_a_contract_without_an_address_watches_its_own_folder_of_uploads(lake: Lake) -> None:
    assert changes(lake, people()).files == 0
    uploads = lake.location.home / "uploads" / "people"
    uploads.mkdir(parents=True)
    (uploads / "a.csv").write_bytes(b"one")
    assert extract(lake, people(), TODAY, run_id="r1").files == 1


def test_the_signature_of_a_watched_place_changes_with_names_and_versions_only(lake: Lake, folder: Path) -> None:
    contract = people(uri=str(folder))
    before = changes(lake, contract)
    assert before.files == 2
    assert before.newest is not None
    assert changes(lake, contract) == before
    (folder / "c.csv").write_bytes(b"x")
    assert changes(lake, contract).signature != before.signature


def test_a_zip_is_received_as_its_members(lake: Lake, folder: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("x/one.csv", b"first")
        archive.writestr("two.json", b"second")
        archive.writestr("readme.pdf", b"third")
    (folder / "sub" / "b.csv").unlink()
    (folder / "a.csv").write_bytes(data.getvalue())
    assert take(lake, folder).files == 2
    assert sorted(raw(lake, row) for row in received(lake)) == [b"first", b"second"]
    assert all("!/" in row["uri"] for row in received(lake))
    assert request(lake, people(), [str(folder)], TODAY) == 0


def test_a_file_that_is_gone_is_in_quarantine_and_the_others_are_received(lake: Lake, folder: Path) -> None:
    request(lake, people(), [str(folder)], TODAY)
    (folder / "a.csv").unlink()
    report = extract(lake, people(), TODAY, run_id="r1")
    assert (report.files, report.failed) == (1, 1)
    (row,) = lake.read("quarantine").to_pylist()
    assert (row["stage"], row["reason"], row["resolved_at"]) == ("datasets", "unreadable", None)
    (folder / "a.csv").write_bytes(b"here")
    take(lake, folder)
    (row,) = lake.read("quarantine").to_pylist()
    assert row["resolved_at"] is not None


def test_a_file_that_changes_while_it_is_read_is_read_again(
    lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = places.Draft.write, [2]

    def meddling(self: places.Draft, block: bytes) -> None:
        write(self, block)
        if left[0]:
            left[0] -= 1
            (folder / "a.csv").write_bytes(b"one" * (4 - left[0]))

    monkeypatch.setattr(places.Draft, "write", meddling)
    take(lake, folder / "a.csv")
    (row,) = received(lake)
    assert raw(lake, row) == (folder / "a.csv").read_bytes() == b"one" * 4
    assert request(lake, people(), [str(folder / "a.csv")], TODAY) == 0


def test_a_file_that_never_stops_changing_is_refused(lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = places.Draft.write

    def meddling(self: places.Draft, block: bytes) -> None:
        write(self, block)
        (folder / "a.csv").write_bytes(os.urandom(self.size + 1))

    monkeypatch.setattr(places.Draft, "write", meddling)
    assert take(lake, folder / "a.csv").failed == 1
    assert not received(lake)


def test_a_run_that_is_killed_leaves_nothing_half(lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    request(lake, people(), [str(folder)], TODAY)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sources._Receipt, "commit", killed)
        extract(lake, people(), TODAY, run_id="r1")
    left = Path(lake.location.raw) / ".drafts" / "people_raw-killed"
    left.mkdir()
    (left / "draft").write_bytes(b"half")
    assert extract(lake, people(), TODAY, run_id="r2").files == 2
    files = {
        path.relative_to(lake.location.raw).as_posix() for path in Path(lake.location.raw).rglob("*") if path.is_file()
    }
    assert files == {row["raw_key"] for row in received(lake)}


@pytest.mark.parametrize(
    "uri", ["ftp://x/y", "s3://", "no/such/file.csv", "sftp://user:secret@host/x", "http://example.com/x"]
)
def test_an_address_where_nothing_can_be_is_a_mistake(lake: Lake, uri: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        request(lake, people(), [uri], TODAY)
    assert "secret@" not in str(refused.value)


# --- S3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="uploads")
        yield client


def test_objects_and_prefixes_of_s3_are_received(lake: Lake, bucket: Any) -> None:
    for key, data in {"in/a b.csv": b"one", "in/a b.csv.bak": b"two", "in/c.csv": DATA}.items():
        bucket.put_object(Bucket="uploads", Key=key, Body=data)
    assert take(lake, "s3://uploads/in/a b.csv").files == 1
    assert take(lake, "s3://uploads/in/").files == 2
    assert [raw(lake, row) for row in received(lake)] == [b"one", b"two", DATA]
    assert changes(lake, people(uri="s3://uploads/in/"), Clients("us-east-1")).files == 3


def test_an_object_replaced_after_it_was_listed_is_received_as_it_is_now(lake: Lake, bucket: Any) -> None:
    bucket.put_object(Bucket="uploads", Key="a.csv", Body=b"one")
    request(lake, people(), ["s3://uploads/a.csv"], TODAY)
    bucket.put_object(Bucket="uploads", Key="a.csv", Body=b"other")
    assert extract(lake, people(), TODAY, run_id="r1").files == 1
    assert raw(lake, received(lake)[0]) == b"other"
    assert request(lake, people(), ["s3://uploads/a.csv"], TODAY) == 0


# --- HTTPS


@dataclass
class Site:
    """A server of one file, with ways to misbehave."""

    data: bytes = DATA
    etag: str | None = '"v1"'
    cut_after: list[int] = field(default_factory=list)  # bytes sent before the connection is cut, a request each
    statuses: list[int] = field(default_factory=list)  # answered before all else, a request each
    becomes: bytes | None = None  # another file from the second request on
    digest: str = ""
    authorization: str = ""
    ranges: list[str | None] = field(default_factory=list)  # asked for
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler, with_body: bool) -> None:
        if self.authorization and handler.headers.get("Authorization") != self.authorization:
            self._plain(handler, 401)
        elif with_body and self.statuses:
            self._plain(handler, self.statuses.pop(0))
        else:
            self._file(handler, with_body)

    def _plain(self, handler: BaseHTTPRequestHandler, status: int) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _file(self, handler: BaseHTTPRequestHandler, with_body: bool) -> None:
        if with_body:
            if self.becomes is not None and self.ranges:
                self.data, self.etag, self.becomes = self.becomes, '"v2"', None
            self.ranges.append(handler.headers.get("Range"))
        found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        begin = int(found[1]) if found and handler.headers.get("If-Range") == self.etag else 0
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(self.data) - begin))
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(self.data) - 1}/{len(self.data)}")
        for name, value in {"ETag": self.etag, "Repr-Digest": self.digest}.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        if with_body:
            end = begin + self.cut_after.pop(0) if self.cut_after else len(self.data)
            handler.wfile.write(self.data[begin:end])
            handler.close_connection = True


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.answer(self, True)

        def do_HEAD(self) -> None:
            served.answer(self, False)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(https, "PAUSE_SECONDS", 0.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/rows.csv"
    yield served
    server.shutdown()
    server.server_close()


def test_a_file_on_a_server_is_received_once(lake: Lake, site: Site) -> None:
    assert take(lake, site.url).files == 1
    (row,) = received(lake)
    assert (raw(lake, row), row["version"]) == (DATA, '"v1"')
    assert request(lake, people(), [site.url], TODAY) == 0


def test_a_transfer_that_is_cut_goes_on_where_it_was(lake: Lake, site: Site) -> None:
    site.cut_after = [300_000, 200_000]
    assert take(lake, site.url).files == 1
    assert raw(lake, received(lake)[0]) == DATA
    assert site.ranges[0] is None
    assert all(asked is not None for asked in site.ranges[1:])
    assert len(site.ranges) == 3


def test_a_file_replaced_between_two_parts_is_not_mixed_with_the_old_one(lake: Lake, site: Site) -> None:
    site.cut_after, site.becomes = [300_000], b"new" * 100_000
    assert take(lake, site.url).files == 1
    (row,) = received(lake)
    assert (raw(lake, row), row["version"]) == (b"new" * 100_000, '"v2"')


def test_what_does_not_have_the_stated_hash_is_not_kept(lake: Lake, site: Site) -> None:
    site.digest = f"sha-256=:{base64.b64encode(hashlib.sha256(b'other').digest()).decode()}:"
    assert take(lake, site.url).failed == 1
    assert not received(lake)
    site.digest = f"sha-256=:{base64.b64encode(hashlib.sha256(DATA).digest()).decode()}:"
    assert extract(lake, people(), TODAY, run_id="r2").files == 1


def test_a_busy_server_is_asked_again_and_one_that_stays_busy_by_the_next_run(lake: Lake, site: Site) -> None:
    site.statuses = [503, 429]
    assert take(lake, site.url).files == 1
    site.etag, site.statuses = '"v2"', [503] * places.TRIES
    assert take(lake, site.url).failed == 1
    (row,) = lake.read("quarantine").to_pylist()
    assert row["reason"] == "engine_unavailable"
    assert extract(lake, people(), TODAY, run_id="r3").files == 1


def test_a_server_that_tells_no_version_has_its_bytes_compared(lake: Lake, site: Site) -> None:
    site.etag = None
    assert take(lake, site.url).files == 1
    again = take(lake, site.url)
    assert (again.files, again.unchanged) == (0, 1)
    site.data = b"other"
    assert take(lake, site.url).files == 1


def test_credentials_come_from_a_secret_and_are_not_told(
    lake: Lake, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.authorization = "Bearer t0ken"
    with pytest.raises(ConfigurationError, match="access denied"):
        request(lake, people(), [site.url], TODAY)
    monkeypatch.setenv("MEDPIPE_SECRET_CMS_API", "t0ken")
    assert take(lake, site.url, credentials="cms-api").files == 1
    site.authorization = "Basic " + base64.b64encode(b"u:p4ss").decode()
    site.etag = '"v2"'
    monkeypatch.setenv("MEDPIPE_SECRET_CMS_API", '{"user": "u", "password": "p4ss"}')
    assert take(lake, site.url, credentials="cms-api").files == 1
    assert "t0ken" not in caplog.text


def test_nobody_at_an_address_stops_the_run_with_words(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "PAUSE_SECONDS", 0.0)
    with pytest.raises(RunStopError, match="cannot be listed"):
        request(lake, people(), ["http://127.0.0.1:1/x.csv"], TODAY)
