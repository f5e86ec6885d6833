"""Every table of the lake: its zone, what one row is, its columns with types, units and meaning.

This module is the contract between stages. The Iceberg tables, the checks, the asset metadata and
docs/data_dictionary.md are all made from it; nothing else states a column. No reading or writing happens here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """A column: Arrow type, meaning (shown in the UI and the data dictionary), and whether a value may be missing.

    `phi` marks columns that can hold patient data: previews, logs and metadata leave them out.
    """

    name: str
    type: pa.DataType
    description: str
    nullable: bool = False
    phi: bool = False


@dataclass(frozen=True)
class TableContract:
    """A table: its name, zone ('raw', 'preprocessed', 'parquet' or 'staging'), columns and partition columns.

    `stage` names the stage whose ledger rows vouch for this table's rows; None where rows stand by themselves.
    """

    name: str
    zone: str
    row: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ("ingest_date",)
    stage: str | None = None

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, descriptions kept as field metadata under `description`."""
        return pa.schema(
            [
                pa.field(c.name, c.type, nullable=c.nullable, metadata={"description": c.description})
                for c in self.columns
            ]
        )


TIMESTAMP = pa.timestamp("us", tz="UTC")
SPAN = pa.struct([("page", pa.int32()), ("begin", pa.int32()), ("end", pa.int32())])
TARGET_SPAN = pa.struct(
    [("page", pa.int32()), ("segment_index", pa.int32()), ("begin", pa.int32()), ("end", pa.int32())]
)
TRAIT = pa.struct([("name", pa.string()), ("score", pa.float32())])
ATTRIBUTE = pa.struct(
    [
        ("type", pa.string()),
        ("category", pa.string()),
        ("text", pa.string()),
        ("score", pa.float32()),
        ("relationship_score", pa.float32()),
        ("relationship_type", pa.string()),
        ("source_spans", pa.list_(SPAN)),
        ("traits", pa.list_(TRAIT)),
    ]
)
ALIGNMENT = pa.struct(
    [
        ("source_begin", pa.int32()),
        ("source_end", pa.int32()),
        ("target_begin", pa.int32()),
        ("target_end", pa.int32()),
    ]
)

DOCUMENT_ID = Column("document_id", pa.string(), "SHA-256 of the document's bytes, hex")
INGEST_DATE = Column("ingest_date", pa.date32(), "UTC day on which the document was first received; never changes")
RUN = (
    Column("run_id", pa.string(), "Dagster run that wrote the row"),
    Column("processed_at", TIMESTAMP, "when the row was written (UTC); the same for all rows of a chunk"),
)
COMMON = (
    DOCUMENT_ID,
    INGEST_DATE,
    Column("stage_version", pa.string(), "engine name and a hash; stage_versions says what it stands for"),
    Column("input_version", pa.string(), "hash of the chain of stages before this one"),
    *RUN,
)

DOCUMENT_SOURCES = TableContract(
    "document_sources",
    "parquet",
    "a version of a source seen; append-only, the latest row of a source is its current document",
    (
        Column("source_id", pa.string(), "SHA-256 of the source's URI, hex, first 32 digits"),
        Column("document_id", pa.string(), "the document found there; null for a ZIP container", nullable=True),
        Column("ingest_date", pa.date32(), "UTC day on which this version of the source was received"),
        Column("uri", pa.string(), "where it came from; a ZIP member is zip-uri!/member", phi=True),
        Column("version", pa.string(), "what the store says of the version: size and change time, or an ETag"),
        Column("received_at", TIMESTAMP, "when it was received (UTC)"),
        Column("sequence", pa.int64(), "order of receipt; the highest of a source is its latest"),
        Column("deleted", pa.bool_(), "true where the source was seen to be gone"),
        *RUN,
    ),
)

RAW_DOCUMENTS = TableContract(
    "raw_documents",
    "parquet",
    "a document",
    (
        *COMMON,
        Column("media_type", pa.string(), "IANA media type, found from the content, not the name"),
        Column("size_bytes", pa.int64(), "length in bytes"),
        Column("page_count", pa.int32(), "1 where the format has one page; else null: see pages", nullable=True),
        Column("raw_key", pa.string(), "key of the bytes in the raw zone"),
    ),
    stage="raw_documents",
)

