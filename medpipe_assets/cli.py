"""The `medpipe` command: the same graph and the same lake as the web UI, from a terminal.

Commands parse, call and print; what they call is elsewhere and imported when it is needed, so that `--help` is quick.
File names are shown on a person's own terminal; output that goes elsewhere has source ids instead, unless asked.
"""

import datetime as dt
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import medpipe_assets
from medpipe_assets.errors import ConfigurationError, no_room
from medpipe_assets.privacy import keep_private

EXIT_FAILED = 1
EXIT_USAGE = 2


class Commands(click.Group):
    """A group that turns an exception into one line: its message where we wrote it, its type and place where not."""

    def invoke(self, ctx: click.Context) -> Any:
        from medpipe_assets.documents.pool import where

        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise _UsageError(str(error)) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("MEDPIPE_DEBUG"):
                raise
            if (stop := no_room(error)) is not None:
                raise _FailedError(str(stop)) from None
            hint = "MEDPIPE_DEBUG=1 shows the traceback, which may hold document text"
            raise _FailedError(f"failed with {where(error)} ({hint})") from None


class _FailedError(click.ClickException):
    exit_code = EXIT_FAILED


class _UsageError(click.ClickException):
    exit_code = EXIT_USAGE


def _lake_option(command: Callable[..., Any]) -> Callable[..., Any]:
    told = "Its folder, or s3://bucket/prefix. [default: MEDPIPE_LAKE, or ./lake]"
    return click.option("--lake", "root", metavar="DIR", default="", help=told)(command)


def _open(root: str, *, create: bool = False) -> Any:
    from medpipe_assets.aws.clients import Clients
    from medpipe_assets.etlt.tables import open_lake
    from medpipe_assets.settings import Settings, lake_location

    location = lake_location(root)
    if not create and not location.is_remote and not (location.home / "catalog.db").exists():
        raise ConfigurationError(
            f"there is no lake at {location.home}: make one with `medpipe run INPUT --lake DIR`, or with `medpipe load`"
        )
    return open_lake(location, Clients(Settings.load().region))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(medpipe_assets.__version__, prog_name="medpipe")
def main() -> None:
    """Clinical paperwork becomes coded, queryable tables, with the words and the place behind each code.

    \b
    Try:  medpipe run samples/documents
          medpipe load facilities samples/facilities
          medpipe query "SELECT code, count(*) AS documents FROM diagnoses GROUP BY code ORDER BY 2 DESC"
          medpipe show DOCUMENT
    """
    keep_private()


@main.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@_lake_option
@click.option("--profile", default="", metavar="NAME", help="Engines to use. [default: MEDPIPE_PROFILE, or local]")
@click.option("--workers", type=click.IntRange(0), help="Worker processes; 0: none. [default: one a core]")
@click.option("--budget", type=click.FloatRange(0), metavar="DOLLARS", help="Most that may be paid for calls to AWS.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option(
    "--show-sources", is_flag=True, help="Name files, which may be patient data, though the output is no terminal."
)
def run(
    inputs: tuple[str, ...],
    root: str,
    profile: str,
    workers: int | None,
    budget: float | None,
    as_json: bool,
    show_sources: bool,
) -> None:
    """Take in files and folders, and materialise the document graph over them.

    INPUT is a file, a folder (with all below it), or s3://bucket/prefix (all keys that begin so). What was taken in
    before and has not changed is not read again; what a run that was cut off left undone is done now. Documents that
    cannot be processed are put into quarantine with a reason, and the rest goes through: the exit code is 0 all the
    same. It is 1 where the graph itself failed or the budget is reached, and 2 for wrong usage or configuration.
    """
    from medpipe_assets.running import run_inputs

    lake = _open(root, create=True)
    result = run_inputs(lake, inputs, profile=profile, workers=workers, budget=budget)
    if as_json:
        click.echo(json.dumps(result.as_json(show_sources), default=str))
    else:
        from medpipe_assets.printing import print_run

        print_run(result, names=show_sources or sys.stdout.isatty())
    if result.budget_reached:
        raise _FailedError(
            f"the budget is reached: {result.dollars:.2f} dollars were paid in this run. What is done is kept; to go "
            "on, give the same command again, with --budget and what it may pay"
        )
    if result.failures:
        raise _FailedError("; ".join(result.failures))


