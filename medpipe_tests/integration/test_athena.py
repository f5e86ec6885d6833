"""The document graph on a lake on S3 with Athena as its SQL engine, against the strict double."""

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from medpipe_assets.cli import main
from medpipe_assets.defs.resources import EnginesResource, LakeResource, WarehouseResource
from medpipe_assets.documents.consumers import CONSUMERS, is_stale, rebuild
from medpipe_assets.documents.intake import take_in
from medpipe_assets.inbox.local import fetch
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.settings import Settings
from medpipe_assets.warehouse import athena
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.choice import warehouse_over
from medpipe_assets.warehouse.lake_tables import Scope, lake_warehouse
from medpipe_tests.aws_double.athena import WorkGroup
from medpipe_tests.aws_double.engines import embedded_engines
from medpipe_tests.aws_double.fixtures import FROM_OUTSIDE, Aws, moto_server, standing_aws
from medpipe_tests.aws_double.moto_server import MotoServer
from medpipe_tests.integration.conftest import DAY, NOTES, Graph
from medpipe_tests.unit.lake.builders import put

__all__ = ["moto_server"]

pytestmark = [pytest.mark.slow, pytest.mark.long]

BUCKET = "medpipe-athena"
LIMIT = 10_000_000
FIRST = {
    "english.txt": NOTES["english.txt"],
    "spanish.txt": NOTES["spanish.txt"],
    "no_codes.txt": "Nothing to see.\n",
    "broken.pdf": "%PDF-1.7 cut off",
}
SECOND = {"spanish.txt": "Paciente con asma e hipertensión arterial. Niega fiebre.\n"}
"""A new version of a source."""


class OnS3(Graph):
    """The line over a lake that the environment names."""

    def definitions(self, **overrides: Any) -> dg.Definitions:
        return super().definitions(**{"lake": LakeResource(), **overrides})


@pytest.fixture(scope="module")
def aws(moto_server: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    limited = {"limited": WorkGroup(bytes_cutoff=LIMIT)}
    with ExitStack() as stack:
        standing = stack.enter_context(standing_aws(moto_server, engines=embedded_engines(), workgroups=limited))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in FROM_OUTSIDE:
            patch.delenv(name, raising=False)
        for name, value in standing.environment.items():
            patch.setenv(name, value)
        patch.setattr(athena, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: None))
        standing.client("s3").create_bucket(Bucket=BUCKET)
        yield standing


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def surroundings(home: Path) -> dict[str, str]:
    names = {"PROFILE": "aws", "LAKE": f"s3://{BUCKET}/lake", "HOME": str(home), "GLUE_DATABASE": "clinic"}
    return {f"MEDPIPE_{name}": value for name, value in names.items()}


@pytest.fixture(autouse=True)
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake, and the profile aws; no test's own setting outlives it."""
    for name, value in surroundings(home).items():
        monkeypatch.setenv(name, value)


@dataclass
class Built:
    """The line over a lake on S3, and its run."""

    graph: Graph
    run: dg.ExecuteInProcessResult

    @property
    def lake(self) -> Lake:
        return self.graph.lake


@pytest.fixture(scope="module")
def built(aws: Aws, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("athena") / "notes"
    folder.mkdir()
    location = replace(LakeLocation.under(f"s3://{BUCKET}/lake", home), database="clinic")
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        for name, value in surroundings(home).items():
            patch.setenv(name, value)
        graph = OnS3(Lake(location), instance)
        for notes in (FIRST, SECOND):
            for name, text in notes.items():
                (folder / name).write_text(text, encoding="utf-8")
            graph.receive(folder)
            take_in(graph.lake, DAY, fetch, run_id="first")
        some = graph.rows("document_sources")[0]["document_id"]
        put(graph.lake, "entities", {"document_id": some, "ingest_date": DAY, "run_id": "cut off"})
        run = materialise(graph)
        assert run.success
        yield Built(graph, run)


def materialise(graph: Graph, **more: Any) -> dg.ExecuteInProcessResult:
    return graph.run(engines=EnginesResource(profile="aws"), warehouse=WarehouseResource(profile="aws"), **more)


def queries(aws: Aws) -> int:
    return aws.double.actions["athena:StartQueryExecution"]


def tables(lake: Lake) -> dict[str, list[str]]:
    return {name: sorted(map(repr, lake.read(name).to_pylist())) for name in CONSUMERS}


def athena_settings(**more: Any) -> Settings:
    return Settings.load("aws").model_copy(update=more)


def test_athena_gives_the_rows_that_this_machine_gives(built: Built, aws: Aws) -> None:
    by_athena, asked = tables(built.lake), queries(aws)
    assert asked and all(by_athena.values())
    for name in CONSUMERS:
        assert rebuild(built.lake, name, DAY, force=True).published
    assert tables(built.lake) == by_athena
    assert queries(aws) == asked
    found = built.graph.rows("document_summary")
    assert sorted(row["status"] for row in found) == ["coded", "coded", "no codes", "quarantined"]
    assert len(built.graph.rows("raw_documents")) == 5, "one is superseded"


def test_each_table_says_what_its_query_took_and_the_costs_are_the_bill(built: Built, aws: Aws) -> None:
    for name in CONSUMERS:
        (event,) = built.run.asset_materializations_for_node(name)
        assert event.metadata["bytes_scanned"].value > 0 and event.metadata["athena_query_id"].value
        rows = [r for r in built.graph.rows("costs") if r["run_id"] == built.run.run_id and r["stage"] == name]
        assert {(r["service"], r["operation"], r["document_id"]) for r in rows} == {
            ("athena", "StartQueryExecution", "")
        }
        assert event.metadata["dollars"].value == pytest.approx(sum(r["dollars"] for r in rows))


def test_no_copy_of_an_answer_is_left_on_s3(built: Built, aws: Aws) -> None:
    found = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="lake/staging/athena/")["Contents"]
    assert found and not [item["Key"] for item in found if "/unload/" in item["Key"]]


