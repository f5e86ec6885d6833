"""Running a stage: chunks, verdicts, bad documents, and that being cut off anywhere changes nothing in the end."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from medpipe_assets.documents.pool import Place, PoolSettings
from medpipe_assets.documents.stage import ChunkSettings, Output, Selection, Task, run_stage
from medpipe_assets.documents.versions import announce
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import LeaseLostError
from medpipe_assets.lake.ledger import conservation, read_vouched, verdicts
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.quarantine import open_failures
from medpipe_tests.unit.documents.stages import HERE, NAME, TABLES, Fake, output, prepare, run, stage
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, content, document, put, receive, verdict_row

A, B, C, D, E = IDS = sorted(document(n) for n in range(5))
DONE_ALL = {"inputs": 5, "done": 5, "quarantined": 0, "pending": 0, "outdated": 0, "miscounted": []}

pytestmark = pytest.mark.usefixtures("quick_polls")


def texts(lake: Lake) -> dict[str, list[str]]:
    """What readers see."""
    seen: dict[str, list[str]] = {}
    for row in read_vouched(lake, "pages", ("document_id", "text"), days=[DAY]).to_pylist():
        seen.setdefault(row["document_id"], []).append(row["text"])
    return seen


def states(lake: Lake) -> dict[str, str | None]:
    """The reason of each document's verdict, None for done."""
    return {d: v.reason for d, v in verdicts(lake, NAME, [DAY]).items()}


# The plain way


def test_each_document_is_processed_once_and_vouched_for(lake: Lake) -> None:
    prepare(lake, IDS)
    engine = Fake()
    report = run(lake, engine)
    assert sorted(engine.asked) == IDS
    assert (report.processed, report.done, report.quarantined, report.chunks) == (5, 5, 0, 1)
    assert report.rows == {"pages": 5, "words": 10}
    assert conservation(lake, NAME, DAY) == DONE_ALL
    assert {v.row_count for v in verdicts(lake, NAME).values()} == {3}


def test_what_is_prepared_is_the_work_list_once_before_all_documents(lake: Lake) -> None:
    prepare(lake, IDS)
    run(lake, Fake(), chunk=2, selection=Selection(frozenset({A})))
    engine, told = Fake(), list[tuple[dt.date, list[str], list[str], list[str]]]()

    def prepared(day: dt.date, tasks: Callable[[], Iterator[Task]]) -> None:
        again = [[task.document_id for task in tasks()] for _ in range(2)]
        told.append((day, *again, list(engine.asked)))

    settings = {"run_id": "run", "pool": HERE, "chunks": ChunkSettings(documents=2)}
    run_stage(lake, replace(stage(engine), prepare=prepared), DAY, **settings)
    assert told == [(DAY, [B, C, D, E], [B, C, D, E], [])]
    run_stage(lake, replace(stage(engine), prepare=prepared), DAY, **settings)
    assert len(told) == 1, "nothing to do, nothing to prepare"


def test_a_second_run_has_nothing_to_do(lake: Lake) -> None:
    prepare(lake, IDS)
    run(lake, Fake())
    before, engine = content(lake, TABLES, leave_out=()), Fake()
    assert run(lake, engine).processed == 0
    assert engine.asked == []
    assert content(lake, TABLES, leave_out=()) == before


def test_a_day_without_documents_is_fine(lake: Lake) -> None:
    assert run(lake, Fake()).processed == 0


def test_chunks_are_committed_by_documents(lake: Lake) -> None:
    prepare(lake, IDS)
    seen: list[int] = []

    def watching(task: Task) -> Output:
        seen.append(len(verdicts(lake, NAME)))
        return output("x")

    assert run(lake, watching, chunk=2).chunks == 3
    assert seen == [0, 0, 2, 2, 4]


def test_chunks_are_committed_by_seconds(lake: Lake) -> None:
    prepare(lake, IDS[:3])
    assert run(lake, Fake(), chunks=ChunkSettings(documents=500, seconds=0)).chunks == 3


def test_a_document_gets_its_own_rows_of_what_the_stage_reads(lake: Lake) -> None:
    receive(lake, IDS[:3])
    put(lake, "raw_documents", {"document_id": A, "media_type": "a"}, {"document_id": B, "media_type": "b"})
    put(lake, "raw_documents", {"document_id": A, "media_type": "of a run cut off", "run_id": "killed"})
    put(lake, "stage_status", *(verdict_row(d) for d in IDS[:3]))
    got: dict[str, list[str]] = {}

    def reading(task: Task) -> Output:
        got[task.document_id] = [row["media_type"] for row in task.rows["raw_documents"]]
        return output("x")

    run(lake, reading)
    assert got == {A: ["a"], B: ["b"], C: []}