STAGE_STATUS = TableContract(
    "stage_status",
    "parquet",
    "a verdict of a stage on a document: the ledger",
    (
        *COMMON,
        Column("stage", pa.string(), "the stage that speaks"),
        Column("outcome", pa.string(), "'done' or 'quarantined'"),
        Column("reason", pa.string(), "why quarantined, from the closed list; null when done", nullable=True),
        Column("row_count", pa.int64(), "rows vouched for, over all tables of the stage"),
        Column("fence", pa.int64(), "number of the lease under which it was written; the highest is in force"),
    ),
    partition_by=("stage", "ingest_date"),
)

PAGES = TableContract(
    "pages",
    "preprocessed",
    "a page",
    (
        *COMMON,
        Column("page", pa.int32(), "page number, from 1"),
        Column("width", pa.float32(), "of the upright page; points for PDF, pixels for images, 0 without layout"),
        Column("height", pa.float32(), "as width"),
        Column("rotation", pa.int32(), "degrees clockwise that the page was turned to be upright"),
        Column("method", pa.string(), "'text_layer' or 'ocr'"),
        Column("language", pa.string(), "ISO 639-1 code; 'und' where there is too little text to tell"),
        Column("text", pa.string(), "the page's text in reading order", phi=True),
        Column("mean_confidence", pa.float32(), "mean word confidence, 0 to 1; null for text layers", nullable=True),
    ),
    stage="extracted_text",
)

WORDS = TableContract(
    "words",
    "preprocessed",
    "a word on a page",
    (
        *COMMON,
        Column("page", pa.int32(), "page number, from 1"),
        Column("word_index", pa.int32(), "position in reading order, from 0"),
        Column("text", pa.string(), "the word", phi=True),
        Column("confidence", pa.float32(), "0 to 1; null for text layers", nullable=True),
        Column("x0", pa.float32(), "left edge as a fraction of the page width; null without layout", nullable=True),
        Column("y0", pa.float32(), "top edge as a fraction of the page height; null without layout", nullable=True),
        Column("x1", pa.float32(), "right edge, as x0", nullable=True),
        Column("y1", pa.float32(), "bottom edge, as y0", nullable=True),
        Column("text_begin", pa.int32(), "offset of the word in pages.text, in code points"),
        Column("text_end", pa.int32(), "end offset, exclusive"),
    ),
    stage="extracted_text",
)

SEGMENTS = TableContract(
    "segments",
    "preprocessed",
    "a translation unit: a sentence or a line",
    (
        *COMMON,
        Column("page", pa.int32(), "page number, from 1"),
        Column("segment_index", pa.int32(), "position on the page, from 0"),
        Column("language", pa.string(), "ISO 639-1 code of the source text"),
        Column("source_begin", pa.int32(), "offset of the segment in pages.text, in code points"),
        Column("source_end", pa.int32(), "end offset, exclusive"),
        Column("source_text", pa.string(), "the slice of pages.text", phi=True),
        Column("target_text", pa.string(), "the English", phi=True),
        Column(
            "alignment",
            pa.list_(ALIGNMENT),
            "word alignment, offsets within source_text and target_text; empty where the engine gives none",
            nullable=True,
        ),
        Column("quality", pa.string(), "'source' (already English), 'machine' or 'gist'"),
    ),
    stage="translated_text",
)

