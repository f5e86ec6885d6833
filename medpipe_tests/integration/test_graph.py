"""The whole graph on a real (ephemeral) Dagster instance, with the embedded engines, on small notes of our own."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from medpipe_assets.documents import line
from medpipe_assets.lake.lake import Lake, days_in
from medpipe_assets.lake.ledger import conservation
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES
from medpipe_tests.integration.conftest import DAY, NOTES, Graph

CHAIN = [*STAGES, "diagnoses", "document_summary"]


def materialised(result: dg.ExecuteInProcessResult) -> set[str]:
    events = result.get_asset_materialization_events()
    return {event.asset_key.to_user_string() for event in events if event.asset_key}


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    return {e.check_name for e in result.get_asset_check_evaluations() if not e.passed}


def test_notes_in_three_languages_become_diagnoses_with_evidence(graph: Graph, notes: Path) -> None:
    graph.receive(notes)
    result = graph.run()
    assert result.success and not failed_checks(result)
    assert materialised(result) == {*CHAIN, "quarantine", "translated_documents"}
    texts = {row["document_id"]: row["text"] for row in graph.rows("pages")}
    found = {(row["code"], row["evidence_text"].lower()) for row in graph.rows("diagnoses")}
    assert {"I10", "J45.909", "E11.9", "J18.9", "I48.91"} <= {code for code, _ in found}
    assert not {"R07.9", "R50.9"} & {code for code, _ in found}, "denied findings are no diagnoses"
    for row in graph.rows("diagnoses"):
        assert texts[row["document_id"]][row["evidence_begin"] : row["evidence_end"]] == row["evidence_text"]


def test_denied_findings_are_coded_but_not_asserted(graph: Graph, notes: Path) -> None:
    graph.receive(notes)
    graph.run()
    asserted = {row["code"]: row["asserted"] for row in graph.rows("icd10_mappings") if row["rank"] == 1}
    assert asserted["R07.9"] is False and asserted["R50.9"] is False and asserted["E11.9"] is True


def test_every_stage_conserves_its_documents(graph: Graph, notes: Path) -> None:
    (notes / "empty.txt").write_bytes(b"")
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing that a reader could use")
    (notes / "unknown.bin").write_bytes(bytes(range(256)) * 8)
    graph.receive(notes)
    assert graph.run().success
    for stage in STAGES:
        balance = conservation(graph.lake, stage, DAY)
        assert balance["inputs"] == balance["done"] + balance["quarantined"]
        assert balance["pending"] == 0 and not balance["miscounted"]
    reasons = {row["reason"] for row in graph.rows("quarantine")}
    assert reasons == {"empty", "corrupt", "unsupported_type"}
    assert len(graph.rows("document_summary")) == 6


def test_a_second_run_does_nothing_again(graph: Graph, notes: Path) -> None:
    graph.receive(notes)
    graph.run()
    before = graph.content()
    result = graph.run()
    for stage in STAGES:
        (event,) = result.asset_materializations_for_node(stage)
        assert event.metadata["processed_in_this_run"].value == 0
    assert graph.content() == before


def checked(result: dg.ExecuteInProcessResult) -> set[object]:
    """How many documents each rule looked at."""
    found = (e.metadata.get("documents_checked") for e in result.get_asset_check_evaluations())
    return {value.value for value in found if value is not None}


def test_a_run_checks_what_it_wrote_and_a_run_of_checks_alone_the_whole_day(graph: Graph, notes: Path) -> None:
    graph.receive(notes)
    assert checked(graph.run()) == {3}
    (notes / "late.txt").write_text("Patient with gout.\n", encoding="utf-8")
    graph.receive(notes)
    assert checked(graph.run()) == {1}
    assert checked(graph.run()) == {0}
    assert checked(graph.run(reprocess={"check_whole_day": True})) == {4}
    whole = graph.definitions().get_repository_def().asset_graph
    only = graph.definitions().get_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection=whole.get(dg.AssetKey("entities")).check_keys
    )  # fmt: skip
    assert checked(only.execute_in_process(instance=graph.instance, partition_key=DAY.isoformat())) == {4}


def test_a_reprocessed_document_is_done_again_and_doubles_nothing(graph: Graph, notes: Path) -> None:
    graph.receive(notes)
    graph.run()
    before = graph.content()
    document_id = graph.rows("raw_documents")[0]["document_id"]
    result = graph.run(reprocess={"document_ids": [document_id], "force": True, "from_stage": "entities"})
    processed = {
        stage: result.asset_materializations_for_node(stage)[0].metadata["processed_in_this_run"].value
        for stage in STAGES
    }
    assert processed == {**dict.fromkeys(STAGES[:3], 0), "entities": 1, "icd10_mappings": 1}
    assert graph.content() == before


def test_a_restricted_run_takes_nothing_in_and_leaves_what_waits(graph: Graph, notes: Path) -> None:
    graph.receive(notes)
    graph.run()
    document_id = graph.rows("raw_documents")[0]["document_id"]
    (notes / "late.txt").write_text("Patient with gout.\n", encoding="utf-8")
    graph.receive(notes)
    result = graph.run(reprocess={"document_ids": [document_id], "force": True})
    assert result.success and not failed_checks(result)
    assert len(graph.rows("raw_documents")) == 3
    assert graph.run().success and len(graph.rows("raw_documents")) == 4


def test_a_changed_stage_redoes_itself_and_what_follows_only(
    graph: Graph, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.receive(notes)
    graph.run()
    monkeypatch.setattr(line, "CODE_VERSIONS", {**line.CODE_VERSIONS, "entities": 99})
    result = graph.run()
    processed = {
        stage: result.asset_materializations_for_node(stage)[0].metadata["processed_in_this_run"].value
        for stage in STAGES
    }
    assert processed == {**dict.fromkeys(STAGES[:3], 0), "entities": 3, "icd10_mappings": 3}


def test_new_bytes_under_an_old_name_replace_yesterdays_diagnoses(graph: Graph, notes: Path) -> None:
    yesterday = DAY - dt.timedelta(days=1)
    graph.receive(notes, yesterday)
    assert graph.run(yesterday).success
    (notes / "english.txt").write_text("The patient has migraine.\n", encoding="utf-8")
    graph.receive(notes, DAY)
    assert graph.run(DAY).success
    codes = {(row["ingest_date"], row["code"]) for row in graph.rows("diagnoses")}
    assert (DAY, "G43.909") in codes and (yesterday, "E11.9") in codes
    assert not {code for _, code in codes} & {"I10", "J45.909"}
    assert len(graph.rows("raw_documents")) == 4, "the stages keep the superseded document"


def test_each_day_is_a_partition_of_its_own(graph: Graph, notes: Path, tmp_path: Path) -> None:
    graph.receive(notes, DAY)
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.txt").write_text("Patient with gout and hypertension.\n", encoding="utf-8")
    graph.receive(other, DAY - dt.timedelta(days=2))
    assert graph.run(DAY - dt.timedelta(days=2)).success
    assert {row["ingest_date"] for row in graph.rows("pages")} == {DAY - dt.timedelta(days=2)}
    assert graph.run(DAY).success
    assert len(graph.rows("pages")) == 4


CORRUPTIONS = {
    "media_types_are_supported": ("raw_documents", "raw_documents", {"media_type": "application/x-odd"}),
    "pages_have_a_language": ("extracted_text", "pages", {"language": ""}),
    "words_match_their_page": ("extracted_text", "words", {"text_begin": 1000, "text_end": 1001}),
    "words_inside_page": ("extracted_text", "words", {"x0": 0.5, "y0": 0.5, "x1": 1.5, "y1": 0.6}),
    "confidence_in_range": ("extracted_text", "words", {"confidence": 1.5}),
    "segments_match_their_page": ("translated_text", "segments", {"source_begin": 3}),
    "entities_match_their_page": ("entities", "entities", {"text": "something else"}),
    "entity_scores_in_range": ("entities", "entities", {"score": 2.0}),
    "codes_have_their_entity": ("icd10_mappings", "icd10_mappings", {"entity_id": "none such"}),
    "codes_are_valid": ("icd10_mappings", "icd10_mappings", {"billable": False}),
}


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """A lake whose notes are coded, for tests that spoil a table and put it right again."""
    folder = tmp_path_factory.mktemp("coded")
    (folder / "notes").mkdir()
    for name, text in NOTES.items():
        (folder / "notes" / name).write_text(text, encoding="utf-8")
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph(Lake(LakeLocation.under(folder / "lake")), instance)
        graph.receive(folder / "notes")
        assert graph.run().success
        yield graph


@contextmanager
def spoiled(graph: Graph, table: str, change: Callable[[pa.Table], pa.Table]) -> Iterator[None]:
    rows = graph.lake.read(table)
    graph.lake.write(table, change(rows), replace=days_in([DAY]))
    yield
    graph.lake.write(table, rows, replace=days_in([DAY]))


@pytest.mark.parametrize("check", CORRUPTIONS)
def test_a_broken_rule_fails_its_check_and_stops_what_is_downstream(coded: Graph, check: str) -> None:
    stage, table, values = CORRUPTIONS[check]

    def change(rows: pa.Table) -> pa.Table:
        (first,) = rows.slice(0, 1).to_pylist()
        wrong = {"billable": not first["billable"]} if check == "codes_are_valid" else values
        return pa.concat_tables([pa.Table.from_pylist([first | wrong], schema=rows.schema), rows.slice(1)])

    with spoiled(coded, table, change):
        result = coded.run(reprocess={"check_whole_day": True})
    assert not result.success
    assert check in failed_checks(result)
    downstream = set(CHAIN[CHAIN.index(stage) + 1 :]) | {"quarantine"}
    assert not materialised(result) & downstream


@pytest.mark.parametrize("stage", STAGES)
def test_a_lost_row_fails_conservation_and_stops_what_is_downstream(coded: Graph, stage: str) -> None:
    table = {"extracted_text": "words", "translated_text": "segments"}.get(stage, stage)
    with spoiled(coded, table, lambda rows: rows.slice(1)):
        result = coded.run(reprocess={"check_whole_day": True})
    assert "conservation" in failed_checks(result)
    assert not materialised(result) & set(CHAIN[CHAIN.index(stage) + 1 :])


def test_a_doubled_row_fails_conservation(coded: Graph) -> None:
    with spoiled(coded, "words", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)])):
        result = coded.run(reprocess={"check_whole_day": True})
    assert failed_checks(result) == {"conservation"}


def test_too_many_quarantined_documents_warn_without_stopping_anything(graph: Graph, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"%PDF-1.7\ncut off")
    (folder / "b.txt").write_text("Patient with asthma.\n")
    (folder / "c.bin").write_bytes(bytes(range(256)))
    graph.receive(folder)
    result = graph.run()
    assert result.success
    assert failed_checks(result) == {"share_under_threshold"}


def test_an_audit_that_finds_something_leaves_the_published_table_alone(
    graph: Graph, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.receive(notes)
    graph.run()
    before = graph.rows("diagnoses")
    from medpipe_assets.documents import consumers

    spoiled = consumers.sql_of("diagnoses").replace("c.probability,", "c.probability + 5 as probability,")
    original = consumers.sql_of
    monkeypatch.setattr(consumers, "sql_of", lambda name: spoiled if name == "diagnoses" else original(name))
    result = graph.run()
    assert not result.success
    assert failed_checks(result) == {"audit"}
    assert "document_summary" not in materialised(result)
    assert graph.rows("diagnoses") == before


def test_nothing_of_a_document_reaches_the_event_log(graph: Graph, notes: Path, tmp_path: Path) -> None:
    canary = "Zyxwvutson"
    (notes / f"{canary}.txt").write_text(f"{canary} has asthma and denies fever.\n", encoding="utf-8")
    (notes / "cut.pdf").write_bytes(b"%PDF-1.7 " + canary.encode())
    graph.receive(notes)
    result = graph.run()
    assert canary in "".join(row["text"] for row in graph.rows("pages")), "the canary went through"
    events = " ".join(str(record.event_log_entry.to_json()) for record in _records(graph.instance, result.run_id))
    run = graph.instance.get_run_by_id(result.run_id)
    for text in (events, str(run.run_config), str(run.tags)):
        assert canary not in text
        assert not any(sentence[:20] in text for sentence in NOTES.values())


def _records(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogRecord]:
    return list(instance.get_records_for_run(run_id, limit=10_000).records)


def test_an_unexpected_error_shows_its_place_and_not_its_message(
    graph: Graph, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leak(*_: object, **__: object) -> None:
        raise RuntimeError("Zyxwvutson has asthma")

    monkeypatch.setattr("medpipe_assets.defs.documents.assets.run_stage", leak)
    graph.receive(notes)
    result = graph.run()
    assert not result.success
    events = " ".join(str(r.event_log_entry.to_json()) for r in _records(graph.instance, result.run_id))
    assert "RuntimeError at test_graph.py" in events and "Zyxwvutson" not in events


def test_rows_carry_the_partition_run_and_version(graph: Graph, notes: Path) -> None:
    graph.receive(notes)
    result = graph.run()
    for table in ("pages", "segments", "entities", "icd10_mappings"):
        rows = graph.lake.read(table)
        assert set(rows["run_id"].to_pylist()) == {result.run_id}
        assert pc.min(rows["ingest_date"]).as_py() == pc.max(rows["ingest_date"]).as_py() == DAY
    versions = {(row["stage"], row["stage_version"]) for row in graph.rows("stage_versions")}
    assert {(row["stage"], row["stage_version"]) for row in graph.rows("stage_status")} == versions
