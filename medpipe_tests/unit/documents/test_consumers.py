"""Consumer tables: asserted codes with their evidence, current documents alone, and no publication without a change."""

import datetime as dt
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.aws.metering import Cost, record
from medpipe_assets.documents.consumers import (
    CONSUMERS,
    ConsumerReport,
    _Receipts,
    affected_days,
    audit_rows,
    current_documents,
    is_stale,
    rebuild,
)
from medpipe_assets.errors import RunStopError
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import withdraw
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import QueryError, QueryReport, Warehouse
from medpipe_assets.warehouse.lake_tables import Scope, lake_warehouse, views
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, document, put, rows, verdict_row

A, B = document("a"), document("b")
TEXT = "Señora Ruiz: asthma, no fever. Asthma since 2010."
FIRST, SECOND = TEXT.index("asthma"), TEXT.index("Asthma")
FEVER = TEXT.index("fever")

Mention = tuple[int, str, str, bool]
"""Where a mention begins, its words, its code, and whether it is asserted."""
MENTIONS: Sequence[Mention] = (
    (SECOND, "Asthma", "J45.909", True),
    (FIRST, "asthma", "J45.909", True),
    (FEVER, "fever", "R50.9", False),
)


def take_in(lake: Lake, document_id: str, source: str = "s", day: dt.date = DAY) -> None:
    (number,) = lake.leases.next_numbers("document_sources", 1)
    put(
        lake,
        "document_sources",
        {"source_id": source, "document_id": document_id, "ingest_date": day, "sequence": number},
    )


def process(
    lake: Lake,
    document_id: str,
    mentions: Sequence[Mention] = MENTIONS,
    day: dt.date = DAY,
    run_id: str = "first",
    stages: Sequence[str] = STAGES,
) -> None:
    """Rows and verdicts of all stages for one document, as the engines would have made them."""
    common = {"document_id": document_id, "ingest_date": day, "run_id": run_id}
    put(lake, "raw_documents", {**common, "media_type": "text/plain"})
    put(lake, "pages", {**common, "page": 1, "text": TEXT, "language": "en", "method": "ocr"})
    put(lake, "words", *({**common, "word_index": n} for n in range(7)))
    entities = [f"{document_id[:4]} at {begin}" for begin, *_ in mentions]
    spans = [[{"page": 1, "begin": begin, "end": begin + len(text)}] for begin, text, *_ in mentions]
    put(
        lake,
        "entities",
        *(
            {**common, "entity_id": entity, "text": text, "source_spans": span}
            for entity, span, (_, text, _, _) in zip(entities, spans, mentions, strict=True)
        ),
    )
    coded = {**common, "code_system": "ICD-10-CM"}
    put(
        lake,
        "icd10_mappings",
        *(
            {**coded, "entity_id": entity, "code": code, "asserted": asserted}
            for entity, (_, _, code, asserted) in zip(entities, mentions, strict=True)
        ),
    )
    asserted = {code for _, _, code, asserted in mentions if asserted}
    codes = sorted({code for _, _, code, _ in mentions})
    put(lake, "document_codes", *({**coded, "code": c, "asserted": c in asserted, "probability": 0.75} for c in codes))
    fence = {"first": 1}.get(run_id, 2)
    put(lake, "stage_status", *(verdict_row(stage=stage, fence=fence, **common) for stage in stages))


def rebuild_all(lake: Lake, day: dt.date = DAY) -> dict[str, ConsumerReport]:
    return {name: rebuild(lake, name, day) for name in CONSUMERS}


def snapshots(lake: Lake) -> dict[str, object]:
    return {name: lake.table(name).current_snapshot() for name in CONSUMERS}


