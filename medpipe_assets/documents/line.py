"""The document line: which stage reads which tables, by which engine, under which version, and what must hold after.

This is the one place where engines meet tables. Stages are data made from the four engines; `stage.run_stage` runs
any of them.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from medpipe_assets.aws.batch_jobs import Batches, Rehearsal
from medpipe_assets.aws.metering import collecting
from medpipe_assets.coding import icd10cm
from medpipe_assets.coding.engine import CodableMention, CodableText, CodingEngine
from medpipe_assets.coding.stage import CODED_CATEGORIES, code_document, is_asserted
from medpipe_assets.documents import checks
from medpipe_assets.documents.checks import Rule, Tables
from medpipe_assets.documents.pool import Place
from medpipe_assets.documents.stage import Columns, Output, Rows, Stage, Task
from medpipe_assets.errors import DocumentError, Reason, RunStopError
from medpipe_assets.extraction.engine import ExtractionEngine
from medpipe_assets.extraction.media_type import ONE_PAGE, SUPPORTED, sniff
from medpipe_assets.extraction.stage import extract_document
from medpipe_assets.lake.lake import raw_key
from medpipe_assets.lake.objects import ObjectStore
from medpipe_assets.recognition.engine import RecognitionEngine
from medpipe_assets.recognition.stage import recognise_document
from medpipe_assets.recognition.texts import WHOLE_PAGE, JoinedText, english_texts, source_texts
from medpipe_assets.translation.engine import TranslationEngine
from medpipe_assets.translation.stage import translate_document
from medpipe_assets.translation.word_documents import WordDocumentTranslation

CODE_VERSIONS: Mapping[str, int] = {
    "raw_documents": 1,
    "extracted_text": 2,
    "translated_text": 1,
    "entities": 1,
    "icd10_mappings": 2,
}
"""Raise a stage's number when its code around the engine would give other rows: its work is then redone."""


@dataclass(frozen=True)
class Engines:
    """The engine of each stage, the batch jobs that may answer ahead what engines ask of services, and what translates
    Word documents as a whole; None: none."""

    extraction: ExtractionEngine
    translation: TranslationEngine
    recognition: RecognitionEngine
    coding: CodingEngine
    batches: Batches | None = None
    word_documents: WordDocumentTranslation | None = None


def _billable(code: str, release: str) -> bool | None:
    entry = icd10cm.lookup(code, release)
    return None if entry is None else entry.billable


RULES: Mapping[str, tuple[Rule, ...]] = {
    "raw_documents": (checks.media_types_are_supported(SUPPORTED),),
    "extracted_text": (
        checks.pages_have_a_language,
        checks.words_match_their_page,
        checks.words_inside_page,
        checks.confidence_in_range,
    ),
    "translated_text": (checks.segments_match_their_page,),
    "entities": (checks.entities_match_their_page, checks.entity_scores_in_range),
    "icd10_mappings": (checks.codes_have_their_entity, checks.codes_are_valid(_billable)),
}
"""The rules a stage's rows must satisfy. A new rule is added here and nowhere else."""

RULE_NAMES: Mapping[str, tuple[str, ...]] = {
    "raw_documents": ("media_types_are_supported",),
    "extracted_text": tuple(rule.__name__ for rule in RULES["extracted_text"]),
    "translated_text": tuple(rule.__name__ for rule in RULES["translated_text"]),
    "entities": tuple(rule.__name__ for rule in RULES["entities"]),
    "icd10_mappings": ("codes_have_their_entity", "codes_are_valid"),
}

READS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "raw_documents": {},
    "extracted_text": {"raw_documents": ("media_type", "raw_key")},
    "translated_text": {"pages": ("page", "language", "text")},
    "entities": {
        "pages": ("page", "language", "text"),
        "segments": (
            "page", "segment_index", "source_begin", "source_end", "source_text", "target_text", "alignment", "quality",
        ),
    },
    "icd10_mappings": {
        "pages": ("page", "language", "text", "ingest_date"),
        "segments": ("page", "segment_index", "target_text"),
        "entities": ("entity_id", "category", "type", "source_spans", "target_spans", "score", "traits"),
    },
}  # fmt: skip
"""The columns that a stage reads of the tables before it."""


def check_rules(stage: str, tables: Tables) -> dict[str, Collection[str]]:
    """Offending document ids of each of a stage's rules."""
    return {name: rule(tables) for name, rule in zip(RULE_NAMES[stage], RULES[stage], strict=True)}


def stages(engines: Engines, raw: ObjectStore) -> dict[str, Stage]:
    """The line's stages, in order.

    Args:
        raw: the raw zone's store.
    """
    e = engines
    asking: Mapping[str, tuple[Any, Callable[[Any, Task], Output]]] = {
        "translated_text": (e.translation, _translate),
        "entities": (e.recognition, _recognise),
        "icd10_mappings": (e.coding, _code),
    }
    processes: Mapping[str, tuple[str, Callable[[Task], Output], Place]] = {
        "raw_documents": ("content", partial(_inspect, raw), Place.HERE),
        "extracted_text": (
            _label(e.extraction),
            partial(_extract, e.extraction, raw),
            _place(e.extraction, Place.PROCESSES),
        ),
        **{name: (_label(engine), partial(ask, engine), _place(engine)) for name, (engine, ask) in asking.items()},
    }
    return {
        name: Stage(
            name=name,
            engine=f"{label} code {CODE_VERSIONS[name]}",
            reads=READS[name],
            process=partial(_metered, process),
            place=place,
            check=partial(check_rules, name),
            prepare=_prepared(e.batches, name, *asking[name]) if name in asking else None,
        )
        for name, (label, process, place) in processes.items()
    }


