"""The asset translated_documents: English Word documents of those in other languages, where that is switched on."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from medpipe_assets.defs.resources import EnginesResource
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_tests.aws_double.fixtures import Aws, aws, aws_settings, moto_server
from medpipe_tests.aws_double.word_documents import paragraphs
from medpipe_tests.integration.conftest import Graph
from medpipe_tests.unit.extraction.make import docx, paragraph

__all__ = ["aws", "aws_settings", "moto_server"]

ASSET = "translated_documents"
SPANISH = "El paciente refiere dolor abdominal desde hace tres días, sin fiebre ni vómitos."
PORTUGUESE = "O paciente refere dor abdominal há três dias, sem febre e sem vômitos desde ontem."
ENGLISH = "The patient has had abdominal pain for three days and denies fever or vomiting."
CHOSEN = ["raw_documents", "extracted_text", ASSET]


@pytest.fixture
def graph(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """A lake with letters in three languages and a note; Word documents are to be translated."""
    monkeypatch.setenv("MEDPIPE_TRANSLATE_WORD_DOCUMENTS", "true")
    folder = tmp_path / "letters"
    folder.mkdir()
    for name, text in {"es": SPANISH, "pt": PORTUGUESE, "en": ENGLISH}.items():
        (folder / f"{name}.docx").write_bytes(docx(paragraph(text)))
    (folder / "es.txt").write_text(SPANISH, encoding="utf-8")
    with dg.DagsterInstance.ephemeral() as instance:
        made = Graph(Lake(LakeLocation.under(tmp_path / "lake")), instance)
        made.receive(folder)
        yield made


def materialise(graph: Graph, *, budget: float | None = None, again: bool = False, **more: Any) -> Any:
    """Run the asset and, unless it is run again, what it needs."""
    chosen = [ASSET] if again else CHOSEN
    return graph.run(selection=chosen, engines=EnginesResource(profile="local", budget=budget), **more)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    assert result.success
    (event,) = result.asset_materializations_for_node(ASSET)
    return {name: value.value for name, value in event.metadata.items()}


def written(graph: Graph) -> list[Path]:
    return sorted(Path(graph.lake.location.staging, "translated").glob("*"))


def test_foreign_word_documents_are_written_in_english_privately_and_paid_for_once(aws: Aws, graph: Graph) -> None:
    assert told(materialise(graph)) | {"dollars": 0} == {
        "written": 2, "there_before": 0, "dollars": 0, "dollars_saved": 0,
    }  # fmt: skip
    texts = {path.stem: paragraphs(path.read_bytes()) for path in written(graph)}
    foreign = {row["document_id"] for row in graph.rows("raw_documents") if "word" in row["media_type"]}
    assert set(texts) < foreign and len(texts) == 2
    assert any("etneicap" in text for [text] in texts.values())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in written(graph))

    costs = [row for row in graph.rows("costs") if row["stage"] == ASSET]
    assert {row["document_id"] for row in costs} == set(texts)
    assert sum(row["dollars"] for row in costs) == pytest.approx(aws.double.bill.dollars())
    assert sum(row["units"] for row in costs) == len(SPANISH) + len(PORTUGUESE)

    assert told(materialise(graph, again=True))["there_before"] == 2
    assert aws.double.actions["translate:TranslateDocument"] == 2


def test_what_is_forced_or_lost_is_written_again_without_a_call(aws: Aws, graph: Graph) -> None:
    materialise(graph)
    before = {path: path.read_bytes() for path in written(graph)}
    written(graph)[0].unlink()
    assert told(materialise(graph, again=True))["written"] == 1
    again = told(materialise(graph, again=True, reprocess={"force": True}))
    assert (again["written"], again["dollars"]) == (2, 0) and again["dollars_saved"] > 0
    assert {path: path.read_bytes() for path in written(graph)} == before
    assert aws.double.actions["translate:TranslateDocument"] == 2


def test_a_document_that_is_refused_is_counted_and_the_others_are_written(
    aws: Aws, graph: Graph, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "long.docx").write_bytes(docx("".join(paragraph(f"{SPANISH} {i}") for i in range(1500))))
    graph.receive(more)
    assert told(materialise(graph)) | {"dollars": 0} == {
        "written": 2, "there_before": 0, "failed_too_large": 1, "dollars": 0, "dollars_saved": 0,
    }  # fmt: skip


def test_a_budget_that_is_used_up_stops_it_and_what_was_paid_is_kept(aws: Aws, graph: Graph) -> None:
    budget = 30 * (len(PORTUGUESE) + 1) / 1_000_000
    assert not materialise(graph, budget=budget).success
    assert len(written(graph)) == 1
    assert sum(row["dollars"] for row in graph.rows("costs")) == pytest.approx(aws.double.bill.dollars())
    assert aws.double.bill.dollars() <= budget
    assert told(materialise(graph, again=True))["written"] == 1


def test_switched_off_it_does_nothing_and_says_so(aws: Aws, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDPIPE_TRANSLATE_WORD_DOCUMENTS")
    assert told(materialise(graph)) == {"nothing_done": "switched off: MEDPIPE_TRANSLATE_WORD_DOCUMENTS"}
    assert written(graph) == [] and not aws.actions