@main.command()
@click.argument("sql")
@_lake_option
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--as-of", metavar="T", help="The lake as it was then: 2026-11-20 or 2026-11-20T08:30:00 (UTC).")
@click.option("--engine", type=click.Choice(["duckdb", "athena"]), help="Who answers. [default: MEDPIPE_SQL_ENGINE]")
def query(sql: str, root: str, form: str, as_of: str | None, engine: str | None) -> None:
    """Ask SQL, in Athena's dialect, over the lake's tables.

    \b
    Consumer tables:  diagnoses, document_summary, quarantine
    Stages:           document_sources, raw_documents, pages, words, segments, entities, icd10_mappings,
                      document_codes, stage_status
    And:              current_documents, stage_status_in_force
    docs/data_dictionary.md says what their columns mean. What Athena scans, and is paid, is told on standard error.
    """
    from medpipe_assets.aws.metering import collecting
    from medpipe_assets.warehouse.engine import QueryError
    from medpipe_assets.warehouse.format import render
    from medpipe_assets.warehouse.lake_tables import Scope

    moment, lake = _timestamp(as_of), _open(root)
    warehouse = _warehouse(lake, engine)(lake, Scope(as_of=moment))
    try:
        with collecting() as costs:
            answer, taken = warehouse.ask(sql)
    except QueryError as error:
        raise _UsageError(str(error)) from None
    click.echo(render(answer, form), nl=False)
    if taken:
        dollars = sum(cost.dollars for cost in costs)
        click.echo(f"{taken.bytes_scanned:,} bytes scanned, {dollars:.5f} dollars (query {taken.query_id})", err=True)


def _warehouse(lake: Any, engine: str | None = None, *, unload: bool = False) -> Any:
    """The SQL engine that is named, or set, over any part of a lake."""
    from medpipe_assets.settings import Settings
    from medpipe_assets.warehouse.choice import warehouse_over

    settings = Settings.load()
    settings = settings.model_copy(update={"sql_engine": engine}) if engine else settings
    return warehouse_over(settings, lake.location, unload=unload)


