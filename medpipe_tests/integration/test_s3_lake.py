"""A lake on S3 with the Glue catalog: what holds of a local one holds of it, and what only many machines can break.

Tests that are imported are those of local lakes, run on the other kind: this module's `lake` stands before theirs.
"""
# ruff: noqa: F811, F401

import datetime as dt
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyiceberg.catalog.glue import GlueCatalog

from medpipe_assets.aws.clients import Clients
from medpipe_assets.cli import main
from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.documents import intake
from medpipe_assets.documents.consumers import CONSUMERS, rebuild
from medpipe_assets.documents.intake import keep_list, pending_receipts, read_list, take_in
from medpipe_assets.documents.line import Engines, read_raw, stages
from medpipe_assets.documents.pool import PoolSettings
from medpipe_assets.documents.stage import run_stage
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.inbox.local import fetch
from medpipe_assets.lake import leases as leases_module
from medpipe_assets.lake import quarantine
from medpipe_assets.lake.lake import Lake, days_in, raw_key
from medpipe_assets.lake.leases import LeaseLostError, Leases
from medpipe_assets.lake.ledger import conservation
from medpipe_assets.lake.location import ZONES, LakeLocation
from medpipe_assets.lake.maintenance import KEEP_SNAPSHOTS_DAYS, maintain
from medpipe_assets.lake.objects import ObjectStore, S3Objects, store_at
from medpipe_assets.lake.s3_leases import S3Leases
from medpipe_assets.lake.schemas import TABLES, Column, TableContract
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_assets.translation.embedded import EmbeddedTranslation
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.lake_tables import views
from medpipe_tests.unit.documents.stages import NAME as EXTRACTION
from medpipe_tests.unit.documents.stages import Fake, prepare, run
from medpipe_tests.unit.documents.test_intake import (
    Killed,
    folder,
    scan,
    steps,
    test_an_archive_becomes_its_members_and_is_no_document,
    test_what_is_receipted_or_taken_in_is_not_received_again,
    told,
    undisturbed,
)
from medpipe_tests.unit.documents.test_intake import fill as fill_folder
from medpipe_tests.unit.lake.builders import DAY, VOLATILE, content, document, put, rows, verdict_row
from medpipe_tests.unit.lake.s3 import BUCKET, CONFLICTS, fresh_location, make_bucket, served
from medpipe_tests.unit.lake.test_lake import (
    test_a_day_that_others_change_while_it_is_rewritten_keeps_their_rows,
    test_reading_a_past_snapshot_gives_the_rows_of_then,
    test_reading_restricts_to_days_stage_and_documents,
    test_replacing_twice_is_replacing_once,
    test_threads_that_need_a_table_first_all_get_it,
)
from medpipe_tests.unit.lake.test_leases import (
    test_an_exception_in_a_commit_does_not_block_the_next_one,
    test_an_exception_leaves_the_lease_free_and_unclean,
    test_each_holder_gets_a_higher_fence,
    test_leases_of_other_names_do_not_wait_for_each_other,
    test_numbers_start_at_one_and_grow_without_a_gap_or_a_double,
    test_the_first_holder_finds_a_clean_lease_with_fence_one,
    test_threads_that_contend_for_a_lease_hold_it_one_after_the_other,
)
from medpipe_tests.unit.lake.test_ledger import (
    test_a_sweep_removes_the_rows_that_do_not_count_and_no_others,
    test_a_withdrawn_verdict_is_gone_with_its_rows_and_no_other_is,
    test_rows_count_only_where_a_done_verdict_vouches_for_them,
)
from medpipe_tests.unit.lake.test_maintenance import (
    everything,
    few_files,
    in_days,
    test_a_branch_under_audit_outlives_maintenance,
    test_compaction_keeps_every_row_in_fewer_files,
)
from medpipe_tests.unit.lake.test_objects import (
    test_a_pickled_store_reads_the_same_bytes,
    test_a_removed_object_can_be_written_again,
    test_a_removed_object_is_gone_and_removing_it_again_is_nothing,
    test_an_object_is_written_once,
    test_empty_objects_are_objects,
    test_nothing_is_listed_where_nothing_is,
    test_objects_are_listed_below_their_prefix_alone_with_size_and_time,
)
from medpipe_tests.unit.lake.test_publication import (
    lease,
    test_a_refused_audit_leaves_the_table_as_it_was,
    test_published_days_replace_themselves_alone,
    test_whoever_lost_the_lease_publishes_nothing,
)
from medpipe_tests.unit.lake.test_quarantine import (
    test_a_failure_after_a_success_opens_the_row_again,
    test_rows_of_other_stages_and_days_are_left_alone,
)

