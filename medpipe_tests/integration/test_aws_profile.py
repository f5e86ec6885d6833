"""The same graph on AWS's engines, against the strict double: equal results, nothing lost, nothing paid for twice."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from medpipe_assets.defs.resources import EnginesResource
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import conservation
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.recognition import comprehend_medical
from medpipe_tests.aws_double.engines import Engines, embedded_engines
from medpipe_tests.aws_double.faults import FaultPlan, FaultRates, Outage
from medpipe_tests.aws_double.fixtures import FROM_OUTSIDE, Aws, moto_server, standing_aws
from medpipe_tests.aws_double.moto_server import MotoServer
from medpipe_tests.integration.conftest import DAY, NOTES, Graph

__all__ = ["moto_server"]

SAMPLES = Path(__file__).parents[2] / "samples" / "documents"

MORE = {
    "second.txt": "Cough.\nNo history of diabetes. Family history of asthma.\nTakes metformin 500 mg.\n",
    "pages.txt": "Patient has pneumonia and hypertension.\n\fPlan: lisinopril 10 mg daily for hypertension.\n",
    "offsets.txt": "Temp 38.5 °C – naïve to “opioids”. Patient has gout 🙂 and migraine.\n",
    "spanish2.txt": "Antecedentes de hipertensión arterial y asma. No presenta dolor torácico. Gota tratada.\n",
}
CONDITIONS = ("asthma", "gout", "migraine", "hypertension", "pneumonia", "type 2 diabetes", "anemia", "osteoporosis")

MIN_AGREEMENT = 0.5
"""Of the codes that either profile accepts for Spanish notes, the share that both do: AWS codes the translation."""


@dataclass
class Run:
    """A lake, and the account that its engines call."""

    graph: Graph
    aws: Aws

    def materialise(self, *, profile: str = "aws", **more: Any) -> dg.ExecuteInProcessResult:
        return self.graph.run(engines=EnginesResource(profile=profile), **more)

    def paid(self) -> dict[tuple[str, str], float]:
        """Units paid for, by service and operation, as the table has them."""
        paid: dict[tuple[str, str], float] = defaultdict(float)
        for row in self.graph.rows("costs"):
            if row["reason_saved"] is None:
                paid[row["service"], row["operation"]] += row["units"]
        return dict(paid)

    def billed(self) -> dict[tuple[str, str], float]:
        billed: dict[tuple[str, str], float] = defaultdict(float)
        for (service, operation, _), units in self.aws.double.bill.units().items():
            billed[service, operation] += units
        return dict(billed)

    def dollars(self) -> float:
        return sum(float(row["dollars"]) for row in self.graph.rows("costs"))


@contextmanager
def standing(moto: MotoServer, folder: Path, **settings: Any) -> Iterator[Run]:
    """An account of its own and an empty lake; all clients made inside go to it, and lose no time between tries."""
    with ExitStack() as stack:
        aws = stack.enter_context(standing_aws(moto, **settings))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in FROM_OUTSIDE:
            patch.delenv(name, raising=False)
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        yield Run(Graph(Lake(LakeLocation.under(folder / "lake")), instance), aws)


def written(folder: Path, notes: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in notes.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def knowledge() -> Engines:
    """The local engines behind the double."""
    return embedded_engines()


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("aws") / "notes", NOTES | MORE)


@pytest.fixture(scope="module")
def settled(
    moto_server: MotoServer, knowledge: Engines, notes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """Notes of which everything went well. Tests may run it again: that changes no content."""
    with standing(moto_server, tmp_path_factory.mktemp("settled"), engines=knowledge) as run:
        run.graph.receive(notes)
        assert run.materialise().success
        yield run


@pytest.fixture
def stand(moto_server: MotoServer, knowledge: Engines, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Makes accounts with empty lakes; the one made last is the one that is called."""
    with ExitStack() as stack:
        made = 0

        def make(**settings: Any) -> Run:
            nonlocal made
            made += 1
            folder = tmp_path / str(made)
            folder.mkdir()
            return stack.enter_context(standing(moto_server, folder, engines=knowledge, **settings))

        yield make


VERSIONS = frozenset({"stage_version", "input_version", "run_id", "processed_at"})
RESULTS = ("pages", "words", "segments", "entities", "icd10_mappings", "document_codes", "diagnoses")