def _timestamp(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError("--as-of takes a date or a date and time, such as 2026-11-20T08:30:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


@main.command()
@click.argument("table")
@_lake_option
@click.option("--format", "form", type=click.Choice(["parquet", "csv", "json"]), default="parquet", show_default=True)
@click.option("--out", metavar="DIR", default=".", help="Folder (s3:// prefix) to write to. [default: here]")
@click.option("--register", "database", metavar="DATABASE", help="Make it known in this Glue database, which is there.")
def export(table: str, root: str, form: str, out: str, database: str | None) -> None:
    """Write a whole TABLE to a file: TABLE.parquet, TABLE.csv, or TABLE.json (a list of objects).

    With --register it is written to S3 as plain Parquet, a file a partition, for readers that have no Iceberg:
    medpipe export diagnoses --out s3://bucket/prefix --register DATABASE
    """
    from medpipe_assets.warehouse.engine import QueryError
    from medpipe_assets.warehouse.format import write
    from medpipe_assets.warehouse.lake_tables import Scope

    target = Path(out) / f"{table}.{form}"
    lake = _open(root)
    warehouse = _warehouse(lake, unload=True)(lake, Scope())
    try:
        rows = warehouse.query(f'SELECT * FROM "{table.replace(chr(34), "")}"')
    except QueryError as error:
        raise _UsageError(str(error)) from None
    if database:
        _export_plain(lake, table, rows, out, database)
        click.echo(f"{rows.num_rows} rows to {out.rstrip('/')}/{table}", err=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    write(rows, form, target)
    click.echo(f"{rows.num_rows} rows to {target}", err=True)


def _export_plain(lake: Any, table: str, rows: Any, out: str, database: str) -> None:
    from medpipe_assets.aws.clients import Clients
    from medpipe_assets.settings import Settings, is_remote
    from medpipe_assets.warehouse.glue_tables import PlainTable, export_plain

    if not is_remote(out):
        raise ConfigurationError("what is registered must be on S3: give --out s3://bucket/prefix")
    partition_by = lake.tables[table].partition_by if table in lake.tables else ()
    plain = PlainTable(table, f"{out.rstrip('/')}/{table}", rows.schema, partition_by)
    export_plain(Clients(Settings.load().region), database, plain, rows, lake.location.kms_key)


@main.command()
@click.argument("document")
@_lake_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def show(document: str, root: str, as_json: bool) -> None:
    """Tell one document's story: where it came from, pages, entities, codes with their evidence, failures.

    DOCUMENT is the beginning of a document id, or the path of a file it came from.
    """
    from medpipe_assets.report import find_documents, story

    lake = _open(root)
    wanted = Path(os.path.abspath(document)).as_uri() if os.path.lexists(document) else document  # noqa: PTH100 - resolve() would follow links
    found = find_documents(lake, wanted)
    if not found:
        raise ConfigurationError(
            'no such document in this lake: `medpipe query "SELECT * FROM document_summary"` lists all'
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"{len(found)} documents begin with that: give more of the id, such as {found[0][:16]}"
        )
    told = story(lake, found[0])
    if as_json:
        click.echo(json.dumps(_plain(told), default=str))
    else:
        from medpipe_assets.printing import print_story

        print_story(told)


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "stages": {name: v._asdict() if v else None for name, v in told["stages"].items()}}


@main.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--language", metavar="CODE", help="ISO 639-1, e.g. es. [default: found from the text]")
def annotate(file: Any, language: str | None) -> None:
    """Read text (FILE, or - for standard input), print its entities with traits, attributes and codes as JSON lines.

    No lake is read or written.
    """
    from medpipe_assets.annotate import annotate as annotate_text
    from medpipe_assets.extraction.plain_text import decode
    from medpipe_assets.settings import Settings, model_file

    for entity in annotate_text(decode(file.read()), language, model_file(Settings.load())):
        click.echo(json.dumps(entity, ensure_ascii=False))


@main.command()
@click.option(
    "--document", "documents", multiple=True, metavar="ID", help="A document's id, or its beginning. May be repeated."
)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="All documents first received on this UTC day.")
@click.option("--from-stage", metavar="STAGE", help="Leave the stages before this one alone.")
@click.option("--reason", metavar="REASON", help="Documents in quarantine for this reason; implies --force.")
@click.option("--force", is_flag=True, help="Redo what is up to date, and retry what is in quarantine.")
@click.option("--workers", type=click.IntRange(0), help="Worker processes; 0: none. [default: one a core]")
@_lake_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def reprocess(
    documents: tuple[str, ...],
    day: dt.datetime | None,
    from_stage: str | None,
    reason: str | None,
    force: bool,
    workers: int | None,
    root: str,
    as_json: bool,
) -> None:
    """Process documents again: those given, those in quarantine for a reason, those of a day, or all.

    Without --force only what is outdated (an engine or its settings changed), unfinished, or may succeed by now is
    done; with it, everything selected. The stages are raw_documents, extracted_text, translated_text, entities,
    icd10_mappings. The web UI does the same: a backfill for days, the launchpad's `reprocess` for documents.
    """
    from medpipe_assets.running import reprocess_documents

    lake = _open(root)
    chosen = [_document(lake, text) for text in documents]
    if reason is not None:
        from medpipe_assets.status import documents_failed

        chosen, force = [*chosen, *documents_failed(lake, reason)], True
    nothing = reason is not None and not chosen
    outcomes = [] if nothing else reprocess_documents(
        lake, chosen, day.date() if day else None, from_stage=from_stage, force=force, workers=workers
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps([outcome.__dict__ for outcome in outcomes], default=str))
    else:
        for outcome in outcomes:
            state = "done" if outcome.success else "FAILED"
            click.echo(f"{outcome.day} {state} in {sum(outcome.seconds.values()):.1f} s (run {outcome.run_id})")
        if not outcomes:
            click.echo("nothing to do")
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    if failures:
        raise _FailedError("; ".join(failures))


@main.command()
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="Days of receipt to look at.")
@_lake_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def status(days: int, root: str, as_json: bool) -> None:
    """Say what waits at which stage, what is in quarantine and how to retry it, how fast it goes, what failed last."""
    from medpipe_assets.defs.history import failed_runs
    from medpipe_assets.status import gather, lines

    lake = _open(root)
    told, runs = gather(lake, days), failed_runs(lake.location)
    click.echo(json.dumps({**told, "failed_runs": runs}, default=str) if as_json else "\n".join(lines(told, runs)))


