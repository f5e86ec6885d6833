"""What a person or a program is told of documents: summaries of a batch, one document's story, as plain data.

Read from the lake's tables alone. Printing is the command line's business.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

from medpipe_assets.documents.intake import MEMBER_SEPARATOR, documents_of
from medpipe_assets.inbox.engine import source_id
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import first_days, read_vouched, verdicts
from medpipe_assets.lake.quarantine import open_failures
from medpipe_assets.lake.schemas import STAGES

Row = dict[str, Any]


def batch(lake: Lake, uris: Collection[str]) -> dict[str, Any]:
    """What became of the documents of some sources.

    Returns:
        `documents`: a row each (those of document_summary, `sources`: its URIs, `codes_ranked`: (code, probability,
        accepted) best first); `quarantined`: rows with document_id, source_id, stage, page, reason, detail, uri.
    """
    held = documents_of(lake, uris)
    firsts = first_days(lake)
    days = sorted({firsts[d] for d in held})
    summaries = {
        row["document_id"]: row for row in lake.read("document_summary", days=days, documents=held).to_pylist()
    }
    codes = _ranked_codes(lake, days, held)
    documents = [
        {**summaries[d], "sources": sources, "codes_ranked": codes.get(d, [])}
        for d, sources in sorted(held.items(), key=lambda item: item[1])
        if d in summaries
    ]
    return {"documents": documents, "quarantined": _quarantined(lake, held, uris)}


def _ranked_codes(
    lake: Lake, days: Collection[dt.date], documents: Collection[str]
) -> dict[str, list[tuple[Any, ...]]]:
    columns = ("document_id", "rank", "code", "probability", "accepted", "asserted")
    rows = read_vouched(lake, "document_codes", columns, days=days, documents=documents)
    ranked: dict[str, list[tuple[Any, ...]]] = {}
    for row in sorted(rows.to_pylist(), key=lambda r: (r["document_id"], r["rank"])):
        if row["asserted"]:
            ranked.setdefault(row["document_id"], []).append((row["code"], row["probability"], row["accepted"]))
    return ranked


def _quarantined(lake: Lake, held: Mapping[str, list[str]], uris: Collection[str]) -> list[Row]:
    names = {source_id(uri): uri for uri in uris} | {source_id(uri): uri for found in held.values() for uri in found}
    sources = lake.read("document_sources", ("source_id", "uri", "document_id"))
    for identity, uri, document_id in zip(*(sources[c].to_pylist() for c in sources.column_names), strict=True):
        if document_id is None and uri.split(MEMBER_SEPARATOR)[0] in uris:
            names[identity] = uri
    fields = ("document_id", "source_id", "stage", "page", "reason", "detail")
    return [
        {**{name: row[name] for name in fields}, "uri": names[row["source_id"]]}
        for row in sorted(open_failures(lake), key=lambda r: (r["first_failed_at"], r["source_id"], r["page"] or 0))
        if row["source_id"] in names and (row["document_id"] is None or row["document_id"] in held)
    ]


def find_documents(lake: Lake, wanted: str) -> list[str]:
    """Ids of documents that a person may mean: by the beginning of the id, or by the URI of a source."""
    rows = lake.read("document_sources", ("document_id", "uri"))
    found = set()
    for document_id, uri in zip(rows["document_id"].to_pylist(), rows["uri"].to_pylist(), strict=True):
        if document_id is not None and (document_id.startswith(wanted.lower()) or uri == wanted):
            found.add(document_id)
    return sorted(found)


def story(lake: Lake, document_id: str) -> dict[str, Any]:
    """All that is known of one document: where it came from, each stage's verdict, pages, entities, codes, failures."""
    day = first_days(lake)[document_id]
    only = {"days": [day], "documents": [document_id]}
    sources = lake.read("document_sources", documents=[document_id]).to_pylist()
    found = {stage: verdicts(lake, stage, [day], [document_id]).get(document_id) for stage in STAGES}
    failures = [row for row in lake.read("quarantine", **only).to_pylist()]  # type: ignore[arg-type]

    def rows(table: str) -> list[Row]:
        return read_vouched(lake, table, **only).to_pylist()  # type: ignore[arg-type,no-any-return]

    codes_of: dict[str, list[Row]] = {}
    for mapping in sorted(rows("icd10_mappings"), key=lambda r: r["rank"]):
        codes_of.setdefault(mapping["entity_id"], []).append(mapping)
    entities = sorted(rows("entities"), key=lambda r: [(s["page"], s["begin"]) for s in r["source_spans"]])
    return {
        "document_id": document_id,
        "ingest_date": day,
        "sources": sources,
        "stages": found,
        "raw": next(iter(rows("raw_documents")), None),
        "pages": sorted(rows("pages"), key=lambda r: r["page"]),
        "words": len(rows("words")),
        "segments": sorted(rows("segments"), key=lambda r: (r["page"], r["segment_index"])),
        "entities": [{**entity, "codes": codes_of.get(entity["entity_id"], [])} for entity in entities],
        "codes": sorted(rows("document_codes"), key=lambda r: r["rank"]),
        "failures": failures,
    }
