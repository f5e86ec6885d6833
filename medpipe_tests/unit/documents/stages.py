"""A stage for tests: extraction by a fake engine, over documents that only the ledger knows."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from medpipe_assets.documents.pool import Place, PoolSettings
from medpipe_assets.documents.stage import ChunkSettings, Output, Stage, StageReport, Task, run_stage
from medpipe_assets.errors import DocumentError
from medpipe_assets.lake.lake import Lake
from medpipe_tests.unit.lake.builders import DAY, put, receive, verdict_row

NAME = "extracted_text"
TABLES = ("pages", "words", "stage_status", "stage_versions", "quarantine")
HERE = PoolSettings(workers=0)


def output(text: str, words: int = 2, failures: tuple[DocumentError, ...] = ()) -> Output:
    """One page and its words; values are made up."""
    page: dict[str, Any] = {
        "page": 1, "width": 1.0, "height": 1.0, "rotation": 0, "method": "ocr", "language": "en", "text": text,
        "mean_confidence": None,
    }  # fmt: skip
    word: dict[str, Any] = {
        "page": 1, "text": text, "confidence": None, "x0": None, "y0": None, "x1": None, "y1": None,
        "text_begin": 0, "text_end": 1,
    }  # fmt: skip
    pages = {name: [value] for name, value in page.items()}
    listed = {name: [value] * words for name, value in word.items()}
    return Output({"pages": pages, "words": {**listed, "word_index": list(range(words))}}, failures)


@dataclass
class Fake:
    """An engine: what it gives for some documents (an Output or an exception), and what it was asked."""

    gives: dict[str, Output | BaseException] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, task: Task) -> Output:
        self.asked.append(task.document_id)
        given = self.gives.get(task.document_id, output(f"text of {task.document_id[:8]}"))
        if isinstance(given, BaseException):
            raise given
        return given


def no_rules(tables: Mapping[str, pa.Table]) -> Mapping[str, Collection[str]]:
    return {}


def stage(
    process: Callable[[Task], Output],
    version: str = "1",
    check: Callable[[Mapping[str, pa.Table]], Mapping[str, Collection[str]]] = no_rules,
    place: Place = Place.HERE,
) -> Stage:
    return Stage(NAME, version, {"raw_documents": ("media_type",)}, process, place, check)


def run(
    lake: Lake, process: Callable[[Task], Output], version: str = "1", chunk: int = 500, **more: Any
) -> StageReport:
    """Run the stage over DAY."""
    given = {name: more.pop(name) for name in ("check", "place") if name in more}
    settings = {"run_id": "run", "pool": HERE, "chunks": ChunkSettings(documents=chunk), **more}
    return run_stage(lake, stage(process, version, **given), DAY, **settings)


def prepare(lake: Lake, documents: Collection[str], **more: Any) -> None:
    """Documents that the stage before has done."""
    receive(lake, documents)
    put(lake, "raw_documents", *({"document_id": d} for d in documents))
    put(lake, "stage_status", *(verdict_row(d, **more) for d in documents))