@main.command()
@_lake_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def doctor(root: str, as_json: bool) -> None:
    """Look at engines, permissions, disk and the lake's tables, and say what to do about what is missing or wrong.

    The exit code is 1 where something has to be done.
    """
    from dataclasses import asdict

    from medpipe_assets.defs.resources import make_engines
    from medpipe_assets.doctor import BAD, examine, lines
    from medpipe_assets.settings import Settings, lake_location

    settings, location = Settings.load(), lake_location(root)
    there = location.is_remote or (location.home / "catalog.db").exists()
    found = examine(_open(root) if there else None, settings, lambda: make_engines(settings, location))
    click.echo(json.dumps([asdict(finding) for finding in found]) if as_json else "\n".join(lines(found)))
    if wrong := [finding.about for finding in found if finding.state == BAD]:
        raise _FailedError(f"to be mended: {', '.join(wrong)}")


@main.group()
def cost() -> None:
    """What AWS would be paid for documents, and what it was paid."""


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")(command)


@cost.command("estimate")
@click.argument("inputs", nargs=-1, metavar="[INPUT...]")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Without INPUT: documents received on this UTC day.")
@_lake_option
@_json_option
def cost_estimate(inputs: tuple[str, ...], day: dt.datetime | None, root: str, as_json: bool) -> None:
    """Say what the profile aws would pay for INPUT, or (for a backfill) for documents that are in the lake.

    Everything is counted on this machine: no paid call is made. Pages without text of their own are taken to hold
    3,000 characters that have to be translated; nothing is taken off for answers that are stored already.
    """
    from dataclasses import asdict

    from medpipe_assets.documents.costs import lines_of
    from medpipe_assets.running import estimate_cost
    from medpipe_assets.settings import lake_location

    if inputs and day:
        raise ConfigurationError("--day is for documents in the lake: give it or INPUT")
    lake = None if inputs else _open(root)
    counted, estimates = estimate_cost(inputs, lake_location(root), lake, day.date() if day else None)
    told, costs = counted.as_json(), [asdict(line) for line in estimates]
    if as_json:
        click.echo(json.dumps({**told, **_totals(costs), "operations": costs}))
        return
    languages = ", ".join(f"{language} {count:,}" for language, count in told["characters"].items()) or "none"
    unreadable = ", ".join(f"{reason} {count}" for reason, count in told["unreadable_documents"].items()) or "none"
    click.echo(f"documents: {told['documents']}, repeated: {told['repeated_documents']}, not readable: {unreadable}")
    click.echo(f"pages: {told['digital_pages']} with their own text, {told['scanned_pages']} to be read by OCR")
    click.echo(f"characters that are known, by language: {languages}")
    click.echo("\n".join(["", *lines_of(costs)]))


def _totals(costs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: round(sum(cost[name] for cost in costs), 6) for name in ("dollars", "saved_dollars")}


@cost.command("report")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Documents received on this UTC day. [default: all]")
@_lake_option
@_json_option
def cost_report(day: dt.datetime | None, root: str, as_json: bool) -> None:
    """Say what was paid, and saved by not calling, by day, stage and operation: the table `costs`, summed."""
    from medpipe_assets.documents.costs import lines_of, report

    costs = report(_open(root), day.date() if day else None)
    if as_json:
        click.echo(json.dumps({**_totals(costs), "operations": costs}, default=str))
    elif costs:
        click.echo("\n".join(lines_of(costs)))
    else:
        click.echo("nothing was paid: no call to AWS was made, or saved")