ENTITIES = TableContract(
    "entities",
    "parquet",
    "a mention of a clinical entity",
    (
        *COMMON,
        Column("entity_id", pa.string(), "hash of document, spans, category and type; stable over runs and versions"),
        Column("category", pa.string(), "as in Comprehend Medical: MEDICAL_CONDITION, MEDICATION, ..."),
        Column("type", pa.string(), "as in Comprehend Medical: DX_NAME, GENERIC_NAME, ..."),
        Column("text", pa.string(), "the words, parts of a discontinuous mention joined by a space", phi=True),
        Column("language", pa.string(), "ISO 639-1 code of the text that was read"),
        Column("source_spans", pa.list_(SPAN), "where it is in pages.text"),
        Column("target_spans", pa.list_(TARGET_SPAN), "where it is in segments.target_text"),
        Column("projection", pa.string(), "how the other side's spans were found: 'word', 'segment' or 'none'"),
        Column("score", pa.float32(), "the engine's confidence, 0 to 1"),
        Column("traits", pa.list_(TRAIT), "negation, history, family, hypothetical, ... with scores"),
        Column("attributes", pa.list_(ATTRIBUTE), "dose, route, site, value, ... that qualify the mention", phi=True),
    ),
    stage="entities",
)

ICD10_MAPPINGS = TableContract(
    "icd10_mappings",
    "parquet",
    "a candidate code of a mention",
    (
        *COMMON,
        Column("entity_id", pa.string(), "the mention, in entities"),
        Column("rank", pa.int32(), "from 1, best first"),
        Column("code_system", pa.string(), "'ICD-10-CM'"),
        Column("code", pa.string(), "the code, with its dot"),
        Column("description", pa.string(), "the code set's title of the code"),
        Column("score", pa.float32(), "probability that the code is right, 0 to 1; calibrated where method says so"),
        Column("billable", pa.bool_(), "whether the code is a leaf of the code set version"),
        Column("category", pa.string(), "three-character category"),
        Column("rolled_up_from", pa.string(), "more specific code it replaces; null for most", nullable=True),
        Column("flags", pa.list_(pa.string()), "validity findings, a closed list: see Flags of codes below"),
        Column("method", pa.string(), "how it was found"),
        Column("code_set_version", pa.string(), "release it was judged against: that in force on the day of service"),
        Column("asserted", pa.bool_(), "not negated, not of the family, not hypothetical"),
        Column("review", pa.bool_(), "whether a person should look before use"),
    ),
    stage="icd10_mappings",
)

DOCUMENT_CODES = TableContract(
    "document_codes",
    "parquet",
    "a ranked code of a document",
    (
        *COMMON,
        Column("code_system", pa.string(), "'ICD-10-CM'"),
        Column("code", pa.string(), "the code, with its dot"),
        Column("rank", pa.int32(), "from 1, best first"),
        Column("probability", pa.float32(), "probability that the document bears the code, 0 to 1"),
        Column("accepted", pa.bool_(), "whether the probability is above the acceptance threshold"),
        Column("asserted", pa.bool_(), "whether any supporting mention is asserted"),
        Column("mentions", pa.int32(), "number of supporting mentions"),
    ),
    stage="icd10_mappings",
)

QUARANTINE = TableContract(
    "quarantine",
    "parquet",
    "a failure of a document, a page or a source at a stage",
    (
        Column("source_id", pa.string(), "the source, or one of the sources, of the document"),
        Column("document_id", pa.string(), "null where the bytes could not be read", nullable=True),
        Column("ingest_date", pa.date32(), "the document's day; the day of the attempt where there is no document"),
        Column("stage", pa.string(), "the stage that failed"),
        Column("page", pa.int32(), "the page that failed; null for the whole document", nullable=True),
        Column("reason", pa.string(), "from the closed list of reasons"),
        Column("detail", pa.string(), "limit, library or error class; never document text"),
        Column("attempts", pa.int32(), "how often it was tried"),
        Column("first_failed_at", TIMESTAMP, "first failure (UTC)"),
        Column("last_failed_at", TIMESTAMP, "latest failure (UTC)"),
        Column("resolved_at", TIMESTAMP, "when a later attempt succeeded (UTC); null while open", nullable=True),
        Column("run_id", pa.string(), "Dagster run of the latest attempt"),
    ),
)

