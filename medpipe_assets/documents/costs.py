"""What documents would cost on AWS, counted here without a paid call; and what was paid, from the table `costs`.

Prices are in aws/prices.tsv; which calls a document needs is in aws/estimate.py.
"""

import datetime as dt
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.estimate import DocumentFacts
from medpipe_assets.aws.metering import BudgetReachedError, collecting
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.archive import members
from medpipe_assets.extraction.media_type import PDF, SUPPORTED, ZIP, sniff
from medpipe_assets.extraction.scans import DIGITAL
from medpipe_assets.extraction.stage import page_columns
from medpipe_assets.extraction.textract import TextractExtraction
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import read_vouched

OCR = "ocr"
"""The method of pages that had no text of their own, in the table `pages`."""

_BUDGET = re.compile(r"\d+\.\d\d".join(map(re.escape, str(BudgetReachedError(0.0)).split("0.00"))))


def tells_budget_reached(message: str) -> bool:
    """Whether a run's error message is that of a budget that is used up: of errors, a run's events keep the message."""
    return _BUDGET.search(message) is not None


# --- before a run -----------------------------------------------------------------------------------------------------


@dataclass
class Counted:
    """What was found in the input: the facts of each document that can be read, and why others cannot.

    Attributes:
        repeated: documents whose bytes came before: they are processed once.
    """

    facts: list[DocumentFacts] = field(default_factory=list)
    repeated: int = 0
    unreadable: Counter[Reason] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Counts by name."""
        characters: Counter[str] = Counter()
        for facts in self.facts:
            characters.update(facts.characters)
        return {
            "documents": len(self.facts),
            "repeated_documents": self.repeated,
            "unreadable_documents": {reason.value: count for reason, count in sorted(self.unreadable.items())},
            "digital_pages": sum(facts.digital_pages for facts in self.facts),
            "scanned_pages": sum(facts.scanned_pages for facts in self.facts),
            "characters": dict(characters.most_common()),
        }


class _Rehearsal:
    """Stands in for PaidCalls: counts the pages that would be sent, and answers with empty ones."""

    def __init__(self) -> None:
        self.pages = 0

    def call(self, *_: Any, units: float, **__: Any) -> dict[str, Any]:
        self.pages += int(units)
        return {"Blocks": [{"BlockType": "PAGE", "Id": "page"}]}


def facts_of(data: bytes) -> DocumentFacts:
    """What is known of a document without OCR: pages as they would be routed, and the text of those that have one.

    Raises:
        DocumentError: where it would go into quarantine.
    """
    media_type = sniff(data)
    if media_type not in SUPPORTED:
        raise DocumentError(Reason.UNSUPPORTED_TYPE, media_type)
    rehearsal = _Rehearsal()
    with collecting() as saved:
        pages = TextractExtraction(cast(PaidCalls, rehearsal)).extract(data, media_type).pages
    columns = page_columns(pages)
    characters: Counter[str] = Counter()
    for language, text in zip(columns["language"], columns["text"], strict=True):
        characters[language] += len(text)
    digital = sum(cost.reason_saved == DIGITAL for cost in saved)
    with_text = sum(map(bool, columns["text"])) + rehearsal.pages
    return DocumentFacts(digital, rehearsal.pages, dict(+characters), rehearsal.pages, max(1, with_text))


def count(uris: Iterable[str], fetch: Callable[[str], bytes]) -> Counted:
    """Count what is at URIs, members of ZIPs among it, each document once."""
    counted, known = Counted(), set[bytes]()
    for uri in uris:
        for data in _documents(fetch, uri):
            if isinstance(data, DocumentError):
                counted.unreadable[data.reason] += 1
            elif (digest := hashlib.sha256(data).digest()) in known:
                counted.repeated += 1
            else:
                known.add(digest)
                _add(counted, data)
    return counted


def _add(counted: Counted, data: bytes) -> None:
    try:
        counted.facts.append(facts_of(data))
    except DocumentError as error:
        counted.unreadable[error.reason] += 1


def _documents(fetch: Callable[[str], bytes], uri: str) -> Iterator[bytes | DocumentError]:
    try:
        data = fetch(uri)
        if _is_zip(data):
            yield from (member for _, member in members(data))
        else:
            yield data
    except DocumentError as error:
        yield error


def _is_zip(data: bytes) -> bool:
    try:
        return sniff(data) == ZIP
    except DocumentError:  # facts_of says what is wrong with it
        return False


def count_in_lake(lake: Lake, days: Collection[dt.date] | None = None) -> Counted:
    """Count documents that are in the lake, whose pages have been read: for a backfill, of these days or of all."""
    rows = read_vouched(lake, "pages", ("document_id", "language", "method", "text"), days=days).to_pylist()
    known = read_vouched(lake, "raw_documents", ("document_id", "media_type"), days=days).to_pylist()
    pdfs = {row["document_id"] for row in known if row["media_type"] == PDF}
    facts: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for row in rows:
        pages, characters = facts.setdefault(row["document_id"], (Counter(), Counter()))
        if row["method"] == OCR or row["document_id"] in pdfs:  # of other formats there is nothing to send
            pages["scanned" if row["method"] == OCR else "digital"] += 1
        pages["with text"] += bool(row["text"])
        characters[row["language"]] += len(row["text"])
    return Counted(
        [
            DocumentFacts(pages["digital"], pages["scanned"], dict(+texts), pages=max(1, pages["with text"]))
            for pages, texts in facts.values()
        ]
    )


# --- after it ---------------------------------------------------------------------------------------------------------


def report(lake: Lake, day: dt.date | None = None) -> list[dict[str, Any]]:
    """Units and dollars, paid and saved, by day of receipt, stage, operation and reason saved, in that order."""
    names = ["ingest_date", "stage", "service", "operation", "unit", "reason_saved"]
    measures = ["units", "dollars", "saved_dollars"]
    rows = lake.read("costs", (*names, *measures), days=[day] if day else None)
    summed = rows.group_by(names).aggregate([(measure, "sum") for measure in measures])
    columns = [*names, *(f"{measure}_sum" for measure in measures)]
    table = summed.select(columns).rename_columns([*names, *measures])
    return list(table.sort_by([(name, "ascending") for name in names]).to_pylist())


def lines_of(costs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Estimated or reported costs as a table of text, at most 100 characters wide, with a total below."""
    heads = ("dollars", "saved", "stage", "operation", "units")
    rows = [
        (
            f"{cost['dollars']:.4f}",
            f"{cost['saved_dollars']:.4f}",
            f"{cost['ingest_date']} {cost['stage']}" if "ingest_date" in cost else cost["stage"],
            f"{cost['operation']} ({cost['reason_saved']})" if cost["reason_saved"] else cost["operation"],
            f"{cost['units']:,.0f} x {cost['unit']}",
        )
        for cost in costs
    ]
    dollars, saved = (sum(cost[name] for cost in costs) for name in ("dollars", "saved_dollars"))
    total = (f"{dollars:.4f}", f"{saved:.4f}", "in all", "", "")
    columns = list(zip(heads, *rows, total, strict=True))
    widths = [max(map(len, column)) for column in columns]
    aligned = [[text.rjust(w) if i < 2 else text.ljust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))]
               for row in (heads, *rows, total)]  # fmt: skip
    return ["  ".join(row).rstrip() for row in aligned]


def spent(lake: Lake, runs: Collection[str]) -> float:
    """Dollars that some runs have paid."""
    rows: list[Mapping[str, Any]] = lake.read("costs", ("run_id", "dollars")).to_pylist()
    return float(sum(row["dollars"] for row in rows if row["run_id"] in runs))