@main.command()
@_lake_option
def redrive(root: str) -> None:
    """Bring the inbox's dead letters back to the queue they came from, and take them out of quarantine."""
    from medpipe_assets.errors import DocumentError
    from medpipe_assets.running import redrive_dead_letters

    try:
        moved = redrive_dead_letters(_open(root))
    except DocumentError as error:
        raise _FailedError(str(error)) from None
    click.echo(f"{moved} messages are back in the queue")


@main.command()
@click.argument("dataset")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The load date. [default: today, UTC]")
@_lake_option
@_json_option
def load(dataset: str, inputs: tuple[str, ...], day: dt.datetime | None, root: str, as_json: bool) -> None:
    """Load files into a DATASET, and rebuild the tables made from it.

    INPUT is a file, a folder, s3://bucket/prefix, or an https:// address; CSV, JSON and NDJSON, also as .gz or .zip.
    Headers are matched by the dataset's contract (medpipe_assets/datasets/DATASET/contract.yaml). A record that does
    not fit is kept in the table dataset_rejects with the column and the reason; the rest goes through: the exit code
    is 0 all the same. It is 1 where a file or a check failed and nothing was published, and 2 for wrong usage.

    \b
    Try:  medpipe load facilities samples/facilities
          medpipe query "SELECT * FROM facility_metrics"
          medpipe query "SELECT reason, count(*) FROM dataset_rejects GROUP BY reason"
    """
    from medpipe_assets.loading import load_dataset

    result = load_dataset(_open(root, create=True), dataset, inputs, day.date() if day else None)
    if as_json:
        click.echo(json.dumps(result.as_json()))
    else:
        from medpipe_assets.printing import print_load

        print_load(result)
    if result.failures:
        raise _FailedError("; ".join(result.failures))


@main.group("model")
def model_commands() -> None:
    """What recognition and coding learn from a coded corpus: fetch one, build a model."""


@model_commands.command("build")
@click.option(
    "--corpus", "folders", multiple=True, required=True, metavar="DIR", help="In CodiEsp's layout. May be repeated.",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)  # fmt: skip
@click.option("--language", "languages", multiple=True, default=["es"], show_default=True, help="May be repeated.")
@click.option(
    "--titles", "tables", multiple=True, metavar="LANGUAGE=FILE", help="Titles of codes in a language. May be repeated."
)
@click.option(
    "--index", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The Alphabetic Index: the CDC's XML, or a table of it. [default: what `medpipe codes add` took]",
)  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file. [default: MEDPIPE_MODEL]")
def model_build(
    folders: tuple[Path, ...], languages: tuple[str, ...], tables: tuple[str, ...], index: Path | None, out: Path | None
) -> None:
    """Train the coding model on corpora, and write it where recognition and coding look for it.

    The same corpora give the same bytes. The model holds no text, but words of the corpus can be guessed from it:
    share it as you may share the corpus. Documents are coded anew once the model has changed.
    """
    from medpipe_assets.lexicon import releases
    from medpipe_assets.model import artefact, training
    from medpipe_assets.settings import Settings, model_file

    target = out or Path(model_file(Settings.load()))
    sources = training.Sources(folders, training.titles_by_language(tables), index or releases.index())
    about, arrays = training.build(sources, languages, lambda line: click.echo(line, err=True))
    fingerprint = artefact.write(target, about, arrays)
    click.echo(f"model {fingerprint}, {target.stat().st_size:,} bytes, to {target}")


@main.group("codes")
def code_sets() -> None:
    """The releases of ICD-10-CM that codes are judged against, and the Alphabetic Index."""


