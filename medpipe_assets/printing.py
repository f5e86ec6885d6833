"""Tables and stories for a person's own terminal. Nothing here computes; `report` and `running` do."""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medpipe_assets.inbox.engine import source_id
from medpipe_assets.lake.location import ZONES, LakeLocation
from medpipe_assets.running import RunResult
from medpipe_assets.settings import Settings, model_file

if TYPE_CHECKING:
    from medpipe_assets.loading import LoadResult

SHOWN_DOCUMENTS = 40
SHOWN_CODES = 3
PIPE_WIDTH = 160
WITHOUT_APERTIUM = (
    "Apertium is not installed, so the English beside the text is a word-by-word gloss; codes are found in the "
    "document's own language and are the same. `make engines` adds it."
)
WITHOUT_MODEL = (
    "There is no coding model, so mentions and codes come from the lexicon alone. `make model` learns one from a "
    "public corpus, `medpipe model build` from your own."
)
TRAITS_SHOWN = {
    "NEGATION": "negated",
    "FAMILY_HISTORY": "family",
    "HYPOTHETICAL": "hypothetical",
    "PAST_HISTORY": "past",
}


def readable(uri: str) -> str:
    """The file name of a URI, a ZIP's member after its archive."""
    archive, separator, member = uri.partition("!/")
    name = unquote(archive).rpartition("/")[2] + separator + unquote(member)
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def _console() -> Console:
    """The terminal; wide where there is none, since a pipe has no width."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=PIPE_WIDTH)


def print_run(result: RunResult, names: bool) -> None:
    """The result of `medpipe run`.

    Args:
        names: show the names of files; their source ids where not.
    """
    shown = readable if names else source_id
    console = _console()
    if not result.inputs:
        console.print("There is no file in what you gave: nothing to do.")
        return
    console.print(_documents_table(result, shown))
    if len(result.documents) > SHOWN_DOCUMENTS:
        console.print(f"... and {len(result.documents) - SHOWN_DOCUMENTS} more")
    if result.quarantined:
        console.print(_quarantine_table(result.quarantined, shown))
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items() if seconds >= 0.05)
    totals = result.as_json(show_sources=False)
    console.print(
        f"{totals['documents']} documents, {totals['pages']} pages, {totals['words']} words, {totals['entities']} "
        f"entities, {totals['codes']} codes, {len(result.quarantined)} in quarantine; {result.total_seconds:.1f} s"
        + (f" ({stages})" if stages else " (nothing new)"),
        highlight=False,
    )
    if any(row["languages"] not in (None, "en") for row in result.documents) and not which("apertium"):
        console.print(WITHOUT_APERTIUM, highlight=False)
    if not Path(model_file(Settings.load())).exists():
        console.print(WITHOUT_MODEL, highlight=False)
    option = _told_lake(console, result.lake.location)
    console.print(f'  medpipe query{option} "SELECT * FROM diagnoses"', highlight=False)
    if result.documents:
        console.print(f"  medpipe show{option} {result.documents[0]['document_id'][:12]}", highlight=False)


def _told_lake(console: Console, location: LakeLocation) -> str:
    """Say where the lake is; the option that names it: none where only the environment does."""
    root = escape(location.root)
    console.print(f"The lake is {root or ', '.join(map(location.zone, ZONES))}. Next, for example:", highlight=False)
    return f" --lake {root}" if root else ""


def _documents_table(result: RunResult, shown: Callable[[str], str]) -> Table:
    table = Table(title="Documents", title_justify="left", header_style="bold")
    table.add_column("id", no_wrap=True)
    table.add_column("document", overflow="fold", ratio=2)
    table.add_column("language")
    table.add_column("pages", justify="right")
    table.add_column("text by")
    table.add_column("entities", justify="right")
    table.add_column("top codes", ratio=2)
    table.add_column("status", no_wrap=True)
    for row in result.documents[:SHOWN_DOCUMENTS]:
        codes = ", ".join(f"{code} {probability:.2f}" for code, probability, _ in row["codes_ranked"][:SHOWN_CODES])
        status = row["status"] if row["reason"] is None else f"{row['status']}: {row['reason']}"
        table.add_row(
            row["document_id"][:12],
            escape(", ".join(map(shown, row["sources"]))),
            row["languages"] or "",
            str(row["pages"]),
            _method(row),
            str(row["entities"]),
            codes,
            status,
        )
    return table


def _method(row: dict[str, Any]) -> str:
    if not row["pages"]:
        return ""
    if not row["ocr_pages"]:
        return "text layer"
    return "OCR" if row["ocr_pages"] == row["pages"] else f"text layer, {row['ocr_pages']} by OCR"


def _quarantine_table(rows: list[dict[str, Any]], shown: Callable[[str], str]) -> Table:
    table = Table(title="Quarantine", title_justify="left", header_style="bold")
    for name in ("source", "stage", "page", "reason", "detail"):
        table.add_column(name, overflow="fold")
    for row in rows[:SHOWN_DOCUMENTS]:
        page = "" if row["page"] is None else str(row["page"])
        table.add_row(escape(shown(row["uri"])), row["stage"], page, row["reason"], escape(row["detail"]))
    return table


def print_load(result: "LoadResult") -> None:
    """The result of `medpipe load`."""
    console = _console()
    told = result.as_json()
    replaced = f", {told['rows_replaced']:,} older rows replaced" if told["rows_replaced"] else ""
    nulled = f", {told['nulled']:,} values made null" if told["nulled"] else ""
    console.print(
        f"{told['dataset']}, loaded as of {told['load_date']}: {told['rows_in']:,} records in {told['files']} files, "
        f"{told['rows_out']:,} rows out, {sum(told['rows_rejected'].values()):,} rejected, {told['duplicates']:,} "
        f"duplicates{replaced}{nulled}; {result.total_seconds:.1f} s",
        highlight=False,
    )
    if told["rows_rejected"]:
        console.print(_rejects_table(result))
    table = Table(title="Tables", title_justify="left", header_style="bold")
    table.add_column("table")
    table.add_column("rows", justify="right")
    for name, rows in told["tables"].items():
        table.add_row(name, f"{rows:,}")
    console.print(table)
    option = _told_lake(console, result.lake.location)
    for name in list(told["tables"])[-1:]:
        console.print(f'  medpipe query{option} "SELECT * FROM {name} LIMIT 20"', highlight=False)
    if told["rows_rejected"]:
        console.print(f'  medpipe query{option} "SELECT * FROM dataset_rejects LIMIT 20"', highlight=False)


def _rejects_table(result: "LoadResult") -> Table:
    table = Table(title="Rejected", title_justify="left", header_style="bold")
    for name in ("column", "reason"):
        table.add_column(name)
    table.add_column("records", justify="right")
    for (column, reason), count in result.rejected().most_common(SHOWN_DOCUMENTS):
        table.add_row(column, reason, f"{count:,}")
    return table


def print_story(told: dict[str, Any]) -> None:
    """The result of `medpipe show`."""
    console = _console()
    console.print(f"[bold]Document[/bold] {told['document_id']}, first received {told['ingest_date']}", highlight=False)
    for source in told["sources"]:
        console.print(
            f"  from {escape(unquote(source['uri']))} at {source['received_at']:%Y-%m-%d %H:%M:%S}", highlight=False
        )
    if told["raw"]:
        console.print(f"  {told['raw']['media_type']}, {told['raw']['size_bytes']} bytes", highlight=False)
    _print_stages(console, told)
    for page in told["pages"]:
        confidence = "" if page["mean_confidence"] is None else f", mean confidence {page['mean_confidence']:.2f}"
        turned = f", turned by {page['rotation']} degrees" if page["rotation"] else ""
        console.print(
            f"  page {page['page']}: {page['language']}, by {page['method']}{confidence}{turned}, "
            f"{len(page['text'])} characters",
            highlight=False,
        )
    console.print(_entities_table(told))
    if told["codes"]:
        console.print(_codes_table(told["codes"]))


def _print_stages(console: Console, told: dict[str, Any]) -> None:
    for stage, verdict in told["stages"].items():
        if verdict is None:
            console.print(f"  {stage}: not reached", highlight=False)
        else:
            outcome = verdict.outcome if verdict.reason is None else f"{verdict.outcome} ({verdict.reason})"
            console.print(
                f"  {stage}: {outcome}, {verdict.row_count} rows, by {escape(verdict.stage_version)}", highlight=False
            )
    for failure in told["failures"]:
        state = f"resolved {failure['resolved_at']:%Y-%m-%d %H:%M}" if failure["resolved_at"] else "stands"
        page = "" if failure["page"] is None else f" page {failure['page']}"
        console.print(
            f"  quarantine: {failure['stage']}{page} {failure['reason']} ({escape(failure['detail'])}), "
            f"tried {failure['attempts']} times, {state}",
            highlight=False,
        )


def _entities_table(told: dict[str, Any]) -> Table:
    english = {(s["page"], s["segment_index"]): s["target_text"] for s in told["segments"]}
    table = Table(title="Entities", title_justify="left", header_style="bold")
    for name in ("page", "at", "words", "English", "what", "said of it", "codes"):
        table.add_column(name, overflow="fold")
    for entity in told["entities"]:
        spans = entity["source_spans"]
        target = " ".join(english[s["page"], s["segment_index"]][s["begin"] : s["end"]] for s in entity["target_spans"])
        traits = ", ".join(TRAITS_SHOWN[t["name"]] for t in entity["traits"] if t["name"] in TRAITS_SHOWN)
        details = "; ".join(f"{a['type'].lower()} {a['text']}" for a in entity["attributes"])
        table.add_row(
            str(spans[0]["page"]) if spans else "",
            ",".join(f"{s['begin']}-{s['end']}" for s in spans),
            escape(entity["text"]),
            escape(target) if entity["language"] != "en" else "",
            entity["type"].lower(),
            escape("; ".join(part for part in (traits, details) if part)),
            " ".join(f"{c['code']} {c['score']:.2f}" for c in entity["codes"][:SHOWN_CODES]),
        )
    return table


def _codes_table(codes: list[dict[str, Any]]) -> Table:
    table = Table(title="Codes of the document", title_justify="left", header_style="bold")
    for name in ("rank", "code", "probability", "accepted", "asserted", "mentions"):
        table.add_column(name)
    for code in codes:
        table.add_row(
            str(code["rank"]), code["code"], f"{code['probability']:.2f}",
            "yes" if code["accepted"] else "no", "yes" if code["asserted"] else "no", str(code["mentions"]),
        )  # fmt: skip
    return table