def test_progress_is_told_from_nought_to_all(lake: Lake) -> None:
    told: list[tuple[str, object]] = []

    class Watcher:
        def begin(self, stage: str, total: int) -> None:
            told.append((stage, total))

        def advance(self, documents: int) -> None:
            told.append(("advance", documents))

        def waiting(self, stage: str) -> None:
            told.append(("waiting", stage))

    prepare(lake, IDS[:2])
    run(lake, Fake(), progress=Watcher())
    assert told == [(NAME, 2), ("advance", 1), ("advance", 1)]


def test_a_document_with_nothing_in_it_is_done(lake: Lake) -> None:
    prepare(lake, [A])
    run(lake, Fake({A: Output({})}))
    assert states(lake) == {A: None}
    assert verdicts(lake, NAME)[A].row_count == 0
    assert run(lake, Fake()).processed == 0


# Redoing


def test_a_new_version_replaces_the_rows(lake: Lake) -> None:
    prepare(lake, IDS)
    run(lake, Fake())
    engine = Fake({d: output("new", words=1) for d in IDS})
    run(lake, engine, version="2", chunk=2)
    assert texts(lake) == {d: ["new"] for d in IDS}
    assert lake.read("pages").num_rows == lake.read("words").num_rows == 5
    assert conservation(lake, NAME, DAY) == DONE_ALL
    assert {v.stage_version for v in verdicts(lake, NAME).values()} == {stage(engine, "2").version}


def test_an_older_run_that_is_still_going_undoes_nothing_of_a_newer_one(lake: Lake) -> None:
    prepare(lake, IDS)
    older, newer = Fake(), Fake({d: output("new", words=1) for d in IDS})
    announce(lake, {NAME: stage(older, "1").version})
    announce(lake, {NAME: stage(newer, "2").version})
    run(lake, newer, version="2", selection=Selection(only=frozenset(IDS[:3])))
    run(lake, older, version="1")
    assert older.asked == IDS[3:], "what the newer one has not done yet is done, and done again by it"
    run(lake, newer, version="2")
    assert texts(lake) == {d: ["new"] for d in IDS}
    assert conservation(lake, NAME, DAY) == DONE_ALL


def test_going_back_to_an_older_version_is_a_new_begin(lake: Lake) -> None:
    prepare(lake, IDS)
    for version in ("1", "2", "1"):
        engine = Fake()
        announce(lake, {NAME: stage(engine, version).version})
        run(lake, engine, version=version)
        assert engine.asked == IDS


def test_force_redoes_chosen_documents_and_leaves_the_others(lake: Lake) -> None:
    prepare(lake, IDS)
    run(lake, Fake())
    engine = Fake({A: output("again")})
    run(lake, engine, selection=Selection(only=frozenset([A, "unknown"]), force=True))
    assert engine.asked == [A]
    assert texts(lake)[A] == ["again"]
    assert lake.read("pages").num_rows == 5
    assert conservation(lake, NAME, DAY) == DONE_ALL


def test_a_redone_document_that_now_fails_loses_its_rows(lake: Lake) -> None:
    prepare(lake, [A, B])
    run(lake, Fake())
    run(lake, Fake({A: DocumentError(Reason.CORRUPT)}), version="2")
    assert set(texts(lake)) == {B}
    assert set(lake.read("pages")["document_id"].to_pylist()) == {B}


def test_documents_that_the_stage_before_no_longer_has_done_lose_their_rows(lake: Lake) -> None:
    prepare(lake, [A, B])
    run(lake, Fake())
    put(lake, "stage_status", verdict_row(A, outcome="quarantined", reason="timeout", fence=2))
    assert run(lake, Fake()).processed == 0
    assert set(texts(lake)) == set(states(lake)) == {B}
    put(lake, "stage_status", verdict_row(A, fence=3))
    assert run(lake, Fake()).processed == 1
    assert set(texts(lake)) == {A, B}


