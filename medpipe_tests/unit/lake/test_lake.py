"""The lake's tables and raw zone: contracts are kept, reads restrict, bytes are private and whole."""

import datetime as dt
import hashlib
import multiprocessing
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake import lake as lake_module
from medpipe_assets.lake import objects
from medpipe_assets.lake.lake import Lake, columns_to_table, conform, days_in, empty, raw_key
from medpipe_assets.lake.location import ZONES, LakeLocation
from medpipe_assets.lake.objects import write_atomically
from medpipe_assets.lake.schemas import TABLES
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, document, put, receive, rows, verdict_row

CONTRACTS = sorted(TABLES)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ["two words", "a#b?c", "50%25", "niño", "[x]*", "a+b&c=d"])
def test_a_lake_works_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    location = LakeLocation.under(tmp_path / name)
    receive(Lake(location), [document(1)])
    kept = Lake(location).keep(b"bytes")
    again = Lake(location)
    assert again.read("document_sources")["document_id"].to_pylist() == [document(1)]
    assert again.raw.get(raw_key(kept)) == b"bytes"
    assert [Path(f).is_relative_to(tmp_path / name) and Path(f).exists() for f in again.files("document_sources")] == [
        True
    ]
    assert [p.name for p in tmp_path.iterdir()] == [name], "something was written beside the lake"


def test_only_the_owner_can_look_into_a_lake(lake: Lake) -> None:
    kept = lake.keep(b"private")
    assert {zone: mode(Path(lake.location.zone(zone))) for zone in ZONES} == dict.fromkeys(ZONES, 0o700)
    assert mode(lake.location.home) == 0o700
    assert mode(Path(lake.location.raw, raw_key(kept))) == 0o600


def test_a_lake_that_cannot_be_made_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="--lake"):
        Lake(LakeLocation.under(tmp_path / "file" / "lake"))


def test_zones_can_be_folders_of_their_own(tmp_path: Path) -> None:
    location = LakeLocation.from_environment({"MEDPIPE_LAKE": str(tmp_path / "l"), "RAW_BUCKET": str(tmp_path / "r")})
    kept = Lake(location).keep(b"x")
    assert (tmp_path / "r" / "documents" / kept[:2] / kept).read_bytes() == b"x"
    assert location.parquet == str(tmp_path / "l" / "parquet")


def test_a_remote_zone_is_refused_by_the_name_of_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PARQUET_BUCKET"):
        LakeLocation.from_environment({"MEDPIPE_LAKE": str(tmp_path), "PARQUET_BUCKET": "s3://somewhere"})


def test_an_unknown_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        LakeLocation.under(tmp_path).zone("home")


# Contracts


@pytest.mark.parametrize("name", CONTRACTS)
def test_each_table_keeps_a_row_as_it_was_written(lake: Lake, name: str) -> None:
    written = rows(name, {"alignment": []} if name == "segments" else {})
    lake.write(name, written)
    assert lake.read(name).equals(written)
    assert lake.read(name).schema.equals(TABLES[name].schema)


@pytest.mark.xfail(strict=True, reason="pyiceberg 0.12 writes a null list of structs as an empty one")
def test_a_segment_that_no_engine_aligned_comes_back_without_alignment(lake: Lake) -> None:
    lake.write("segments", rows("segments", {"alignment": None}))
    assert lake.read("segments")["alignment"].to_pylist() == [None]


def test_columns_come_in_the_contracts_order_whatever_order_they_are_written_in() -> None:
    given_rows = rows("pages", {})
    turned = given_rows.select(list(reversed(given_rows.column_names)))
    assert conform(TABLES["pages"], turned).equals(given_rows)


@pytest.mark.parametrize("column", [c.name for c in TABLES["pages"].columns if not c.nullable])
def test_a_null_where_a_value_is_required_is_refused_by_the_columns_name(column: str) -> None:
    table = rows("pages", {"text": "secret words"})
    broken = table.set_column(
        table.schema.get_field_index(column), column, pa.nulls(1, table.schema.field(column).type)
    )
    with pytest.raises(ValueError, match=rf"pages\.{column}") as caught:
        conform(TABLES["pages"], broken)
    assert "secret" not in str(caught.value)


def test_a_missing_column_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="method"):
        conform(TABLES["pages"], rows("pages", {}).drop_columns(["method"]))