@code_sets.command("add")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--effective",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Day from which the release is in force. [default: by the file's name]",
)
def codes_add(files: tuple[Path, ...], effective: dt.datetime | None) -> None:
    """Add what the CDC publishes: a release's tabular list (XML), or its order file (text: no notes, no inclusion
    terms), or the Alphabetic Index (XML, or a table with the columns Level, Term, See, NonEssModif and Code).

    What is in FILE is found from its content. A copy is kept below XDG_DATA_HOME; runs that start after it count with
    it, and redo what it changes.

    \b
    Try:  medpipe codes add icd10cm-tabular-2027.xml icd10cm-index-2027.xml
          medpipe codes add order.txt --effective 2026-10-01
    """
    from medpipe_assets.lexicon import releases

    for file in files:
        click.echo(_added(releases.add(file, effective.date() if effective else None)))


def _added(name: str) -> str:
    from medpipe_assets.coding import icd10cm
    from medpipe_assets.lexicon import alphabetic_index, releases

    index = releases.index()
    if name == releases.INDEX and index:
        return f"Alphabetic Index: {len(alphabetic_index.read(index)):,} lines"
    before = [release.effective for release in releases.releases() if release.effective < name]
    codes = icd10cm.billable(name)
    told = f"ICD-10-CM in force from {name}: {len(codes):,} codes for claims"
    if not before:
        return told
    old = icd10cm.billable(before[-1])
    return f"{told}, {len(codes - old):,} new and {len(old - codes):,} gone since {before[-1]}"


@code_sets.command("list")
def codes_list() -> None:
    """Say which releases there are, and from where."""
    from medpipe_assets.lexicon import releases

    for release in releases.releases():
        click.echo(f"{release.effective}  {release.file}")
    click.echo(f"index       {releases.index() or 'none: medpipe codes add FILE'}")


@model_commands.command("fetch")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The folder. [default: beside the model]")
@click.option("--record", metavar="URL", help="Another record of the archive. [default: CodiEsp's]")
def model_fetch(out: Path | None, record: str | None) -> None:
    """Download the CodiEsp corpus (Spanish clinical cases with codes, CC BY 4.0) from its public record, and unpack it.

    Prints the folders to build from, one a line. A download that was cut off goes on where it ended.
    """
    from medpipe_assets.model.fetch import RECORD, fetch
    from medpipe_assets.settings import Settings, model_file

    folder = out or Path(model_file(Settings.load())).with_name("codiesp")
    for part in fetch(folder, record or RECORD, lambda line: click.echo(line, err=True)):
        click.echo(part)


@main.group()
def contract() -> None:
    """What a dataset's files must look like: try one, or draft a contract for files of a new kind."""


@contract.command("check")
@click.argument("dataset")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_json_option
def contract_check(dataset: str, file: Path, as_json: bool) -> None:
    """Say what loading FILE would rename, cast and reject, and why. Nothing is written.

    The exit code is 1 where the file cannot be loaded at all.
    """
    from medpipe_assets.etlt.contract import contract_of
    from medpipe_assets.etlt.drift import check

    report = check(contract_of(dataset), file)
    click.echo(json.dumps(report.as_json()) if as_json else "\n".join(report.lines()))
    if not report.loadable:
        raise _FailedError("the file cannot be loaded")


@contract.command("infer")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset", default="", metavar="NAME", help="The dataset's name. [default: made from the file's]")
def contract_infer(file: Path, dataset: str) -> None:
    """Draft a contract from a CSV, JSON or NDJSON FILE: names, kinds, keys, and what may be patient data.

    \b
    Save it as medpipe_assets/datasets/NAME/contract.yaml, correct it, and put .sql files beside it:
      medpipe contract infer FILE --dataset NAME > contract.yaml
    """
    from medpipe_assets.etlt.drift import infer

    click.echo(infer(file, dataset), nl=False)


@main.command()
@_lake_option
def home(root: str) -> None:
    """Print the folder that DAGSTER_HOME must name for the web UI to show this lake's runs (made where absent)."""
    from medpipe_assets.defs.execution import dagster_home

    click.echo(dagster_home(_open(root, create=True).location))


def _document(lake: Any, text: str) -> str:
    from medpipe_assets.report import find_documents

    found = find_documents(lake, text)
    if len(found) != 1:
        raise ConfigurationError(f"{len(found) or 'no'} documents begin with {text}: give one document's id")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