def test_a_rerun_with_nothing_changed_asks_nothing(built: Built, aws: Aws) -> None:
    before, asked = tables(built.lake), queries(aws)
    result = materialise(built.graph, selection=list(CONSUMERS))
    assert result.success and queries(aws) == asked
    assert "athena_query_id" not in result.asset_materializations_for_node("diagnoses")[0].metadata
    assert tables(built.lake) == before


def test_a_query_that_scans_too_much_fails_its_asset_with_the_next_step_and_leaves_the_table(
    built: Built, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, before = built.lake, tables(built.lake)
    monkeypatch.setenv("MEDPIPE_ATHENA_WORKGROUP", "limited")
    monkeypatch.setattr("medpipe_tests.aws_double.athena._size", lambda _: LIMIT)
    result = materialise(built.graph, reprocess={"force": True}, selection=["diagnoses"])
    assert not result.success
    message = str(result.failure_data_for_node("diagnoses").error)
    assert "diagnoses could not be computed and stays as it was" in message
    assert "more than a query of workgroup limited may" in message and "raise the workgroup's limit" in message
    assert tables(lake) == before and not is_stale(lake, DAY)
    paid = [row for row in built.graph.rows("costs") if row["run_id"] == result.run_id]
    assert paid, "what a cancelled query scanned is charged for"


def test_whoever_is_interrupted_leaves_no_query_at_work_and_no_rows(
    built: Built, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    lake, before = built.lake, tables(built.lake)
    stops = aws.double.actions["athena:StopQueryExecution"]
    monkeypatch.setattr(athena.time, "sleep", interrupted)
    over = warehouse_over(athena_settings(), lake.location, unload=True)
    with pytest.raises(KeyboardInterrupt):
        rebuild(lake, "diagnoses", DAY, warehouse=over, force=True)
    assert aws.double.actions["athena:StopQueryExecution"] == stops + 1
    assert tables(lake) == before


def invoke(*words: str, code: int = 0, command: str = "query") -> Result:
    told = CliRunner().invoke(main, [command, *words])
    assert told.exit_code == code, told.output
    return told


SQL = "SELECT code, count(*) AS documents FROM diagnoses GROUP BY code ORDER BY code"


def test_a_query_asks_athena_as_the_profile_says_and_tells_what_it_scanned(built: Built, aws: Aws) -> None:
    asked = queries(aws)
    by_athena = invoke(SQL, "--format", "csv")
    assert queries(aws) == asked + 1
    assert "bytes scanned" in by_athena.stderr and "dollars" in by_athena.stderr
    here = invoke(SQL, "--format", "csv", "--engine", "duckdb")
    assert queries(aws) == asked + 1 and not here.stderr
    assert by_athena.stdout == here.stdout != ""


def test_athena_sees_the_rows_in_force_that_this_machine_sees(built: Built) -> None:
    names = ("entities", "stage_status_in_force", "current_documents", "costs")
    sql = "SELECT " + ", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in names)
    answers = [invoke(sql, "--engine", engine, "--format", "csv").stdout for engine in ("athena", "duckdb")]
    assert answers[0] == answers[1]
    assert len(built.graph.rows("entities")) == int(answers[0].splitlines()[1].split(",")[0]) + 1


def test_athena_sees_the_lake_as_it_was(built: Built) -> None:
    history = built.lake.table("diagnoses").history()
    moments = [dt.datetime.fromtimestamp((at + 1) / 1000, dt.UTC) for at in (0, history[0].timestamp_ms)]
    over = warehouse_over(athena_settings(), built.lake.location)
    for moment in (*moments, None):
        asked = [engine(built.lake, Scope(as_of=moment)).query(SQL) for engine in (over, lake_warehouse)]
        assert asked[0].equals(asked[1])
        assert bool(asked[0].num_rows) == (moment is None)


def test_an_exported_table_is_known_to_athena_as_plain_parquet(built: Built, aws: Aws) -> None:
    aws.client("glue").create_database(DatabaseInput={"Name": "open"})
    there = ("--out", f"s3://{BUCKET}/open", "--register", "open")
    told = invoke("document_summary", *there, command="export")
    assert f"4 rows to s3://{BUCKET}/open/document_summary" in told.stderr
    over = warehouse_over(athena_settings(), built.lake.location)(built.lake, Scope())
    plain = replace(cast(AthenaWarehouse, over), database="open", prepare=None)
    asked = "SELECT document_id, ingest_date, status, reason FROM document_summary ORDER BY 1"
    assert plain.query(asked).equals(over.query(asked))
    refused = invoke("document_summary", "--register", "open", command="export", code=2)
    assert "--out s3://bucket/prefix" in refused.stderr


def test_a_table_that_is_not_there_is_named(built: Built) -> None:
    message = invoke("SELECT * FROM diagnosis", code=2).stderr
    assert "Table 'awsdatacatalog.clinic.diagnosis' does not exist" in message and "line 1:" not in message


def test_a_lake_in_a_folder_is_not_for_athena(tmp_path: Path) -> None:
    Lake(LakeLocation.under(tmp_path / "lake"))
    message = invoke("SELECT 1 AS a", "--lake", str(tmp_path / "lake"), "--engine", "athena", code=2).stderr
    assert "Athena cannot see a lake in a folder" in message and "s3://bucket/prefix" in message
    assert invoke("SELECT 1 AS a", "--lake", str(tmp_path / "lake"), "--format", "csv").stdout.split() == ["a", "1"]