def test_other_days_are_left_alone(lake: Lake) -> None:
    prepare(lake, [A])
    receive(lake, [B], NEXT_DAY)
    put(lake, "stage_status", verdict_row(B, ingest_date=NEXT_DAY))
    put(lake, "pages", {"document_id": B, "ingest_date": NEXT_DAY})
    engine = Fake()
    run(lake, engine)
    run(lake, engine, version="2")
    assert engine.asked == [A, A]
    assert lake.read("pages", days=[NEXT_DAY]).num_rows == 1


# Bad documents


def test_a_bad_document_goes_to_quarantine_and_the_others_through(lake: Lake) -> None:
    prepare(lake, IDS)
    report = run(lake, Fake({B: DocumentError(Reason.ENCRYPTED, "password")}), chunk=2)
    assert (report.done, report.quarantined) == (4, 1)
    assert states(lake) == {**dict.fromkeys(IDS), B: "encrypted"}
    assert set(texts(lake)) == set(IDS) - {B}
    assert [(r["document_id"], r["source_id"], r["reason"]) for r in open_failures(lake)] == [
        (B, f"source of {B}", "encrypted")
    ]
    assert conservation(lake, NAME, DAY) == {**DONE_ALL, "done": 4, "quarantined": 1}


@pytest.mark.parametrize(("reason", "again"), [(Reason.TIMEOUT, [B]), (Reason.CORRUPT, [])])
def test_only_passing_failures_are_tried_again(lake: Lake, reason: Reason, again: list[str]) -> None:
    prepare(lake, [A, B])
    run(lake, Fake({B: DocumentError(reason)}))
    engine = Fake()
    run(lake, engine)
    assert engine.asked == again
    assert len(open_failures(lake)) == (0 if again else 1)