def test_a_wrong_type_is_refused_without_telling_the_value() -> None:
    table = rows("pages", {})
    broken = table.set_column(table.schema.get_field_index("page"), "page", pa.array(["secret words"]))
    with pytest.raises(ValueError, match="pages") as caught:
        conform(TABLES["pages"], broken)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_columns_that_no_contract_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        columns_to_table("pages", {"colour": []})


@pytest.mark.parametrize("value", ["secret words", 2**40, object()])
def test_a_value_that_does_not_fit_its_column_is_refused_without_being_told(value: object) -> None:
    columns = {name: [rows("pages", {})[name][0].as_py()] for name in TABLES["pages"].schema.names}
    with pytest.raises(ValueError, match="pages") as caught:
        columns_to_table("pages", {**columns, "page": [value]})
    assert "secret" not in str(caught.value)


def test_nothing_is_written_when_rows_do_not_fit(lake: Lake) -> None:
    with pytest.raises(ValueError):
        lake.write("pages", rows("pages", {}).drop_columns(["method"]))
    assert not lake.exists("pages")


# Reading


def test_reading_restricts_to_days_stage_and_documents(lake: Lake) -> None:
    a, b = sorted([document("a"), document("b")])
    put(
        lake,
        "stage_status",
        verdict_row(a, "entities"),
        verdict_row(b, "entities", ingest_date=NEXT_DAY),
        verdict_row(a, "raw_documents"),
        verdict_row(b, "raw_documents"),
    )

    def found(**restriction: object) -> list[tuple[str, str, dt.date]]:
        table = lake.read("stage_status", ("stage", "document_id", "ingest_date"), **restriction)  # type: ignore[arg-type]
        return sorted(tuple(row.values()) for row in table.to_pylist())

    assert len(found()) == 4
    assert found(days=[NEXT_DAY]) == [("entities", b, NEXT_DAY)]
    assert found(days=[]) == []
    assert found(stage="raw_documents") == [("raw_documents", a, DAY), ("raw_documents", b, DAY)]
    assert found(documents=[a]) == [("entities", a, DAY), ("raw_documents", a, DAY)]
    assert found(documents=[]) == []
    assert found(days=[DAY], stage="entities", documents=[a, b]) == [("entities", a, DAY)]


def test_columns_come_in_the_order_asked_for(lake: Lake) -> None:
    put(lake, "pages", {"document_id": document(1), "page": 7})
    wanted = ("page", "text", "ingest_date")
    assert lake.read("pages", wanted, documents=[document(1)]).column_names == list(wanted)


def test_a_list_of_very_many_documents_finds_exactly_these(lake: Lake) -> None:
    ids = [document(n) for n in range(400)]
    put(lake, "pages", *({"document_id": d} for d in ids))
    assert set(lake.read("pages", documents=ids[::2])["document_id"].to_pylist()) == set(ids[::2])


def test_reading_a_past_snapshot_gives_the_rows_of_then(lake: Lake) -> None:
    put(lake, "pages", {"text": "old"})
    snapshot = lake.table("pages").current_snapshot()
    assert snapshot is not None
    lake.write("pages", rows("pages", {"text": "new"}), replace=days_in([DAY]))
    assert lake.read("pages", ("text",))["text"].to_pylist() == ["new"]
    assert lake.read("pages", ("text",), snapshot_id=snapshot.snapshot_id)["text"].to_pylist() == ["old"]


def test_files_of_a_past_time_are_those_of_then(lake: Lake) -> None:
    before = dt.datetime.now(dt.UTC)
    put(lake, "pages", {})
    first = lake.files("pages")
    stamp = lake.table("pages").history()[-1].timestamp_ms
    while lake_clock_ms() <= stamp:
        pass
    between = dt.datetime.now(dt.UTC)
    lake.write("pages", rows("pages", {"text": "other"}), replace=days_in([DAY]))
    assert lake.files("pages", before - dt.timedelta(seconds=1)) == []
    assert lake.files("pages", between) == first
    assert lake.files("pages") != first
    assert lake.files("pages", dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)) == lake.files("pages")


def lake_clock_ms() -> int:
    return int(dt.datetime.now(dt.UTC).timestamp() * 1000)


# Writing