def results(graph: Graph) -> dict[str, list[str]]:
    """All that stages found, whatever run and code it is from."""
    return {
        name: sorted(repr({k: v for k, v in row.items() if k not in VERSIONS}) for row in graph.rows(name))
        for name in RESULTS
    }


def assert_conserved(graph: Graph) -> None:
    for stage in STAGES:
        balance = conservation(graph.lake, stage, DAY)
        assert balance["inputs"] == balance["done"] + balance["quarantined"], stage
        assert balance["pending"] == 0 and not balance["miscounted"], stage


def processed(result: dg.ExecuteInProcessResult, stage: str) -> Any:
    return result.asset_materializations_for_node(stage)[0].metadata["processed_in_this_run"].value


def of_language(graph: Graph, language: str) -> set[str]:
    return {row["document_id"] for row in graph.rows("pages") if row["language"] == language}


def picked(graph: Graph, table: str, columns: tuple[str, ...], documents: set[str]) -> list[str]:
    return sorted(repr([row[c] for c in columns]) for row in graph.rows(table) if row["document_id"] in documents)


SAME = {
    "pages": ("document_id", "page", "language", "text", "method", "rotation", "width", "height"),
    "words": ("document_id", "page", "word_index", "text", "text_begin", "text_end", "x0", "y0", "x1", "y1"),
    "entities": ("document_id", "text", "category", "type", "source_spans"),
    "document_codes": ("document_id", "code", "asserted"),
    "diagnoses": ("document_id", "code", "evidence_page", "evidence_begin", "evidence_end", "evidence_text"),
}
"""Columns that are the same under both profiles for English; scores, versions and methods are each engine's own."""


