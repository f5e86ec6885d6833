"""Intake: receipts, bytes and sources; what cannot be read, what is an archive, and being cut off anywhere."""

import datetime as dt
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medpipe_assets.documents import intake
from medpipe_assets.documents.consumers import current_documents
from medpipe_assets.documents.intake import INBOX, documents_of, pending_receipts, receive, take_in
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.inbox.engine import source_id
from medpipe_assets.inbox.local import LocalInbox, fetch, path_of
from medpipe_assets.lake.lake import Lake, raw_key
from medpipe_assets.lake.ledger import first_days
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.objects import LocalObjects, S3Objects
from medpipe_assets.lake.quarantine import open_failures
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, content

TABLES = ("document_sources", "quarantine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


def add(folder: Path, **files: str | bytes) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def archive(**members: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return buffer.getvalue()


def scan(lake: Lake, folder: Path, day: dt.date = DAY) -> intake.IntakeReport:
    """What one look into the folder, and one run after it, do."""
    receive(lake, LocalInbox((folder,)).arrivals(), day)
    return take_in(lake, day, fetch, run_id="run")


def sources(lake: Lake) -> dict[str, str | None]:
    """The content of the latest document of each source, by the last part of its name."""
    rows = lake.read("document_sources").sort_by("sequence").to_pylist()
    return {
        row["uri"].rpartition("/in/")[2]: row["document_id"] and lake.raw.get(raw_key(row["document_id"])).decode()
        for row in rows
    }


# Receipts


def test_a_receipt_waits_inside_the_lake_and_nowhere_else(lake: Lake, folder: Path, tmp_path: Path) -> None:
    add(folder, **{"Ana Pérez.txt": "text"})
    receipt = receive(lake, LocalInbox((folder,)).arrivals(), DAY)
    assert receipt is not None
    holding = [p for p in tmp_path.rglob("*") if p.is_file() and b"Ana" in p.read_bytes()]
    assert holding == [Path(lake.location.raw, "receipts", DAY.isoformat(), f"{receipt.id}.jsonl")]
    assert holding[0].stat().st_mode & 0o077 == 0
    assert "Ana" not in str(holding[0])
    assert pending_receipts(lake) == pending_receipts(lake, DAY) == [receipt]
    assert pending_receipts(lake, NEXT_DAY) == []


def test_what_is_receipted_or_taken_in_is_not_received_again(lake: Lake, folder: Path) -> None:
    add(folder, a="1")
    arrivals = list(LocalInbox((folder,)).arrivals())
    assert receive(lake, arrivals, DAY) is not None
    assert receive(lake, arrivals, NEXT_DAY) is None
    take_in(lake, DAY, fetch, run_id="run")
    assert pending_receipts(lake) == []
    assert receive(lake, arrivals, NEXT_DAY) is None
    assert receive(lake, [], DAY) is None


def test_a_receipt_of_another_day_waits_for_its_own_run(lake: Lake, folder: Path) -> None:
    add(folder, a="1")
    receive(lake, LocalInbox((folder,)).arrivals(), NEXT_DAY)
    assert take_in(lake, DAY, fetch, run_id="run").sources == 0
    assert len(pending_receipts(lake)) == 1


def test_two_receipts_of_the_same_arrival_are_one_source(lake: Lake, folder: Path) -> None:
    """Two daemons may look at the same moment."""
    add(folder, a="1")
    arrivals = list(LocalInbox((folder,)).arrivals())
    first = receive(lake, arrivals, DAY)
    assert first is not None
    path = Path(lake.location.raw, "receipts", DAY.isoformat(), f"{first.id}.jsonl")
    (path.parent / "another.jsonl").write_bytes(path.read_bytes())
    assert take_in(lake, DAY, fetch, run_id="run").sources == 1
    assert lake.read("document_sources").num_rows == 1
    assert pending_receipts(lake) == []


# Sources and documents


def test_a_file_is_a_document_under_the_hash_of_its_bytes(lake: Lake, folder: Path) -> None:
    add(folder, a="text")
    report = scan(lake, folder)
    assert (report.sources, report.documents, report.unreadable, report.size_bytes) == (1, 1, 0, 4)
    (row,) = lake.read("document_sources").to_pylist()
    assert lake.raw.get(raw_key(row["document_id"])) == b"text"
    assert row["source_id"] == source_id((folder / "a").as_uri())
    assert (row["ingest_date"], row["sequence"], row["deleted"]) == (DAY, 1, False)


def test_the_same_file_seen_twice_is_one_document_with_one_source(lake: Lake, folder: Path) -> None:
    add(folder, a="text")
    scan(lake, folder)
    assert scan(lake, folder, NEXT_DAY).sources == 0
    assert lake.read("document_sources").num_rows == 1


def test_two_names_of_the_same_bytes_are_one_document_with_two_sources(lake: Lake, folder: Path) -> None:
    add(folder, a="same", b="same")
    scan(lake, folder)
    assert sources(lake) == {"a": "same", "b": "same"}
    assert len(first_days(lake)) == len(current_documents(lake)) == 1
    (uris,) = documents_of(lake, {(folder / name).as_uri() for name in "ab"}).values()
    assert [path_of(uri).name for uri in uris] == ["a", "b"]


def test_new_bytes_under_an_old_name_supersede_the_document(lake: Lake, folder: Path) -> None:
    add(folder, a="old")
    scan(lake, folder)
    (old,) = current_documents(lake)
    add(folder, a="newer")
    scan(lake, folder, NEXT_DAY)
    (new,) = current_documents(lake)
    assert lake.raw.get(raw_key(new)).decode() == "newer"
    assert first_days(lake) == {old: DAY, new: NEXT_DAY}
    assert list(documents_of(lake, {(folder / "a").as_uri()})) == [new]


def test_a_superseded_document_stays_current_where_another_source_has_it(lake: Lake, folder: Path) -> None:
    add(folder, a="shared", b="shared")
    scan(lake, folder)
    add(folder, a="newer")
    scan(lake, folder, NEXT_DAY)
    assert len(current_documents(lake)) == 2


def test_old_bytes_that_come_back_are_current_again_and_keep_their_day(lake: Lake, folder: Path) -> None:
    for day, text in ((DAY, "first"), (NEXT_DAY, "second"), (NEXT_DAY + dt.timedelta(1), "first")):
        add(folder, a=text)
        scan(lake, folder, day)
    (current,) = current_documents(lake)
    assert lake.raw.get(raw_key(current)).decode() == "first"
    assert first_days(lake)[current] == DAY


def test_a_source_that_was_deleted_has_no_current_document(lake: Lake, folder: Path) -> None:
    add(folder, a="text")
    scan(lake, folder)
    rows = lake.read("document_sources").to_pylist()
    gone = {**rows[0], "deleted": True, "sequence": 99}
    lake.write(
        "document_sources", lake.read("document_sources").from_pylist([gone], lake.read("document_sources").schema)
    )
    assert current_documents(lake) == set()
    assert documents_of(lake, {(folder / "a").as_uri()}) == {}


def test_a_file_whose_name_is_no_text_is_taken_in_as_any_other(lake: Lake, folder: Path) -> None:
    with open(os.fsencode(folder) + b"/caf\xe9 #1?.txt", "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(b"latin name")
    assert scan(lake, folder).documents == 1
    (uri,) = lake.read("document_sources")["uri"].to_pylist()
    assert uri.endswith("/caf%E9%20%231%3F.txt")
    assert scan(lake, folder).sources == 0


def test_an_empty_file_is_a_document_too(lake: Lake, folder: Path) -> None:
    """The first stage says what is wrong with it."""
    add(folder, a=b"")
    assert scan(lake, folder).documents == 1
    assert open_failures(lake) == []


# Archives


def test_an_archive_becomes_its_members_and_is_no_document(lake: Lake, folder: Path) -> None:
    add(folder, **{"z.zip": archive(**{"one.txt": "1", "sub/niño 2.txt": "2"})})
    report = scan(lake, folder)
    assert (report.sources, report.documents) == (3, 2)
    assert sources(lake) == {"z.zip!/one.txt": "1", "z.zip!/sub/ni%C3%B1o%202.txt": "2", "z.zip": None}
    assert len(current_documents(lake)) == 2
    found = documents_of(lake, {(folder / "z.zip").as_uri()})
    assert len(found) == 2
    assert scan(lake, folder).sources == 0


def test_an_archive_in_an_archive_is_opened_too(lake: Lake, folder: Path) -> None:
    add(folder, **{"z.zip": archive(**{"inner.zip": archive(**{"one.txt": "1"})})})
    scan(lake, folder)
    assert [text for text in sources(lake).values() if text] == ["1"]
    assert len(documents_of(lake, {(folder / "z.zip").as_uri()})) == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_the_same_name_are_documents_each(lake: Lake, folder: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for text in ("first", "second", "third"):
            made.writestr("scan.txt", text)
    add(folder, **{"z.zip": buffer.getvalue()})
    scan(lake, folder)
    assert {lake.raw.get(raw_key(d)).decode() for d in current_documents(lake)} == {"first", "second", "third"}
    assert len(documents_of(lake, {(folder / "z.zip").as_uri()})) == 3


def test_a_member_that_cannot_be_unpacked_costs_itself_alone(lake: Lake, folder: Path) -> None:
    add(folder, **{"z.zip": archive(**{"../evil.txt": "x", "good.txt": "1"})})
    report = scan(lake, folder)
    assert (report.documents, report.unreadable) == (1, 1)
    (row,) = open_failures(lake)
    assert (row["stage"], row["document_id"], row["reason"]) == (INBOX, None, "unsafe_archive")


@pytest.mark.parametrize("broken", [b"PK\x03\x04 and nothing after", archive(a="text" * 100)[:-30]])
def test_a_broken_archive_is_in_quarantine_while_the_rest_goes_through(lake: Lake, folder: Path, broken: bytes) -> None:
    add(folder, **{"broken.zip": broken, "good.txt": "text"})
    report = scan(lake, folder)
    assert (report.sources, report.documents, report.unreadable) == (2, 1, 1)
    (row,) = open_failures(lake)
    assert (row["document_id"], row["stage"], row["reason"]) == (None, INBOX, "corrupt")
    assert row["source_id"] == source_id((folder / "broken.zip").as_uri())
    assert sources(lake) == {"broken.zip": None, "good.txt": "text"}


# What cannot be read


def _locked(*names: str) -> Callable[[str], bytes]:
    def read(uri: str) -> bytes:
        if path_of(uri).name in names:
            raise DocumentError(Reason.UNREADABLE, "Permission denied")
        return fetch(uri)

    return read


def test_a_file_that_cannot_be_read_is_in_quarantine_while_the_rest_goes_through(lake: Lake, folder: Path) -> None:
    add(folder, a="1", b="2")
    receive(lake, LocalInbox((folder,)).arrivals(), DAY)
    report = take_in(lake, DAY, _locked("a"), run_id="run")
    assert (report.documents, report.unreadable) == (1, 1)
    (row,) = open_failures(lake)
    assert (row["document_id"], row["reason"], row["ingest_date"]) == (None, "unreadable", DAY)
    assert "in/a" not in str(row)


def test_a_source_whose_store_is_away_waits_on_its_receipt_and_comes_later(lake: Lake, folder: Path) -> None:
    add(folder, a="1")
    receive(lake, LocalInbox((folder,)).arrivals(), DAY)

    def away(uri: str) -> bytes:
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, "store")

    take_in(lake, DAY, away, run_id="run")
    assert [row["reason"] for row in open_failures(lake)] == ["engine_unavailable"]
    assert pending_receipts(lake) and not sources(lake)
    take_in(lake, DAY, fetch, run_id="run")
    assert not open_failures(lake) and not pending_receipts(lake)
    assert sources(lake) == {"a": "1"}


@pytest.mark.parametrize("day", [DAY, NEXT_DAY], ids=["on the same day", "on a later day"])
def test_a_failure_is_resolved_when_the_source_can_be_read(lake: Lake, folder: Path, day: dt.date) -> None:
    add(folder, a="1", b="2")
    receive(lake, LocalInbox((folder,)).arrivals(), DAY)
    take_in(lake, DAY, _locked("a", "b"), run_id="run")
    add(folder, a="10")
    scan(lake, folder, day)
    assert [row["source_id"] for row in open_failures(lake)] == [source_id((folder / "b").as_uri())]


def test_a_failure_of_an_earlier_day_stands_while_the_source_still_fails(lake: Lake, folder: Path) -> None:
    add(folder, a="1")
    receive(lake, LocalInbox((folder,)).arrivals(), DAY)
    take_in(lake, DAY, _locked("a"), run_id="run")
    add(folder, a="10")
    receive(lake, LocalInbox((folder,)).arrivals(), NEXT_DAY)
    take_in(lake, NEXT_DAY, _locked("a"), run_id="run")
    assert {row["ingest_date"] for row in open_failures(lake)} >= {NEXT_DAY}


# Being cut off


class Killed(BaseException):
    """The process ends here."""


def fill(folder: Path) -> None:
    add(folder, a="1", b="2", c="1", **{"d.zip": archive(x="3", y="1"), "e.zip": b"PK\x03\x04 broken"})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    lake = Lake(LakeLocation.under(tmp_path_factory.mktemp("undisturbed") / "lake"))
    folder = tmp_path_factory.mktemp("files") / "in"
    folder.mkdir()
    fill(folder)
    scan(lake, folder)
    return told(lake)


def told(lake: Lake) -> dict[str, list[str]]:
    """Content without what names the folder, the files' times, or how often numbers were drawn."""
    own = {"uri", "source_id", "version", "sequence", "run_id", "processed_at", "received_at", "attempts"}
    own |= {"first_failed_at", "last_failed_at"}
    return {**content(lake, TABLES, own), "sources": sorted(map(str, sources(lake).items()))}


def steps(monkeypatch: pytest.MonkeyPatch, stop_at: int) -> list[str]:
    """Let the given step of intake fail: keeping bytes, writing a table, removing a receipt."""
    done: list[str] = []

    def stepping(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def step(self: object, *arguments: object, **more: object) -> object:
            done.append(name)
            if len(done) == stop_at:
                raise Killed
            return real(self, *arguments, **more)

        monkeypatch.setattr(owner, name, step)

    stepping(Lake, "keep")
    stepping(Lake, "write")
    stepping(LocalObjects, "delete")
    stepping(S3Objects, "delete")
    return done


EXPECTED = ["keep"] * 2 + ["write"] + ["keep"] * 3 + ["write"] * 3 + ["delete"]
"""In chunks of two sources: a and b; c and the archive's members; the broken archive; the receipt goes."""


def test_the_steps_of_intake_are_as_the_tests_below_assume(
    lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_SOURCES", 2)
    fill(folder)
    with monkeypatch.context() as patch:
        done = steps(patch, stop_at=0)
        scan(lake, folder)
    assert done == EXPECTED


@pytest.mark.parametrize("stop_at", range(1, len(EXPECTED) + 1))
def test_cut_off_at_any_step_a_rerun_ends_in_the_same_content(
    lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, list[str]], stop_at: int
) -> None:
    monkeypatch.setattr(intake, "CHUNK_SOURCES", 2)
    fill(folder)
    with monkeypatch.context() as patch:
        steps(patch, stop_at)
        with pytest.raises(Killed):
            scan(lake, folder)
    assert len(pending_receipts(lake)) == 1
    take_in(lake, DAY, fetch, run_id="run")
    assert told(lake) == undisturbed
    assert pending_receipts(lake) == []
    assert scan(lake, folder).sources == 0


def test_cut_off_while_the_receipt_is_written_the_next_look_finds_everything(
    lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, a="1")
    with monkeypatch.context() as patch:

        def killed(self: Path, target: Path) -> Iterator[None]:
            raise Killed

        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            scan(lake, folder)
    assert pending_receipts(lake) == []
    assert scan(lake, folder).documents == 1