NAME = "entities 2026-11-02"
KEY = "leases/entities/2026-11-02"


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    with served() as url:
        yield url


@pytest.fixture(scope="module")
def clients(server: str) -> Clients:
    return Clients()


@pytest.fixture
def lake(tmp_path: Path, clients: Clients) -> Lake:
    return Lake(fresh_location(tmp_path / "home"), clients)


@pytest.fixture
def leases(lake: Lake) -> Leases:
    return lake.leases


@pytest.fixture
def store(lake: Lake) -> ObjectStore:
    return lake.raw


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "POLL_SECONDS", 0.01)


def at_once(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of functions that all start at the same moment, each in a thread."""
    start = threading.Barrier(len(work))

    def begin(function: Callable[[], Any]) -> Any:
        start.wait(30)
        return function()

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(begin, work))


# Bytes


def test_of_many_who_write_one_object_at_once_one_does(store: ObjectStore) -> None:
    written = at_once([lambda n=n: store.put("a/b", b"%d" % n) for n in range(6)])  # type: ignore[misc]
    assert sum(written) == 1
    assert store.get("a/b") == b"%d" % written.index(True)
    assert not store.put("a/b", b"later")
    assert store.get("a/b") == b"%d" % written.index(True)


def test_objects_and_leases_are_encrypted_by_the_key_that_is_configured(lake: Lake, clients: Clients) -> None:
    s3, key = clients.client("s3"), "1234abcd-12ab-34cd-56ef-1234567890ab"
    store = S3Objects(lake.location.raw, key, clients)
    store.put("secret", b"x")
    with S3Leases(store).hold("inbox"):
        heads = [s3.head_object(**store.address(name)) for name in ("secret", "leases/inbox")]
    assert [(h["ServerSideEncryption"], h["SSEKMSKeyId"][-36:]) for h in heads] == [("aws:kms", key)] * 2


def test_every_file_of_a_table_is_encrypted_by_the_key_that_is_configured(tmp_path: Path, clients: Clients) -> None:
    """Whatever the bucket's default, and through all that writes files: appends, rewriting, branches, compaction."""
    location, key = fresh_location(tmp_path / "home"), "1234abcd-12ab-34cd-56ef-1234567890ab"
    lake = Lake(replace(location, kms_key=key), clients)
    for n in range(3):
        put(lake, "pages", {"document_id": document(n)})
    lake.write("pages", rows("pages", {"text": "new"}), replace=days_in([DAY]))
    lake.keep(b"x")
    maintain(lake, in_days(KEEP_SNAPSHOTS_DAYS + 2))
    s3, prefix = clients.client("s3"), location.raw.split("/", 3)[3].removesuffix("raw")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    assert {name.rpartition(".")[2] for name in keys} >= {"json", "avro", "parquet"}
    heads = [s3.head_object(Bucket=BUCKET, Key=name) for name in keys]
    assert {(h.get("ServerSideEncryption"), h.get("SSEKMSKeyId", "")[-36:]) for h in heads} == {("aws:kms", key)}
    assert lake.read("pages")["text"].to_pylist() == ["new"]


def test_a_file_whose_writing_failed_is_not_there(lake: Lake, clients: Clients) -> None:
    io = lake.table("pages").io
    location = f"{lake.location.parquet}/half.avro"
    with pytest.raises(RuntimeError), io.new_output(location).create() as file:
        file.write(b"half")
        raise RuntimeError
    assert not io.new_input(location).exists()
    with io.new_output(location).create() as file:
        file.write(b"whole")
    with pytest.raises(FileExistsError):
        io.new_output(location).create()
    assert io.new_input(location).open().read() == b"whole"


def test_a_bucket_that_is_not_there_is_the_installations_fault(clients: Clients) -> None:
    store = store_at("s3://no-such-bucket-anywhere", "", clients)
    for use in (lambda: store.get("x"), lambda: store.put("x", b""), lambda: list(store.list())):
        with pytest.raises(ConfigurationError, match="NoSuchBucket"):
            use()


def test_a_store_out_of_reach_puts_no_document_into_quarantine_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens to the discard port
    store = store_at(f"s3://{BUCKET}", "", Clients(max_attempts=1, connect_timeout=1))
    with pytest.raises(ConnectionError):
        store.put("x", b"")
    with pytest.raises(DocumentError) as caught:
        read_raw(store, document(1))
    assert caught.value.reason is Reason.ENGINE_UNAVAILABLE


# Where it lies


NOTE = "Patient has pneumonia and hypertension. No history of diabetes.\n"


@pytest.mark.long
def test_the_command_line_works_on_the_lake_that_it_names(
    tmp_path: Path, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with the environment's key and database, whatever lake the environment names."""
    (tmp_path / "note.txt").write_text(NOTE)
    monkeypatch.chdir(tmp_path)
    for name, value in {"LAKE": "elsewhere", "HOME": "home", "KMS_KEY": "alias/k", "GLUE_DATABASE": "named"}.items():
        monkeypatch.setenv(f"MEDPIPE_{name}", value)
    root = f"s3://{BUCKET}/named"
    told = CliRunner().invoke(main, ["run", "note.txt", "--lake", root, "--workers", "0", "--json"])
    assert told.exit_code == 0, told.output
    ran = json.loads(told.stdout)
    assert (ran["lake"], ran["documents"]) == (root, 1) and ran["codes"]
    assert not (tmp_path / "elsewhere").exists()
    raw = f"named/raw/{raw_key(hashlib.sha256(NOTE.encode()).hexdigest())}"
    assert clients.client("s3").head_object(Bucket=BUCKET, Key=raw)["SSEKMSKeyId"] == "alias/k"


def test_each_zone_can_be_a_bucket_of_its_own(tmp_path: Path, clients: Clients) -> None:
    for zone in ZONES:
        make_bucket(f"own-{zone}")
    environment = {f"{zone.upper()}_BUCKET": f"s3://own-{zone}" for zone in ZONES}
    more = {"MEDPIPE_HOME": str(tmp_path / "home"), "MEDPIPE_GLUE_DATABASE": "four_buckets"}
    lake = Lake(LakeLocation.from_environment({**environment, **more}), clients)
    lake.keep(b"x")
    for name in ("pages", "stage_status", "diagnoses"):
        put(lake, name, {"document_id": document(1)})
        assert lake.read(name)["document_id"].to_pylist() == [document(1)]
    s3 = clients.client("s3")
    found = {z: {o["Key"].split("/")[0] for o in s3.list_objects_v2(Bucket=f"own-{z}")["Contents"]} for z in ZONES}
    assert found == {
        "raw": {"documents"}, "preprocessed": {"pages"}, "parquet": {"stage_status"}, "staging": {"diagnoses"}
    }  # fmt: skip


def test_a_glue_database_of_another_lake_is_refused_rather_than_mixed(lake: Lake, tmp_path: Path) -> None:
    put(lake, "pages", {})
    other = replace(fresh_location(tmp_path / "other"), database=lake.location.database)
    with pytest.raises(ConfigurationError, match="MEDPIPE_GLUE_DATABASE"):
        put(Lake(other), "pages", {})
    assert lake.read("pages").num_rows == 1


def test_nothing_of_a_remote_lakes_rows_or_bytes_is_left_on_this_machine(lake: Lake) -> None:
    lake.keep(b"secret words")
    put(lake, "pages", {"text": "secret words"})
    lake.read("pages")
    assert [p for p in lake.location.home.rglob("*") if p.is_file()] == []


# Leases


def test_a_lease_that_was_not_renewed_in_time_is_taken_over_and_its_holder_commits_no_more(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with leases.hold(NAME) as old:
        assert leases._try_acquire(NAME) is None
        with monkeypatch.context() as patch:
            patch.setattr(leases_module, "LEASE_SECONDS", 0.0)
            new = leases._try_acquire(NAME)
        assert new is not None
        assert (new.fence, new.clean) == (old.fence + 1, False)
        with pytest.raises(LeaseLostError, match=NAME), leases.commit(old):
            pytest.fail("committed under a lost lease")
    with leases.commit(new):
        pass
    assert leases._try_acquire(NAME) is None, "the overtaken holder freed a lease that is not its own"


def test_a_renewal_between_the_look_and_the_taking_over_wins(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(leases, S3Leases)
    with leases.hold(NAME) as held:
        read, renewed = leases._read, []

        def read_then_renewed(key: str) -> Any:
            found = read(key)
            if not renewed:
                renewed.append(key)
                assert leases._renew(held)
            return found

        monkeypatch.setattr(leases_module, "LEASE_SECONDS", 0.0)
        monkeypatch.setattr(leases, "_read", read_then_renewed)
        assert leases._try_acquire(NAME) is None
        assert renewed
        with leases.commit(held):
            pass


def test_an_acquisition_whose_answer_was_lost_counts(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends it again, and is told that somebody holds the lease: himself."""
    assert isinstance(leases, S3Leases)
    write = leases._write
    monkeypatch.setattr(leases, "_write", lambda *given: write(*given) and False)
    assert leases._try_acquire(NAME) is not None


def test_a_holder_renews_while_it_works(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(leases, S3Leases)
    monkeypatch.setattr(leases_module, "RENEWAL_SECONDS", 0.01)
    with leases.hold(NAME):
        first = leases._read(KEY)
        assert first is not None
        for _ in range(2000):
            now = leases._read(KEY)
            if now is not None and now.etag != first.etag:
                return
    pytest.fail("the lease was never renewed")


def test_numbers_drawn_at_once_are_given_out_once(lake: Lake, clients: Clients) -> None:
    def draw() -> list[int]:
        own = Lake(lake.location, clients).leases
        return [n for count in (1, 3, 2) for n in own.next_numbers("x", count)]

    drawn = at_once([draw] * 3)
    assert all(numbers == sorted(numbers) for numbers in drawn)
    assert sorted(n for numbers in drawn for n in numbers) == list(range(1, 19))


# Tables


@pytest.fixture
def odd_table(monkeypatch: pytest.MonkeyPatch) -> str:
    """A table with a partition value that may be missing, and columns that nobody fills."""
    columns = (
        Column("state", pa.string(), "a partition", nullable=True),
        Column("number", pa.int32(), "a value"),
        Column("empty", pa.float64(), "never filled", nullable=True),
        Column("spans", pa.list_(pa.struct([("begin", pa.int32())])), "never filled, nested", nullable=True),
    )
    contract = TableContract("odd", "parquet", "a row", columns, partition_by=("state",))
    monkeypatch.setitem(TABLES, "odd", contract)  # type: ignore[arg-type]
    return "odd"


def test_missing_partition_values_odd_ones_and_columns_of_nulls_survive(lake: Lake, odd_table: str) -> None:
    states = [None, "N/A", "a b", "%2F", "", "null", "CA", None]
    written = pa.table(
        {"state": states, "number": list(range(8)), "empty": [None] * 8, "spans": [[]] * 8},
        schema=TABLES[odd_table].schema,
    )
    lake.write(odd_table, written.slice(0, 5))
    lake.write(odd_table, written.slice(5))
    found = lake.read(odd_table).sort_by("number")
    assert found.equals(written)
    assert found.schema.equals(TABLES[odd_table].schema)


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets so many threads meet before each one's first commit: all but one of them then come too late."""

    def meet(writers: int) -> None:
        barrier, thread = threading.Barrier(writers), threading.local()
        real = GlueCatalog._update_glue_table

        def update(*given: Any, **more: Any) -> None:
            if not getattr(thread, "met", False):
                thread.met = True
                barrier.wait(30)
            real(*given, **more)

        monkeypatch.setattr(GlueCatalog, "_update_glue_table", update)

    return meet


def test_writers_that_commit_to_one_table_at_once_lose_no_row(
    lake: Lake, clients: Clients, meeting: Callable[[int], None]
) -> None:
    put(lake, "pages", {"document_id": "first"})
    CONFLICTS.clear()
    meeting(3)

    def append(writer: int) -> None:
        own = Lake(lake.location, clients)
        for n in range(3):
            put(own, "pages", {"document_id": f"{writer} {n}"})

    at_once([lambda w=w: append(w) for w in range(3)])  # type: ignore[misc]
    assert len(CONFLICTS) >= 2
    found = lake.read("pages")["document_id"].to_pylist()
    assert sorted(found) == sorted(["first", *(f"{w} {n}" for w in range(3) for n in range(3))])


def test_stages_that_write_into_one_days_quarantine_at_once_lose_no_failure(
    lake: Lake, clients: Clients, meeting: Callable[[int], None]
) -> None:
    """Each replaces its own rows of a file that both of them share, as after a compaction."""
    stages = ("entities", "extracted_text")
    put(lake, "quarantine", *({"stage": s, "source_id": "source", "document_id": document(0)} for s in stages))
    CONFLICTS.clear()
    meeting(2)

    def fail(stage: str) -> None:
        own = Lake(lake.location, clients)
        for n in range(3):
            failure = quarantine.Failure("source", document(n), DocumentError(Reason.CORRUPT))
            quarantine.record(own, stage, DAY, [failure], [document(n)], run_id="r", now=dt.datetime.now(dt.UTC))

    at_once([lambda s=s: fail(s) for s in stages])  # type: ignore[misc]
    assert CONFLICTS
    found = lake.read("quarantine", ("stage", "document_id", "attempts")).to_pylist()
    expected = sorted((s, document(n), 2 if n == 0 else 1) for s in stages for n in range(3))
    assert sorted((row["stage"], row["document_id"], row["attempts"]) for row in found) == expected


def test_sql_sees_a_remote_lakes_rows_now_and_then(lake: Lake) -> None:
    put(lake, "stage_status", verdict_row(document(1), "extracted_text"))
    put(lake, "pages", {"document_id": document(1), "text": "old"}, {"document_id": "not vouched for"})
    stamp = lake.table("pages").history()[-1].timestamp_ms + 1
    while int(dt.datetime.now(dt.UTC).timestamp() * 1000) <= stamp:
        pass
    lake.write("pages", rows("pages", {"document_id": document(1), "text": "new"}), replace=days_in([DAY]))

    def texts(as_of: dt.datetime | None = None) -> list[str]:
        def table(name: str) -> pa.Table | None:
            return lake.contents(name, as_of) if name in TABLES else None

        return list(DuckDBWarehouse(table, views=views()).query("select text from pages")["text"].to_pylist())

    assert texts() == ["new"]
    assert texts(dt.datetime.fromtimestamp(stamp / 1000, dt.UTC)) == ["old"]
    before_all = lake.contents("pages", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert isinstance(before_all, pa.Table) and before_all.num_rows == 0


# Maintenance


def test_old_snapshots_and_orphans_go_and_every_row_stays(lake: Lake) -> None:
    for text in ("old", "new"):
        lake.write("pages", rows("pages", {"text": text}), replace=days_in([DAY]))
    store = lake.objects_of("pages")
    store.put("data/orphan.parquet", b"12345")
    before = everything(lake)
    maintain(lake)
    assert store.exists("data/orphan.parquet"), "it may belong to a commit that is under way"
    report = maintain(lake, in_days(KEEP_SNAPSHOTS_DAYS + 2))
    assert not store.exists("data/orphan.parquet")
    assert report["snapshots_expired"] >= 1
    assert len(list(store.list("data/"))) == 1
    assert everything(lake) == before
    put(lake, "pages", {"document_id": "after"})
    assert lake.read("pages").num_rows == 2


# The line


@pytest.mark.parametrize("stop_at", [1, 7, 10], ids=["bytes", "table", "receipt"])
def test_intake_that_was_cut_off_ends_in_the_content_of_a_local_lake(
    lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, list[str]], stop_at: int
) -> None:
    monkeypatch.setattr(intake, "CHUNK_SOURCES", 2)
    fill_folder(folder)
    with monkeypatch.context() as patch:
        steps(patch, stop_at)
        with pytest.raises(Killed):
            scan(lake, folder)
    assert len(pending_receipts(lake)) == 1
    take_in(lake, DAY, fetch, run_id="run")
    assert told(lake) == undisturbed
    assert pending_receipts(lake) == []


def test_a_list_of_documents_is_kept_for_a_run_to_read(lake: Lake) -> None:
    ids = {document(n) for n in range(3)}
    assert read_list(lake, keep_list(lake, ids)) == ids
    with pytest.raises(ConfigurationError, match="document_list"):
        read_list(lake, "0" * 32)


def test_a_stage_runs_and_redoes_its_work_on_a_remote_lake(lake: Lake) -> None:
    ids = [document(n) for n in range(3)]
    prepare(lake, ids)
    assert run(lake, Fake(), chunk=2).done == 3
    assert run(lake, Fake()).processed == 0
    assert run(lake, Fake(), version="2").processed == 3
    balance = conservation(lake, EXTRACTION, DAY)
    assert (balance["inputs"], balance["done"], balance["pending"], balance["miscounted"]) == (3, 3, 0, [])
    assert lake.read("pages").num_rows == 3


def _line(lake: Lake, folder: Path, workers: int) -> dict[str, list[str]]:
    """Take a folder in, run all stages and build the consumer tables; what all tables then hold."""
    scan(lake, folder)
    engines = Engines(EmbeddedExtraction(), EmbeddedTranslation(), EmbeddedRecognition(), EmbeddedCoding())
    for stage in stages(engines, lake.raw).values():
        run_stage(lake, stage, DAY, run_id="run", pool=PoolSettings(workers))
    for consumer in CONSUMERS:
        assert rebuild(lake, consumer, DAY).published
    names = [name for name in TABLES if lake.exists(name)]
    return content(lake, names, {*VOLATILE, "sequence"})


@pytest.mark.slow
def test_the_whole_line_gives_the_rows_that_it_gives_in_a_folder(lake: Lake, folder: Path, tmp_path: Path) -> None:
    (folder / "a.txt").write_text("Past medical history: hypertension.\nThe patient has asthma, no fever.\n")
    (folder / "b.txt").write_text("Paciente con diabetes mellitus tipo 2. Niega fiebre.\n")
    (folder / "c.bin").write_bytes(b"\x00\x01\x02 nothing that can be read")
    remote = _line(lake, folder, workers=1)
    assert remote == _line(Lake(LakeLocation.under(tmp_path / "local")), folder, workers=0)
    assert all(remote[name] for name in ("pages", "segments", "entities", "icd10_mappings", "diagnoses", "quarantine"))