def test_replacing_twice_is_replacing_once(lake: Lake) -> None:
    put(lake, "pages", {"page": 1}, {"page": 1, "ingest_date": NEXT_DAY})
    for _ in range(2):
        lake.write("pages", rows("pages", {"page": 2}, {"page": 3}), replace=days_in([DAY]))
    found = lake.read("pages", ("ingest_date", "page")).to_pylist()
    assert sorted((row["ingest_date"], row["page"]) for row in found) == [(DAY, 2), (DAY, 3), (NEXT_DAY, 1)]


def test_replacing_by_nothing_removes_what_matches_alone(lake: Lake) -> None:
    put(lake, "pages", {}, {"ingest_date": NEXT_DAY})
    lake.write("pages", empty("pages"), replace=days_in([DAY]))
    assert lake.read("pages")["ingest_date"].to_pylist() == [NEXT_DAY]


def test_writing_no_rows_makes_no_snapshot(lake: Lake) -> None:
    put(lake, "pages", {})
    lake.write("pages", empty("pages"))
    assert len(lake.table("pages").metadata.snapshots) == 1


def test_a_day_that_others_change_while_it_is_rewritten_keeps_their_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for page in (1, 2):
        put(lake, "pages", {"page": page})
    with monkeypatch.context() as patch:
        real = lake_module._scan

        def others_come_after(*given: Any) -> pa.Table:
            read = real(*given)
            put(lake, "pages", {"page": 3})
            return read

        patch.setattr(lake_module, "_scan", others_come_after)
        assert not lake.rewrite("pages", DAY)
    assert sorted(lake.read("pages")["page"].to_pylist()) == [1, 2, 3]
    assert lake.rewrite("pages", DAY)
    assert sorted(lake.read("pages")["page"].to_pylist()) == [1, 2, 3]
    assert len(list(lake.table("pages").scan().plan_files())) == 1


def test_asking_whether_a_table_exists_does_not_make_it(lake: Lake) -> None:
    assert not lake.exists("pages")
    assert not lake.exists("pages")
    put(lake, "pages", {})
    assert lake.exists("pages")


def test_threads_that_need_a_table_first_all_get_it(lake: Lake) -> None:
    location = lake.location
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: receive(Lake(location), [document(n)]), range(4)))
    assert set(lake.read("document_sources")["document_id"].to_pylist()) == {document(n) for n in range(4)}


def _open_and_write(root: str, number: int) -> None:
    receive(Lake(LakeLocation.under(root)), [document(number)])


def test_processes_that_make_the_same_lake_at_once_all_succeed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=_open_and_write, args=(str(tmp_path / "lake"), n)) for n in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0, 0, 0]
    found = Lake(LakeLocation.under(tmp_path / "lake")).read("document_sources")
    assert set(found["document_id"].to_pylist()) == {document(n) for n in range(3)}


# The raw zone


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200))
def test_kept_bytes_come_back_under_their_hash(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    lake = _shared_lake(tmp_path_factory)
    kept = lake.keep(data)
    assert kept == hashlib.sha256(data).hexdigest()
    assert lake.raw.get(raw_key(kept)) == data


def _shared_lake(factory: pytest.TempPathFactory, made: dict[str, Lake] = {}) -> Lake:  # noqa: B006
    if "lake" not in made:
        made["lake"] = Lake(LakeLocation.under(factory.mktemp("raw") / "lake"))
    return made["lake"]


def test_bytes_are_written_once(lake: Lake) -> None:
    path = Path(lake.location.raw, raw_key(lake.keep(b"twice")))
    before = path.stat()
    lake.keep(b"twice")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_write_that_is_cut_off_leaves_no_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(objects.os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        lake.keep(b"half")
    assert [p for p in Path(lake.location.raw).rglob("*") if p.is_file()] == []


def test_replacing_a_file_leaves_the_old_one_when_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "f", b"old", tmp_path / "drafts")

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "f", b"new", tmp_path / "drafts")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["f"]


@given(st.text(max_size=70))
def test_a_raw_key_is_made_of_64_hex_digits_alone(name: str) -> None:
    with pytest.raises(ValueError):
        raw_key(name)


@pytest.mark.parametrize(
    "name", ["", "../" * 21 + "x", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "g" * 64, "٠" * 64, "/" + "0" * 63]
)
def test_a_raw_key_cannot_lead_anywhere_else(name: str) -> None:
    with pytest.raises(ValueError, match="64"):
        raw_key(name)


@given(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_a_raw_key_lies_below_the_documents_folder(name: str) -> None:
    assert raw_key(name) == f"documents/{name[:2]}/{name}"