def test_an_exception_costs_its_document_alone_and_its_message_goes_nowhere(
    lake: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare(lake, [A, B])
    run(lake, Fake({A: ValueError("secret words")}))
    assert states(lake) == {A: "engine_crashed", B: None}
    assert "secret" not in str(content(lake, TABLES)) + "".join(capfd.readouterr())


def test_a_document_of_two_sources_is_in_quarantine_under_both(lake: Lake) -> None:
    prepare(lake, [A])
    put(lake, "document_sources", {"source_id": "other", "document_id": A, "sequence": 9})
    run(lake, Fake({A: DocumentError(Reason.CORRUPT)}))
    assert {row["source_id"] for row in open_failures(lake)} == {"other", f"source of {A}"}


def test_a_page_that_failed_stands_in_quarantine_beside_its_done_document(lake: Lake) -> None:
    prepare(lake, [A])
    run(lake, Fake({A: output("the other page", failures=(DocumentError(Reason.CORRUPT, "x", page=2),))}))
    assert states(lake) == {A: None}
    assert texts(lake) == {A: ["the other page"]}
    assert [(r["page"], r["reason"]) for r in open_failures(lake)] == [(2, "corrupt")]
    run(lake, Fake(), version="2")
    assert open_failures(lake) == []


def _finds(table: str, text: str, name: str = "no_secrets") -> object:
    def check(tables: Mapping[str, pa.Table]) -> Mapping[str, Collection[str]]:
        rows = tables[table].to_pylist()
        return {"fine": set(), name: {row["document_id"] for row in rows if row.get("text") == text}}

    return check


def test_a_document_whose_rows_break_a_rule_is_inconsistent_and_the_others_go_through(lake: Lake) -> None:
    prepare(lake, IDS)
    run(lake, Fake({B: output("bad"), D: output("bad")}), check=_finds("words", "bad"), chunk=2)
    assert states(lake) == {**dict.fromkeys(IDS), B: "inconsistent", D: "inconsistent"}
    assert set(lake.read("pages")["document_id"].to_pylist()) == {A, C, E}
    assert {row["detail"] for row in open_failures(lake)} == {"its rows fail the check no_secrets"}
    assert conservation(lake, NAME, DAY) == {**DONE_ALL, "done": 3, "quarantined": 2}


def _spoiled(table: str, column: str, value: object) -> Output:
    made = output("spoiled")
    made.tables[table][column][0] = value
    return made


def test_rows_that_no_table_can_hold_cost_their_document_alone(lake: Lake) -> None:
    spoiled = {
        "a lone surrogate": _spoiled("pages", "text", "lone \ud800 surrogate"),
        "one in a word": _spoiled("words", "text", "\udfff"),
        "no language": _spoiled("pages", "language", None),
        "no offset": _spoiled("words", "text_begin", None),
        "text for a number": _spoiled("words", "page", "one"),
        "too big a number": _spoiled("words", "page", 2**40),
        "ragged columns": Output({"pages": {**output("x").tables["pages"], "page": [1, 2]}}),
        "columns missing": Output({"pages": {"page": [1]}}),
    }
    bad = {document(name): made for name, made in spoiled.items()}
    prepare(lake, [A, *bad, B])
    run(lake, Fake(dict(bad)))
    assert states(lake) == {A: None, B: None, **dict.fromkeys(bad, "inconsistent")}
    assert set(texts(lake)) == {A, B}
    assert conservation(lake, NAME, DAY)["miscounted"] == []


def test_columns_of_two_documents_that_are_ragged_in_turn_do_not_even_out(lake: Lake) -> None:
    long, short = output("x", words=2), output("y", words=2)
    long.tables["words"]["text"].append("z")
    short.tables["words"]["text"].pop()
    prepare(lake, [A, B, C])
    run(lake, Fake({A: long, B: short}))
    assert states(lake) == {A: "inconsistent", B: "inconsistent", C: None}


def test_a_rule_sees_what_a_slow_document_read_though_others_were_committed_meanwhile(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow document comes last, out of a pool that went on with the others."""
    prepare(lake, IDS)

    def slow_first(
        function: object, tasks: Iterator[Task], settings: PoolSettings, place: Place
    ) -> Iterator[tuple[Task, Output]]:
        slow = next(tasks)
        for task in tasks:
            yield task, output("x")
        yield slow, output("x")

    monkeypatch.setattr("medpipe_assets.documents.stage.map_tasks", slow_first)

    def has_input(tables: Mapping[str, pa.Table]) -> Mapping[str, Collection[str]]:
        known = set(tables["raw_documents"]["document_id"].to_pylist())
        return {"has_input": set(tables["pages"]["document_id"].to_pylist()) - known}

    run(lake, Fake(), chunk=1, check=has_input)
    assert states(lake) == dict.fromkeys(IDS)


def test_a_rule_that_names_other_documents_harms_none_of_them(lake: Lake) -> None:
    prepare(lake, IDS)
    report = run(lake, Fake(), chunk=2, check=lambda tables: {"broad": {A, E, "unknown"}})
    assert states(lake) == {**dict.fromkeys(IDS), A: "inconsistent", E: "inconsistent"}
    assert report.processed == 5


# Being cut off


class Killed(BaseException):
    """The process ends here."""


ENGINE = {B: DocumentError(Reason.CORRUPT), C: output("c", failures=(DocumentError(Reason.CORRUPT, "x", page=2),))}
FIRST, EACH = ["stage_versions"], ["pages", "words", "quarantine", "stage_status"]
WRITES = FIRST + EACH + EACH
"""What a run in two chunks writes to, in order."""


def cut_off_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> list[str]:
    """Let a write fail, before it is done or after; the tables written to are told."""
    written: list[str] = []
    real = Lake.write

    def write(self: Lake, name: str, rows: pa.Table, **more: object) -> None:
        written.append(name)
        if len(written) == number and not after:
            raise Killed
        real(self, name, rows, **more)  # type: ignore[arg-type]
        if len(written) == number:
            raise Killed

    monkeypatch.setattr(Lake, "write", write)
    return written


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """What the tables hold after runs that nobody disturbed: the first, and one of a new version over it."""
    lake = Lake(LakeLocation.under(tmp_path_factory.mktemp("undisturbed")))
    prepare(lake, IDS[:4])
    run(lake, Fake(dict(ENGINE)), chunk=2)
    first = content(lake, TABLES)
    run(lake, Fake({d: output("new") for d in IDS}), version="2", chunk=2)
    return {"first": first, "second": content(lake, TABLES)}


@pytest.mark.parametrize(("number", "after"), [*((n, False) for n in range(1, len(WRITES) + 1)), (len(WRITES), True)])
def test_cut_off_at_any_write_a_rerun_ends_in_the_same_content(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, dict[str, list[str]]], number: int, after: bool
) -> None:
    prepare(lake, IDS[:4])
    with monkeypatch.context() as patch:
        written = cut_off_at(patch, number, after)
        with pytest.raises(Killed):
            run(lake, Fake(dict(ENGINE)), chunk=2)
    assert written == WRITES[:number]
    engine = Fake(dict(ENGINE))
    run(lake, engine, chunk=2)
    committed = written[: number if after else number - 1].count("stage_status") * 2
    assert engine.asked == IDS[committed:4], "a committed chunk was done again"
    assert content(lake, TABLES) == undisturbed["first"]
    assert conservation(lake, NAME, DAY)["miscounted"] == []


@pytest.mark.parametrize("number", [7, 11])
def test_a_redo_that_is_cut_off_ends_in_the_same_content_too(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, dict[str, list[str]]], number: int
) -> None:
    """Writes 10 and 11 are those of the sweep that removes the rows of before."""
    prepare(lake, IDS[:4])
    run(lake, Fake(dict(ENGINE)), chunk=2)
    new = {d: output("new") for d in IDS}
    with monkeypatch.context() as patch:
        cut_off_at(patch, number, after=False)
        with pytest.raises(Killed):
            run(lake, Fake(dict(new)), version="2", chunk=2)
    for document_id, seen in texts(lake).items():
        assert len(seen) == 1, f"readers see {document_id} twice or half"
    run(lake, Fake(dict(new)), version="2", chunk=2)
    assert content(lake, TABLES) == undisturbed["second"]


def test_an_engine_that_breaks_the_run_loses_a_chunk_at_most(lake: Lake) -> None:
    prepare(lake, IDS)
    with pytest.raises(Killed):
        run(lake, Fake({D: Killed()}), chunk=2)
    assert set(states(lake)) == {A, B}
    engine = Fake()
    run(lake, engine, chunk=2)
    assert engine.asked == [C, D, E]
    assert conservation(lake, NAME, DAY) == DONE_ALL


# Two at once


def test_a_clock_that_is_set_back_between_runs_loses_and_doubles_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(lake, IDS[:3])
    run(lake, Fake())
    now, real = time.time, dt.datetime

    class Earlier(real):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Earlier":
            return cls.fromtimestamp(now() - 86_400, tz)

    with monkeypatch.context() as back:
        back.setattr(time, "time", lambda: now() - 86_400)
        back.setattr(dt, "datetime", Earlier)
        prepare(lake, IDS[3:])
        engine = Fake({A: output("again")})
        run(lake, engine, selection=Selection(only=frozenset([A, *IDS[3:]]), force=True))
    assert engine.asked == [A, *IDS[3:]]
    assert texts(lake)[A] == ["again"], "the later verdict is that of the higher fence, whatever the clocks say"
    assert lake.read("pages").num_rows == 5
    assert conservation(lake, NAME, DAY) == DONE_ALL


def test_two_runs_at_once_do_the_work_once(lake: Lake) -> None:
    prepare(lake, IDS)
    engine = Fake()
    location, start = lake.location, threading.Barrier(2)

    def one(_: int) -> int:
        start.wait()
        return run(Lake(location), engine, chunk=2).processed

    with ThreadPoolExecutor(2) as threads:
        processed = list(threads.map(one, range(2)))
    assert sorted(processed) == [0, 5]
    assert sorted(engine.asked) == IDS
    assert lake.read("pages").num_rows == 5


def test_a_run_that_was_overtaken_commits_nothing_more(lake: Lake) -> None:
    prepare(lake, IDS)

    def overtaken(task: Task) -> Output:
        if task.document_id == C:
            with lake.leases._transaction() as connection:
                connection.execute("update lease set fence = fence + 1 where name = ?", [f"{NAME} {DAY}"])
        return output("x")

    with pytest.raises(LeaseLostError):
        run(lake, overtaken, chunk=2)
    assert set(states(lake)) == {A, B}
    assert lake.read("pages").num_rows == 2


def slow_output(task: Task) -> Output:
    """In a worker; the first document takes longer than the others together."""
    if task.document_id == A:
        time.sleep(0.5)
    return output("from a worker")


def test_a_parallel_stage_works_in_processes(lake: Lake, tmp_path: Path) -> None:
    prepare(lake, IDS)
    run(lake, slow_output, chunk=1, place=Place.PROCESSES, pool=PoolSettings(workers=2, task_seconds=60))
    assert texts(lake) == {d: ["from a worker"] for d in IDS}
    assert conservation(lake, NAME, DAY) == DONE_ALL
