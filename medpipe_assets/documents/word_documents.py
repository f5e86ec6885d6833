"""English Word documents beside a day's foreign ones, in the staging zone: which, where, and what that cost.

They are for people, and nothing in the lake is made from them, so they have no ledger: a document whose English is
there is done. How one is translated is in translation/word_documents.py.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa

from medpipe_assets.aws.metering import Cost, collecting
from medpipe_assets.documents.line import read_raw
from medpipe_assets.documents.stage import EVERYTHING_PENDING, SILENCE, Progress, Selection
from medpipe_assets.errors import DocumentError, RunStopError
from medpipe_assets.extraction.media_type import DOCX
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import read_vouched
from medpipe_assets.lake.objects import ObjectStore, store_at
from medpipe_assets.lake.schemas import TABLES
from medpipe_assets.translation.word_documents import WordDocumentTranslation

NAME = "translated_documents"
"""What the asset is called, and `stage` in the table `costs`."""

BATCH = 50
"""Documents that are in memory at once, of 100,000 bytes at most each."""

_STAY = frozenset({"en", "und"})
"""Languages of documents that stay as they are: English, and numbers alone."""


@dataclass
class WordDocumentsReport:
    """Counts: documents written now, those whose English was there, failures by reason; and dollars."""

    written: int = 0
    there: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    dollars: float = 0.0
    saved_dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    document_id: str
    result: bytes | DocumentError | RunStopError
    costs: Sequence[Cost]


def key_of(document_id: str) -> str:
    """Key of a document's English, in the staging zone."""
    return f"translated/{document_id}.docx"


def translate_word_documents(
    lake: Lake,
    day: dt.date,
    engine: WordDocumentTranslation,
    *,
    run_id: str,
    selection: Selection = EVERYTHING_PENDING,
    threads: int = 16,
    progress: Progress = SILENCE,
) -> WordDocumentsReport:
    """Write the English of each DOCX document of a day that is in another language and has none yet.

    What is paid is recorded before a document is written: killed in between, the next run finds the answer stored. What
    fails is counted, and tried again by the next run.

    Raises:
        RunStopError: where the configuration is wrong or the budget used up; what is done is written.
    """
    report = WordDocumentsReport()
    store = store_at(lake.location.zone("staging"), lake.location.kms_key, engine.calls.clients)
    with (
        lake.leases.hold(f"{NAME} {day.isoformat()}", on_wait=lambda: progress.waiting(NAME)) as lease,
        ThreadPoolExecutor(threads, NAME) as pool,
    ):
        languages = _foreign(lake, day, selection)
        there = dict(zip(languages, pool.map(lambda d: store.exists(key_of(d)), languages), strict=True))
        todo = [document_id for document_id in languages if selection.force or not there[document_id]]
        report.there = len(languages) - len(todo)
        progress.begin(NAME, len(todo))
        for batch in _batches(todo):
            outcomes = list(pool.map(partial(_translated, lake.raw, engine, languages), batch))
            with lake.leases.commit(lease):
                _record(lake, day, outcomes, report, run_id)
                stops = [_write(store, outcome, report) for outcome in outcomes]
            progress.advance(len(batch))
            if stop := next(filter(None, stops), None):
                raise stop
    return report


def _foreign(lake: Lake, day: dt.date, selection: Selection) -> dict[str, str]:
    """The day's DOCX documents in other languages than English, each with its language."""
    rows = read_vouched(lake, "raw_documents", ("document_id", "media_type"), days=[day]).to_pylist()
    documents = {row["document_id"] for row in rows if row["media_type"] == DOCX}
    if selection.only is not None:
        documents &= selection.only
    if not documents:
        return {}
    pages = read_vouched(lake, "pages", ("document_id", "language"), days=[day], documents=documents).to_pylist()
    return {page["document_id"]: page["language"] for page in pages if page["language"] not in _STAY}


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(documents)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _translated(
    raw: ObjectStore, engine: WordDocumentTranslation, languages: dict[str, str], document_id: str
) -> _Outcome:
    with collecting() as costs:
        try:
            result: Any = engine.translate(read_raw(raw, document_id), languages[document_id])
        except (DocumentError, RunStopError) as error:
            result = error
    return _Outcome(document_id, result, costs)


def _record(lake: Lake, day: dt.date, outcomes: Sequence[_Outcome], report: WordDocumentsReport, run_id: str) -> None:
    common = {"ingest_date": day, "stage": NAME, "run_id": run_id, "processed_at": dt.datetime.now(dt.UTC)}
    costs = [(outcome.document_id, cost) for outcome in outcomes for cost in outcome.costs]
    rows = [{"document_id": document_id, **asdict(cost), **common} for document_id, cost in costs]
    lake.write("costs", pa.Table.from_pylist(rows, TABLES["costs"].schema))
    report.dollars += sum(cost.dollars for _, cost in costs)
    report.saved_dollars += sum(cost.saved_dollars for _, cost in costs)


def _write(store: ObjectStore, outcome: _Outcome, report: WordDocumentsReport) -> RunStopError | None:
    """Write a document, or count why there is none; the error that is to stop the run, if it is one."""
    match outcome.result:
        case bytes() as data:
            store.delete(key_of(outcome.document_id))  # done again by force
            store.put(key_of(outcome.document_id), data)
            report.written += 1
        case DocumentError() as error:
            report.failed[error.reason.value] += 1
        case stop:
            return stop
    return None