@pytest.fixture(scope="module")
def local(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph(Lake(LakeLocation.under(tmp_path_factory.mktemp("local") / "lake")), instance)
        graph.receive(notes)
        assert graph.run(engines=EnginesResource(profile="local")).success
        yield graph


@pytest.mark.parametrize(
    "table",
    ["pages", "words", "entities", "document_codes", "diagnoses"],
)
def test_english_documents_come_out_the_same_under_both_profiles(settled: Run, local: Graph, table: str) -> None:
    english = of_language(local, "en")
    assert english == of_language(settled.graph, "en")
    ours = picked(settled.graph, table, SAME[table], english)
    assert ours
    assert ours == picked(local, table, SAME[table], english)


def test_documents_of_other_languages_are_all_there_and_their_codes_mostly_agree(
    settled: Run, local: Graph, record_property: Callable[[str, object], None]
) -> None:
    for table in ("pages", "words"):
        everything = {row["document_id"] for row in local.rows("raw_documents")}
        assert picked(settled.graph, table, SAME[table], everything) == picked(local, table, SAME[table], everything)
    spanish = of_language(local, "es")
    codes = [
        {(row["document_id"], row["code"]) for row in graph.rows("diagnoses") if row["document_id"] in spanish}
        for graph in (settled.graph, local)
    ]
    agreement = len(codes[0] & codes[1]) / len(codes[0] | codes[1])
    record_property("agreement_of_codes_es", agreement)
    print(f"agreement of codes on Spanish: {agreement:.2f} of {len(codes[0] | codes[1])}")
    assert agreement >= MIN_AGREEMENT


def test_evidence_of_a_translated_diagnosis_is_a_segment_of_its_page(settled: Run) -> None:
    texts = {(row["document_id"], row["page"]): row["text"] for row in settled.graph.rows("pages")}
    english = of_language(settled.graph, "en")
    entities = [row for row in settled.graph.rows("entities") if row["document_id"] not in english]
    assert entities and {row["projection"] for row in entities} == {"segment"}
    for row in settled.graph.rows("diagnoses"):
        text = texts[row["document_id"], row["evidence_page"]]
        evidence = text[row["evidence_begin"] : row["evidence_end"]]
        assert evidence.strip()


def test_two_conditions_of_one_translated_sentence_are_two_entities(settled: Run) -> None:
    segments = {row["target_text"] for row in settled.graph.rows("segments")}
    assert sum("hypertension" in text and "asthma" in text for text in segments) == 1
    spanish = of_language(settled.graph, "es")
    found = [row["text"].lower() for row in settled.graph.rows("entities") if row["document_id"] in spanish]
    assert any("hypertension" in text for text in found) and "asthma" in found


def test_every_stage_conserves_its_documents(settled: Run) -> None:
    assert_conserved(settled.graph)
    assert not settled.graph.rows("quarantine")


def test_the_costs_table_is_the_bill(settled: Run) -> None:
    billed = settled.billed()
    assert {operation for _, operation in billed} == {"TranslateText", "DetectEntitiesV2", "InferICD10CM"}
    assert settled.paid() == billed
    assert settled.dollars() == pytest.approx(settled.aws.double.bill.dollars())


def test_english_is_not_sent_to_the_translator_and_that_is_told(settled: Run) -> None:
    english = of_language(settled.graph, "en")
    rows = [row for row in settled.graph.rows("costs") if row["service"] == "translate"]
    assert {row["document_id"] for row in rows if row["reason_saved"] == "english"} == english
    assert all(row["saved_dollars"] > 0 for row in rows if row["reason_saved"])
    assert not {row["document_id"] for row in rows if row["dollars"]} & english


def test_a_forced_rerun_pays_nothing(settled: Run) -> None:
    before, charges = results(settled.graph), settled.aws.double.bill.charges
    result = settled.materialise(reprocess={"force": True})
    assert result.success and processed(result, "entities") == len(NOTES | MORE)
    assert settled.aws.double.bill.charges == charges
    assert results(settled.graph) == before
    rows = [row for row in settled.graph.rows("costs") if row["run_id"] == result.run_id]
    assert {row["reason_saved"] for row in rows} == {"stored", "english"}
    assert not any(row["dollars"] for row in rows)
    assert settled.paid() == settled.billed()


def test_a_changed_parser_reprocesses_without_a_call(settled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before, found = settled.aws.double.actions.copy(), results(settled.graph)
    monkeypatch.setattr(comprehend_medical, "CODE_VERSION", "99")
    result = settled.materialise()
    assert result.success
    assert [processed(result, stage) for stage in STAGES] == [0, 0, 0, len(NOTES | MORE), len(NOTES | MORE)]
    assert settled.aws.double.actions == before
    assert results(settled.graph) == found


def test_a_budget_stops_the_run_and_another_goes_on_where_it_stopped(
    settled: Run, stand: Callable[..., Run], notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = settled.aws.double.bill.dollars() / 2
    run = stand()
    run.graph.receive(notes)
    monkeypatch.setenv("MEDPIPE_BUDGET_DOLLARS", str(budget))
    assert not run.materialise().success
    assert 0 < run.aws.double.bill.dollars() <= budget
    assert run.paid() == run.billed()
    assert [(row["stage"], row["reason"], row["detail"]) for row in run.graph.rows("quarantine")] == []
    monkeypatch.delenv("MEDPIPE_BUDGET_DOLLARS")
    assert run.materialise().success
    assert run.billed() == settled.billed() == run.paid()
    assert results(run.graph) == results(settled.graph)
    assert_conserved(run.graph)


def test_codes_alone_are_the_same_codes_without_the_dear_call(
    settled: Run, stand: Callable[..., Run], notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPIPE_CODES_ONLY", "1")
    run = stand()
    run.graph.receive(notes)
    assert run.materialise().success
    assert {o for _, o in run.billed()} == {"TranslateText", "InferICD10CM"}
    assert (
        run.aws.double.actions["comprehendmedical:InferICD10CM"]
        == (settled.aws.double.actions["comprehendmedical:InferICD10CM"])
    ), "coding reads the answer that the entities are from"
    everything = {row["document_id"] for row in run.graph.rows("raw_documents")}
    columns = ("document_id", "code", "asserted", "accepted", "probability")
    assert picked(run.graph, "document_codes", columns, everything) == (
        picked(settled.graph, "document_codes", columns, everything)
    )


def test_a_call_that_is_not_allowed_stops_the_run_and_is_no_documents_fault(
    settled: Run, stand: Callable[..., Run], notes: Path
) -> None:
    denied = {"comprehendmedical:InferICD10CM"}
    run = stand(denied=denied)
    run.graph.receive(notes)
    result = run.materialise()
    assert not result.success
    said = [str(event.step_failure_data.error) for event in result.filter_events(lambda e: e.is_step_failure)]
    assert said and all("InferICD10CM: AccessDenied" in text for text in said)
    assert not run.graph.rows("quarantine") and run.graph.rows("entities") and not run.graph.rows("icd10_mappings")
    denied.clear()
    assert run.materialise().success
    assert run.billed() == settled.billed() == run.paid()
    assert results(run.graph) == results(settled.graph)


def test_documents_wait_out_a_service_that_is_down(settled: Run, stand: Callable[..., Run], notes: Path) -> None:
    plan = FaultPlan(outages=[Outage("comprehendmedical", 0, 10**6)])
    run = stand(faults=plan)
    run.graph.receive(notes)
    assert run.materialise().success
    assert {(row["stage"], row["reason"]) for row in run.graph.rows("quarantine")} == {
        ("entities", "engine_unavailable")
    }
    assert len(run.graph.rows("quarantine")) == len(NOTES | MORE)
    assert_conserved(run.graph)
    plan.outages = ()
    assert run.materialise().success
    assert all(row["resolved_at"] for row in run.graph.rows("quarantine"))
    assert run.billed() == settled.billed() == run.paid()
    assert results(run.graph) == results(settled.graph)
    assert_conserved(run.graph)


def test_throttles_resets_and_refusals_lose_nothing_and_double_nothing(
    stand: Callable[..., Run], tmp_path: Path
) -> None:
    """Against a run in which the same requests are refused for good and nothing else goes wrong."""
    pairs = [(a, b) for a in CONDITIONS for b in CONDITIONS[:4]]
    texts = [
        f"Record {n}. Patient has {a} and {b}.\n" if n % 3 else f"Nota {n}. Paciente con asma y {b}.\n"
        for n, (a, b) in enumerate(pairs)
    ]
    many = written(tmp_path / "many", {f"{n}.txt": text for n, text in enumerate(texts)})
    calm = stand(faults=FaultPlan(9, FaultRates(refused=0.02)))
    calm.graph.receive(many)
    assert calm.materialise().success
    lossy = FaultRates(throttle=0.2, server_error=0.02, reset=0.05, lost_reply=0.05, refused=0.02)
    storm = stand(faults=FaultPlan(9, lossy))
    storm.graph.receive(many)
    assert storm.materialise().success
    assert storm.materialise().success, "what the retries could not save waits for the next run"
    assert_conserved(storm.graph)

    counts = storm.aws.double.faults.counts
    kinds = {kind for _, _, kind in counts}
    assert {"throttle", "reset", "lost_reply", "refused"} <= kinds, "the plan met this run"
    rejected = {row["document_id"] for row in calm.graph.rows("quarantine")}
    assert 0 < len(rejected) < len(list(many.iterdir())) / 4
    waiting = {row["document_id"] for row in storm.graph.rows("quarantine") if row["resolved_at"] is None}
    assert waiting == rejected
    assert results(storm.graph) == results(calm.graph)

    lost = {(s, o): n for (s, o, kind), n in counts.items() if kind == "lost_reply"}
    calls = {which[:2]: n for which, n in storm.aws.double.bill.calls().items()}
    once = {which[:2]: n for which, n in calm.aws.double.bill.calls().items()}
    assert {which: calls[which] - lost.get(which, 0) for which in calls} == once
    assert storm.paid() == calm.paid() == calm.billed(), "the table has each answer once; lost ones never came"


@pytest.mark.slow
def test_a_page_image_reads_the_same_through_textract(stand: Callable[..., Run], tmp_path: Path) -> None:
    run = stand()
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "page.png").write_bytes((SAMPLES / "clinic_note_en.png").read_bytes())
    run.graph.receive(folder)
    assert run.materialise().success
    assert run.billed()["textract", "DetectDocumentText"] == 1
    with dg.DagsterInstance.ephemeral() as instance:
        local = Graph(Lake(LakeLocation.under(tmp_path / "local")), instance)
        local.receive(folder)
        assert local.run(engines=EnginesResource(profile="local")).success
    everything = {row["document_id"] for row in local.rows("raw_documents")}
    for table, columns in (
        ("pages", ("document_id", "page", "language", "text")),
        ("words", ("document_id", "page", "word_index", "text", "text_begin", "text_end")),
        ("document_codes", SAME["document_codes"]),
    ):
        found = picked(local, table, columns, everything)
        assert found
        assert picked(run.graph, table, columns, everything) == found