def summary(lake: Lake) -> dict[str, dict[str, object]]:
    return {row["document_id"]: row for row in lake.read("document_summary").to_pylist()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with one document and its consumer tables; for tests that change nothing."""
    lake = Lake(LakeLocation.under(tmp_path_factory.mktemp("built")))
    take_in(lake, A)
    process(lake, A)
    put(lake, "words", {"document_id": A, "run_id": "cut off"})
    put(lake, "document_codes", {"document_id": A, "code": "X", "asserted": True, "run_id": "cut off"})
    assert is_stale(lake, DAY)
    assert all(report.published for report in rebuild_all(lake).values())
    return lake


def test_diagnoses_hold_asserted_codes_alone_with_their_first_evidence(built: Lake) -> None:
    lake = built
    (row,) = lake.read("diagnoses").to_pylist()
    assert (row["document_id"], row["code"], row["mentions"], row["probability"]) == (A, "J45.909", 2, 0.75)
    assert (row["evidence_begin"], row["evidence_text"]) == (FIRST, "asthma")
    page = lake.read("pages")["text"].to_pylist()[row["evidence_page"] - 1]
    assert page[row["evidence_begin"] : row["evidence_end"]] == row["evidence_text"]


def test_a_document_is_summed_up_by_the_rows_that_a_verdict_vouches_for(built: Lake) -> None:
    row = summary(built)[A]
    told = {"media_type": "text/plain", "languages": "en", "pages": 1, "ocr_pages": 1, "words": 7, "entities": 3}
    assert row == {
        **told, "document_id": A, "ingest_date": DAY, "codes": 1, "top_codes": "J45.909", "status": "coded",
        "quarantined_at": None, "reason": None,
    }  # fmt: skip


def test_every_current_document_is_summed_up_wherever_it_stands(lake: Lake) -> None:
    new, half, plain, failed = (document(n) for n in ("new", "half", "plain", "failed"))
    for document_id in (new, half, plain, failed):
        take_in(lake, document_id, source=document_id)
    put(
        lake,
        "stage_status",
        *(verdict_row(half, stage) for stage in STAGES[:3]),
        *(verdict_row(plain, stage) for stage in STAGES),
        verdict_row(failed, STAGES[0]),
        verdict_row(failed, STAGES[1], outcome="quarantined", reason="corrupt"),
    )
    rebuild_all(lake)
    told = {d: (row["status"], row["quarantined_at"], row["reason"]) for d, row in summary(lake).items()}
    assert told == {
        new: ("pending", None, None),
        half: ("pending", None, None),
        plain: ("no codes", None, None),
        failed: ("quarantined", "extracted_text", "corrupt"),
    }


def test_a_rebuild_with_nothing_changed_publishes_nothing(built: Lake) -> None:
    lake = built
    before = snapshots(lake)
    assert [(r.published, r.days) for r in rebuild_all(lake).values()] == [(False, [])] * 2
    assert snapshots(lake) == before
    assert not is_stale(lake, DAY)


def test_force_publishes_again(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    rebuild(lake, "diagnoses", DAY)
    before = lake.read("diagnoses")
    assert rebuild(lake, "diagnoses", DAY, force=True).published
    assert lake.read("diagnoses").equals(before)


def test_a_new_verdict_makes_the_day_stale_and_a_rebuild_mends_it(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    rebuild_all(lake)
    process(lake, A, [(FEVER, "fever", "R50.9", True)], run_id="second")
    assert is_stale(lake, DAY)
    rebuild_all(lake)
    assert lake.read("diagnoses")["code"].to_pylist() == ["R50.9"]
    assert not is_stale(lake, DAY)


def test_a_superseded_document_leaves_its_earlier_day(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    take_in(lake, B, source="other")
    process(lake, B)
    rebuild_all(lake)
    newer = document("newer")
    take_in(lake, newer, day=NEXT_DAY)
    process(lake, newer, day=NEXT_DAY)
    assert current_documents(lake) == {B, newer}
    assert affected_days(lake, NEXT_DAY) == [DAY, NEXT_DAY]
    assert rebuild_all(lake, NEXT_DAY)["diagnoses"].days == [DAY, NEXT_DAY]
    for name in CONSUMERS:
        found = lake.read(name, ("ingest_date", "document_id")).to_pylist()
        assert sorted((r["ingest_date"], r["document_id"]) for r in found) == [(DAY, B), (NEXT_DAY, newer)]
    assert lake.read("icd10_mappings", documents=[A]).num_rows == 3, "its history stays in the stages' tables"


def test_a_day_on_which_no_document_is_current_any_more_becomes_empty(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    rebuild_all(lake)
    take_in(lake, B, day=NEXT_DAY)
    rebuild_all(lake, NEXT_DAY)
    assert lake.read("diagnoses").num_rows == 0
    assert set(summary(lake)) == {B}


def test_documents_that_come_while_the_sql_is_asked_wait_for_the_next_rebuild(lake: Lake) -> None:
    """The engine reads the receipts that the audit knows; what came since would be foreign to it."""
    take_in(lake, A)
    process(lake, A)

    def arrives_first(lake: Lake, scope: Scope) -> Warehouse:
        take_in(lake, B, source="late")
        return lake_warehouse(lake, scope)

    report = rebuild(lake, "document_summary", DAY, warehouse=arrives_first)
    assert (report.published, report.findings["documents_are_current"]) == (True, 0)
    assert set(summary(lake)) == {A}
    assert is_stale(lake, DAY)
    rebuild_all(lake)
    assert set(summary(lake)) == {A, B}


def test_sql_that_cannot_be_answered_leaves_the_table_and_what_was_paid_is_kept(lake: Lake) -> None:
    class Refusing(DuckDBWarehouse):
        def ask(self, sql: str) -> tuple[pa.Table, QueryReport | None]:
            record(Cost("athena", "StartQueryExecution", 1e-5, "TB", 0.5))
            raise QueryError("the query scans too much: name partitions")

    take_in(lake, A)
    process(lake, A)
    rebuild(lake, "diagnoses", DAY)
    before = lake.read("diagnoses")
    with pytest.raises(RunStopError, match=r"diagnoses could not be computed.*name partitions"):
        rebuild(lake, "diagnoses", DAY, run_id="r", force=True, warehouse=lambda *_: Refusing(lambda _: None))
    assert lake.read("diagnoses").equals(before)
    (cost,) = lake.read("costs").to_pylist()
    assert (cost["stage"], cost["run_id"], cost["document_id"], cost["dollars"]) == ("diagnoses", "r", "", 0.5)


def counting(asked: list[Scope]) -> Callable[[Lake, Scope], Warehouse]:
    def over(lake: Lake, scope: Scope) -> Warehouse:
        asked.append(scope)
        return lake_warehouse(lake, scope)

    return over


def test_only_documents_that_changed_are_asked_about_and_the_rows_are_those_of_a_whole_rebuild(lake: Lake) -> None:
    third, newer = document("third"), document("newer")
    for document_id in (A, B):
        take_in(lake, document_id, source=document_id)
        process(lake, document_id)
    rebuild_all(lake)
    take_in(lake, third, source="third")  # a document more
    process(lake, third, run_id="second")
    process(lake, A, [(FEVER, "fever", "R50.9", True)], run_id="second")  # one done again
    take_in(lake, newer, source=B)  # one superseded
    process(lake, newer, run_id="second")
    asked: list[Scope] = []
    for name in CONSUMERS:
        assert rebuild(lake, name, DAY, warehouse=counting(asked)).published
    assert [set(scope.documents or ()) for scope in asked] == [{A, B, third, newer}] * 2
    one_more = document("one more")
    take_in(lake, one_more, source="one more")
    assert [rebuild(lake, name, DAY, warehouse=counting(asked)).rows for name in CONSUMERS] == [0, 1]
    assert [set(scope.documents or ()) for scope in asked[2:]] == [{one_more}] * 2
    found = {name: sorted(map(repr, lake.read(name).to_pylist())) for name in CONSUMERS}
    assert set(summary(lake)) == {A, third, newer, one_more}
    for name in CONSUMERS:
        assert rebuild(lake, name, DAY, warehouse=counting(asked), force=True).published
    assert [scope.documents for scope in asked[4:]] == [None, None]
    assert {name: sorted(map(repr, lake.read(name).to_pylist())) for name in CONSUMERS} == found


def test_a_withdrawn_verdict_has_the_whole_day_redone(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    rebuild_all(lake)
    withdraw(lake, "icd10_mappings", DAY, {A})
    assert is_stale(lake, DAY)
    rebuild_all(lake)
    assert lake.read("diagnoses").num_rows == 0
    assert summary(lake)[A]["status"] == "pending"


def test_a_verdict_that_comes_late_under_a_fence_that_was_seen_is_not_missed(lake: Lake) -> None:
    take_in(lake, A)
    take_in(lake, B, source="other")
    process(lake, A)
    rebuild_all(lake)
    process(lake, B)  # of the run that was still at work when the tables were built
    rebuild_all(lake)
    assert {row["status"] for row in summary(lake).values()} == {"coded"}


def test_a_note_of_an_earlier_version_means_that_the_day_is_rebuilt(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    rebuild_all(lake)
    with lake.table("diagnoses").transaction() as transaction:
        transaction.set_properties({f"medpipe.built.{DAY}": "0f" * 32})
    assert is_stale(lake, DAY)
    assert rebuild(lake, "diagnoses", DAY).published and not is_stale(lake, DAY)


RECEIPTS = st.lists(
    st.tuples(
        st.sampled_from("st"), st.sampled_from(["a", "b", "c", None]), st.sampled_from([DAY, NEXT_DAY]), st.booleans()
    ),
    max_size=7,
)


@settings(max_examples=30)
@given(RECEIPTS)
def test_sql_finds_the_current_documents_that_python_finds(
    receipts: list[tuple[str, str | None, dt.date, bool]],
) -> None:
    names = ("source_id", "document_id", "ingest_date", "deleted")
    listed = [{**dict(zip(names, r, strict=True)), "sequence": n} for n, r in enumerate(receipts, start=1)]
    table = rows("document_sources", *listed)
    lake = SimpleNamespace(snapshot_id=lambda _: None, read=lambda *_, **__: table)
    found = _Receipts.of(cast(Lake, lake))
    warehouse = DuckDBWarehouse({"document_sources": table}.get, views=views(), threads=1)
    answer = warehouse.query("select document_id, ingest_date from current_documents").to_pylist()
    current, firsts = found.current.to_pylist(), found.firsts()
    assert len(answer) == len(current)
    assert {r["document_id"]: r["ingest_date"] for r in answer} == {d: firsts[d] for d in current}
    assert {d for day in (DAY, NEXT_DAY) for d in found.current_on(day)} == set(current)


def test_a_refused_audit_keeps_the_rows_of_before_and_tells_by_how_many_documents(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    rebuild(lake, "diagnoses", DAY)
    process(lake, A, [(FEVER, "fever", "R50.9", True)], run_id="second")
    report = rebuild(lake, "diagnoses", DAY, audit=lambda staged: {"suspicious": {A}, "fine": set()})
    assert (report.published, report.findings) == (False, {"suspicious": 1, "fine": 0})
    assert lake.read("diagnoses")["code"].to_pylist() == ["J45.909"]
    assert is_stale(lake, DAY)


def test_a_probability_that_is_none_stops_the_publication(lake: Lake) -> None:
    take_in(lake, A)
    process(lake, A)
    put(
        lake,
        "document_codes",
        {"document_id": A, "run_id": "first", "code": "R50.9", "code_system": "ICD-10-CM", "probability": 7.0,
         "asserted": True},
        {"document_id": A, "run_id": "first", "code": "J45.909", "code_system": "ICD-10-CM", "probability": 7.0,
         "asserted": True},
    )  # fmt: skip
    report = rebuild(lake, "diagnoses", DAY)
    assert not report.published
    assert report.findings["keys_are_unique"] == report.findings["probabilities_in_range"] == 1
    assert lake.read("diagnoses").num_rows == 0


# The audit


def _diagnosis(**more: object) -> dict[str, object]:
    return {"document_id": A, "code": "J45.909", "probability": 0.5, **more}


def findings(name: str, table: pa.Table, expected: Sequence[str] = (A,)) -> dict[str, set[str]]:
    return {check: set(found) for check, found in audit_rows(name, {DAY: expected}, table).items() if found}


def test_the_audit_passes_good_rows() -> None:
    assert findings("diagnoses", rows("diagnoses", _diagnosis(), _diagnosis(code="R05.9"))) == {}
    assert findings("document_summary", rows("document_summary", {"document_id": A})) == {}
    assert findings("diagnoses", rows("diagnoses"), ()) == {}


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ([_diagnosis(), _diagnosis()], {"keys_are_unique": {A}}),
        ([_diagnosis(document_id=B)], {"documents_are_current": {B}}),
        ([_diagnosis(probability=1.5)], {"probabilities_in_range": {A}}),
        ([_diagnosis(probability=-0.5)], {"probabilities_in_range": {A}}),
        ([_diagnosis(probability=float("nan"))], {"probabilities_in_range": {A}}),
        ([_diagnosis(ingest_date=NEXT_DAY)], {"documents_are_current": {A}}),
    ],
)
def test_the_audit_finds_spoiled_diagnoses(given: list[dict[str, object]], finding: dict[str, set[str]]) -> None:
    assert findings("diagnoses", rows("diagnoses", *given)) == finding


def test_the_audit_finds_lost_foreign_and_doubled_documents() -> None:
    table = rows("document_summary", {"document_id": B}, {"document_id": B})
    assert findings("document_summary", table) == {
        "documents_are_current": {B},
        "every_document_is_there": {A},
        "keys_are_unique": {B},
    }