def _prepared(
    batches: Batches | None, name: str, engine: Any, ask: Callable[[Any, Task], Output]
) -> Callable[[dt.date, Callable[[], Iterator[Task]]], None] | None:
    """What has a stage's calls answered ahead: it goes through its work with a rehearsal in place of its `calls`.

    None without batch jobs, and for engines that call nothing.
    """
    if batches is None or not hasattr(engine, "calls"):
        return None

    def prepare(day: dt.date, tasks: Callable[[], Iterator[Task]]) -> None:
        def rehearse(rehearsal: Rehearsal) -> None:
            rehearsing = replace(engine, calls=rehearsal)
            for task in tasks():
                with suppress(Exception):  # it comes again, and is told of, when the document is processed
                    ask(rehearsing, task)

        batches.prefetch(f"{name}/{day.isoformat()}", rehearse)

    return prepare


def _place(engine: object, otherwise: Place = Place.HERE) -> Place:
    """Engines that wait for a service say so by an attribute `io_bound`, and are called from threads."""
    return Place.THREADS if getattr(engine, "io_bound", False) else otherwise


def _metered(process: Callable[[Task], Output], task: Task) -> Output:
    """A document's output with what its calls cost, also where it failed or the run must stop."""
    with collecting() as costs:
        try:
            output = process(task)
        except DocumentError as error:
            output = Output({}, error=error)
        except RunStopError as stop:
            output = Output({}, stop=stop)
    return replace(output, costs=tuple(asdict(cost) for cost in costs))


def _label(engine: ExtractionEngine | TranslationEngine | RecognitionEngine | CodingEngine) -> str:
    return f"{engine.name} {engine.version}"


def read_raw(raw: ObjectStore, document_id: str) -> bytes:
    """A document's bytes.

    Raises:
        DocumentError: engine_unavailable where the raw zone is out of reach, unreadable where it has not got them.
    """
    try:
        return raw.get(raw_key(document_id))
    except ConnectionError as error:
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, f"raw zone: {error}") from None
    except OSError as error:
        raise DocumentError(Reason.UNREADABLE, f"raw zone: {error.strerror}") from None


def _inspect(raw: ObjectStore, task: Task) -> Output:
    data = read_raw(raw, task.document_id)
    media_type = sniff(data)
    if media_type not in SUPPORTED:
        raise DocumentError(Reason.UNSUPPORTED_TYPE, media_type)
    row: Columns = {
        "media_type": [media_type],
        "size_bytes": [len(data)],
        "page_count": [1 if media_type in ONE_PAGE else None],
        "raw_key": [raw_key(task.document_id)],
    }
    return Output({"raw_documents": row})


def _extract(engine: ExtractionEngine, raw: ObjectStore, task: Task) -> Output:
    (row,) = task.rows["raw_documents"]
    tables, failures = extract_document(engine, read_raw(raw, task.document_id), row["media_type"])
    return Output(tables, failures)


def _translate(engine: TranslationEngine, task: Task) -> Output:
    return Output({"segments": translate_document(engine, task.rows["pages"])})


def _recognise(engine: RecognitionEngine, task: Task) -> Output:
    rows = task.rows
    return Output({"entities": recognise_document(engine, task.document_id, rows["pages"], rows["segments"])})


def _code(engine: CodingEngine, task: Task) -> Output:
    joined = source_texts(task.rows["pages"]) if engine.reads == "source" else english_texts(task.rows["segments"])
    coded = [row for row in task.rows["entities"] if row["category"] in CODED_CATEGORIES]
    mentions = [codable(joined, row, engine.reads) for row in coded]
    texts = [CodableText(text.text, text.language) for text in joined]
    received = max((row["ingest_date"] for row in task.rows["pages"]), default=dt.date.max)
    return Output(code_document(engine, texts, coded, mentions, received))


def codable(texts: list[JoinedText], entity: Mapping[str, Any], reads: str = "source") -> CodableMention:
    """An entity as a coder sees it: its spans within the joined text, of the side that the coder reads, that holds it.

    Raises:
        DocumentError: inconsistent, where its spans lie in texts of two languages.
    """
    spans: Rows = entity["source_spans" if reads == "source" else "target_spans"]
    traits = tuple(trait["name"] for trait in entity["traits"])
    places = [(span["page"], span.get("segment_index", WHOLE_PAGE)) for span in spans]
    for index, text in enumerate(texts):
        begins = {(piece.page, piece.segment_index): piece.begin for piece in text.pieces}
        if all(place in begins for place in places):
            offsets = ((begins[p] + s["begin"], begins[p] + s["end"]) for p, s in zip(places, spans, strict=True))
            return CodableMention(
                text_index=index,
                spans=tuple(offsets),
                category=entity["category"],
                type=entity["type"],
                score=entity["score"],
                traits=traits,
                asserted=is_asserted(traits),
            )
    raise DocumentError(Reason.INCONSISTENT, "an entity lies in texts of two languages")