COSTS = TableContract(
    "costs",
    "parquet",
    "a paid call, or one that was saved",
    (
        Column(
            "document_id", pa.string(), "SHA-256 of the document's bytes, hex; empty for a call for none, a query's"
        ),
        INGEST_DATE,
        Column("stage", pa.string(), "the stage, or the consumer table, that called"),
        Column("service", pa.string(), "e.g. 'textract'"),
        Column("operation", pa.string(), "e.g. 'DetectDocumentText'"),
        Column("units", pa.float64(), "billable units"),
        Column("unit", pa.string(), "e.g. 'page'"),
        Column("dollars", pa.float64(), "price paid, USD"),
        Column("saved_dollars", pa.float64(), "price not paid, USD"),
        Column("reason_saved", pa.string(), "why it was not paid", nullable=True),
        *RUN,
    ),
)

DIAGNOSES = TableContract(
    "diagnoses",
    "staging",
    "a document and an asserted code, for current documents",
    (
        DOCUMENT_ID,
        INGEST_DATE,
        Column("code_system", pa.string(), "'ICD-10-CM'"),
        Column("code", pa.string(), "the code, with its dot"),
        Column("description", pa.string(), "the code set's title of the code"),
        Column("probability", pa.float32(), "best probability over the document, 0 to 1"),
        Column("accepted", pa.bool_(), "whether the probability is above the acceptance threshold"),
        Column("billable", pa.bool_(), "whether the code is a leaf of the code set version"),
        Column("review", pa.bool_(), "whether a person should look before use"),
        Column("mentions", pa.int32(), "number of asserted mentions"),
        Column("evidence_entity_id", pa.string(), "first supporting mention, in entities"),
        Column("evidence_text", pa.string(), "its words", phi=True),
        Column("evidence_page", pa.int32(), "its page"),
        Column("evidence_begin", pa.int32(), "its offset in pages.text"),
        Column("evidence_end", pa.int32(), "its end offset, exclusive"),
        Column("code_set_version", pa.string(), "release of the code set it was judged against"),
    ),
)

DOCUMENT_SUMMARY = TableContract(
    "document_summary",
    "staging",
    "a current document",
    (
        DOCUMENT_ID,
        INGEST_DATE,
        Column("media_type", pa.string(), "IANA media type; null where it is not supported", nullable=True),
        Column("languages", pa.string(), "languages of its pages, commonest first, joined by '+'", nullable=True),
        Column("pages", pa.int32(), "number of pages"),
        Column("ocr_pages", pa.int32(), "pages read by OCR"),
        Column("words", pa.int32(), "number of words"),
        Column("entities", pa.int32(), "number of mentions"),
        Column("codes", pa.int32(), "number of asserted codes"),
        Column("top_codes", pa.string(), "up to three best asserted codes, joined by ', '", nullable=True),
        Column("status", pa.string(), "'coded', 'no codes', 'quarantined' or 'pending'"),
        Column("quarantined_at", pa.string(), "stage that quarantined it", nullable=True),
        Column("reason", pa.string(), "why, from the closed list", nullable=True),
    ),
)

STAGE_VERSIONS = TableContract(
    "stage_versions",
    "parquet",
    "a version of a stage that was ever used",
    (
        Column("stage", pa.string(), "the stage"),
        Column("stage_version", pa.string(), "as in the stage's rows"),
        Column("description", pa.string(), "engine, versions of its libraries and data, settings, code version"),
        *RUN,
    ),
    partition_by=("stage",),
)

DATASET = Column("dataset", pa.string(), "name of the dataset")
LOAD_DATE = Column("load_date", pa.date32(), "UTC day of the load")
FILE_ID = Column("file_id", pa.string(), "SHA-256 of the file's bytes, hex")

DATASET_FILES = TableContract(
    "dataset_files",
    "parquet",
    "a version of a file received for a dataset",
    (
        DATASET,
        LOAD_DATE,
        FILE_ID,
        Column("uri", pa.string(), "where it came from", phi=True),
        Column("version", pa.string(), "what the place says of the version: size and change time, or an ETag"),
        Column("size_bytes", pa.int64(), "length in bytes"),
        Column("sequence", pa.int64(), "order of receipt within the dataset, from 1"),
        Column("received_at", TIMESTAMP, "when it was received (UTC)"),
        Column("raw_key", pa.string(), "key of the bytes in the raw zone"),
        *RUN,
    ),
    partition_by=("dataset",),
)

