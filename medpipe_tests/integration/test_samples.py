"""The samples, end to end, against their known truth: the committed ones, and ones of a seed not developed on."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import dagster as dg
import pytest

from medpipe_assets.defs.resources import RunnerResource
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import conservation
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES
from medpipe_tests.integration.conftest import DAY, Graph
from samples import generate
from samples.truth import File, Truth, load

SAMPLES = Path(__file__).parents[2] / "samples"
UNSEEN_SEED = 20261120

pytestmark = pytest.mark.slow

MIN_RECALL = 0.8
"""Of the conditions that the samples' truth asserts, the share whose code must be among the diagnoses."""
MAX_DENIED = 0.08
"""Of the codes that the truth denies (negated, a relative's, feared), the share that may be among the diagnoses."""


@pytest.fixture(scope="module", params=["committed", pytest.param("unseen", marks=pytest.mark.long)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Graph, Truth]]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "committed":
        documents, truth = SAMPLES / "documents", load(SAMPLES / "truth.json")
    else:
        truth = generate.generate(UNSEEN_SEED, folder)
        documents = folder / "documents"
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph(Lake(LakeLocation.under(folder / "lake")), instance)
        graph.receive(documents)
        assert graph.run(runner=RunnerResource(workers=2)).success
        yield graph, truth


def by_name(graph: Graph) -> dict[str, str]:
    """Sample name -> document id."""
    return {
        unquote(row["uri"].rpartition("documents/")[2]): row["document_id"]
        for row in graph.rows("document_sources")
        if row["document_id"] is not None
    }


def documents(run: tuple[Graph, Truth]) -> Iterator[tuple[Graph, str, File]]:
    graph, truth = run
    ids = by_name(graph)
    for file in truth.files:
        yield graph, ids[file.name], file


def test_every_sample_is_done_or_quarantined_for_its_reason(run: tuple[Graph, Truth]) -> None:
    graph, truth = run
    expected = {(by_name(graph)[f.name], f.quarantine.stage, f.quarantine.reason) for f in truth.files if f.quarantine}
    found = {(r["document_id"], r["stage"], r["reason"]) for r in graph.rows("quarantine") if r["resolved_at"] is None}
    assert found == expected
    for stage in STAGES:
        balance = conservation(graph.lake, stage, DAY)
        assert balance["pending"] == 0 and not balance["miscounted"]
    assert len(graph.rows("document_summary")) == len(truth.files)


def test_types_pages_languages_and_methods_are_as_made(run: tuple[Graph, Truth]) -> None:
    pages = defaultdict(dict)
    for row in run[0].rows("pages"):
        pages[row["document_id"]][row["page"]] = row
    types = {row["document_id"]: row["media_type"] for row in run[0].rows("raw_documents")}
    for _, document_id, file in documents(run):
        if file.quarantine:
            continue
        assert types[document_id] == file.media_type
        assert sorted(pages[document_id]) == [page.number for page in file.pages]
        for page in file.pages:
            row = pages[document_id][page.number]
            assert row["language"] == page.language, file.name
            assert row["method"] in page.methods, file.name
            assert row["rotation"] == page.rotation, file.name


def test_what_the_samples_assert_is_diagnosed(run: tuple[Graph, Truth]) -> None:
    codes = diagnosed(run[0])
    hits, missed = 0, []
    for _, document_id, file in documents(run):
        for acceptable in file.asserted:
            if acceptable & codes[document_id]:
                hits += 1
            else:
                missed.append((file.name, sorted(acceptable)))
    assert hits / (hits + len(missed)) >= MIN_RECALL, missed


def test_what_the_samples_deny_is_not_diagnosed(run: tuple[Graph, Truth]) -> None:
    codes = diagnosed(run[0])
    denied = [(file.name, code, code in codes[d]) for _, d, file in documents(run) for code in file.not_asserted]
    wrong = [(name, code) for name, code, found in denied if found]
    assert len(wrong) / len(denied) <= MAX_DENIED, wrong


def test_medications_are_found_with_their_dose(run: tuple[Graph, Truth]) -> None:
    found = defaultdict(list)
    for row in run[0].rows("entities"):
        if row["category"] == "MEDICATION":
            doses = {a["text"].lower() for a in row["attributes"] if a["type"] in ("DOSAGE", "STRENGTH")}
            found[row["document_id"]].append((row["text"].lower(), doses))
    total = hits = 0
    for _, document_id, file in documents(run):
        for medication in file.medications:
            total += 1
            hits += any(
                name == medication.name.lower() and medication.dose.lower() in doses
                for name, doses in found[document_id]
            )
    assert hits / total >= 0.85


def test_each_diagnosis_names_words_that_are_on_its_page(run: tuple[Graph, Truth]) -> None:
    graph, _ = run
    texts = {(row["document_id"], row["page"]): row["text"] for row in graph.rows("pages")}
    rows = graph.rows("diagnoses")
    assert rows
    for row in rows:
        text = texts[row["document_id"], row["evidence_page"]]
        assert text[row["evidence_begin"] : row["evidence_end"]] == row["evidence_text"]


def diagnosed(graph: Graph) -> dict[str, set[str]]:
    codes: dict[str, set[str]] = defaultdict(set)
    for row in graph.rows("diagnoses"):
        codes[row["document_id"]].add(row["code"])
    return codes