DATASET_FLATTENED = TableContract(
    "dataset_flattened",
    "parquet",
    "a file made into flat records by a version of contract and code",
    (
        DATASET,
        LOAD_DATE,
        FILE_ID,
        Column("flatten_version", pa.string(), "hash of what the contract says of the source, and the code version"),
        Column("path", pa.string(), "key of the records in the preprocessed zone: Parquet, or NDJSON where nested"),
        Column("format", pa.string(), "'csv' or 'json'"),
        Column("encoding", pa.string(), "of the text, found by evidence"),
        Column("delimiter", pa.string(), "of CSV", nullable=True),
        Column("layout", pa.string(), "the contract's layout that it has", nullable=True),
        Column("records", pa.int64(), "records found, blank ones and repeated headers included"),
        Column("rows", pa.int64(), "records that went on"),
        Column("rejected", pa.int64(), "records that could not be read, see dataset_rejects"),
        Column("columns", pa.string(), "JSON: the file's own columns with inferred type and the field each became"),
        Column("absent", pa.string(), "fields that it does not have, separated by spaces"),
        *RUN,
    ),
    partition_by=("dataset",),
)

DATASET_REJECTS = TableContract(
    "dataset_rejects",
    "parquet",
    "a record that was not loaded",
    (
        DATASET,
        LOAD_DATE,
        FILE_ID,
        Column("stage", pa.string(), "'flattened' or 'loaded'"),
        Column("row_number", pa.int64(), "record's number in the file, from 1"),
        Column("column", pa.string(), "the column that is wrong; null where it is the whole record", nullable=True),
        Column("reason", pa.string(), "why: malformed, blank, repeated_header, missing, invalid, or a rule's name"),
        Column("record", pa.string(), "the record as it was read, JSON or a line of text", nullable=True, phi=True),
        *RUN,
    ),
    partition_by=("dataset", "load_date"),
)

DATASET_LOADS = TableContract(
    "dataset_loads",
    "parquet",
    "a published load: a day's files of a dataset",
    (
        DATASET,
        LOAD_DATE,
        Column("load_version", pa.string(), "hash of the files, the contract and the code"),
        Column("files", pa.int64(), "files of the day"),
        Column("rows_in", pa.int64(), "records found in them"),
        Column("rows_out", pa.int64(), "rows of them that stand in the table"),
        Column("rows_rejected", pa.int64(), "records rejected, here and when they were flattened"),
        Column("rejected_by_reason", pa.string(), "JSON: reason -> records"),
        Column("duplicates", pa.int64(), "records that lost against another of the same key, here or in the table"),
        Column("rows_replaced", pa.int64(), "rows of the table that were superseded or removed"),
        Column("nulled", pa.int64(), "values that did not fit and were made null, as the contract allows"),
        Column("partitions", pa.string(), "partitions written, separated by spaces; '*' where the table has none"),
        Column("snapshot_id", pa.int64(), "Iceberg snapshot that was published", nullable=True),
        *RUN,
    ),
    partition_by=("dataset",),
)

TABLES: Mapping[str, TableContract] = {
    contract.name: contract
    for contract in (
        DOCUMENT_SOURCES,
        RAW_DOCUMENTS,
        STAGE_STATUS,
        PAGES,
        WORDS,
        SEGMENTS,
        ENTITIES,
        ICD10_MAPPINGS,
        DOCUMENT_CODES,
        STAGE_VERSIONS,
        QUARANTINE,
        COSTS,
        DIAGNOSES,
        DOCUMENT_SUMMARY,
        DATASET_FILES,
        DATASET_FLATTENED,
        DATASET_REJECTS,
        DATASET_LOADS,
    )
}

STAGES = ("raw_documents", "extracted_text", "translated_text", "entities", "icd10_mappings")
"""The stages of the document line, in order: each reads what the one before it wrote."""


def tables_of(stage: str) -> tuple[TableContract, ...]:
    """The tables a stage writes."""
    return tuple(c for c in TABLES.values() if c.stage == stage)
