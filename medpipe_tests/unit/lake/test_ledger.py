"""The ledger: what is to be done, which verdict is in force, which rows count, and what must balance."""

import datetime as dt
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.errors import RETRIED_BY_THEMSELVES, Reason
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import (
    DONE,
    FIRST_INPUT,
    QUARANTINED,
    Verdict,
    conservation,
    first_days,
    inputs_of,
    read_vouched,
    sweep,
    verdicts,
    version_after,
    withdraw,
    work_list,
)
from medpipe_assets.lake.schemas import STAGES
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, NOW, document, put, receive, verdict_row

LATER = NOW + dt.timedelta(hours=1)


def verdict(
    document_id: str, stage: str, stage_version: str, input_version: str, reason: Reason | None = None
) -> Verdict:
    outcome = DONE if reason is None else QUARANTINED
    return Verdict(document_id, stage, stage_version, input_version, outcome, reason, 1, "run", NOW, 1)


# Work lists

IDS = st.sampled_from([f"d{n}" for n in range(6)])
VERSIONS = st.sampled_from(["1", "2"])
INPUTS = st.dictionaries(IDS, VERSIONS)


@st.composite
def ledgers(draw: st.DrawFn) -> dict[str, Verdict]:
    reasons = st.none() | st.sampled_from(Reason)
    return {d: verdict(d, "entities", draw(VERSIONS), draw(VERSIONS), draw(reasons)) for d in draw(st.sets(IDS))}


def is_settled(inputs: Mapping[str, str], own: Mapping[str, Verdict], document_id: str) -> bool:
    found = own.get(document_id)
    return (
        found is not None
        and (found.stage_version, found.input_version) == ("1", inputs[document_id])
        and not (found.outcome == QUARANTINED and Reason(found.reason or "") in RETRIED_BY_THEMSELVES)
    )


@given(INPUTS, ledgers())
def test_work_is_what_is_not_settled_and_nothing_else(inputs: dict[str, str], own: dict[str, Verdict]) -> None:
    work = work_list(inputs, own, "1")
    assert work.input_versions == {d: v for d, v in inputs.items() if not is_settled(inputs, own, d)}
    assert list(work.input_versions) == sorted(work.input_versions)


@given(INPUTS, ledgers())
def test_when_the_work_is_done_none_is_left(inputs: dict[str, str], own: dict[str, Verdict]) -> None:
    work = work_list(inputs, own, "1")
    after = own | {d: verdict(d, "entities", "1", version) for d, version in work.input_versions.items()}
    assert work_list(inputs, after, "1").input_versions == {}


@given(INPUTS, ledgers(), st.sets(IDS), st.booleans())
def test_only_restricts_the_work_and_invents_none(
    inputs: dict[str, str], own: dict[str, Verdict], only: set[str], force: bool
) -> None:
    whole = work_list(inputs, own, "1", force=force)
    part = work_list(inputs, own, "1", only=only, force=force)
    assert part.input_versions == {d: v for d, v in whole.input_versions.items() if d in only}


@given(INPUTS, ledgers())
def test_force_redoes_everything_that_has_input(inputs: dict[str, str], own: dict[str, Verdict]) -> None:
    assert work_list(inputs, own, "1", force=True).input_versions == inputs


@given(INPUTS, ledgers(), st.booleans())
def test_what_has_a_verdict_already_is_redone_not_added(
    inputs: dict[str, str], own: dict[str, Verdict], force: bool
) -> None:
    work = work_list(inputs, own, "1", force=force)
    assert work.redo == set(work.input_versions) & set(own)


@pytest.mark.parametrize("reason", list(Reason))
def test_only_passing_failures_are_tried_again_unasked(reason: Reason) -> None:
    own = {"d": verdict("d", "entities", "1", "a", reason)}
    again = "d" in work_list({"d": "a"}, own, "1").input_versions
    assert again == (reason in {Reason.ENGINE_UNAVAILABLE, Reason.ENGINE_CRASHED, Reason.TIMEOUT})
    assert "d" in work_list({"d": "a"}, own, "2").input_versions, "a new engine tries everything"


@given(st.integers(0, len(STAGES) - 1))
def test_a_changed_engine_redoes_its_stage_and_what_follows_and_nothing_before(changed: int) -> None:
    before = dict.fromkeys(STAGES, "1")
    ledger = _run_line(before, {})[0]
    _, worked = _run_line({**before, STAGES[changed]: "2"}, ledger)
    assert worked == list(STAGES[changed:])
    assert _run_line(before, ledger)[1] == []


def _run_line(versions: Mapping[str, str], ledger: Mapping[str, Verdict]) -> tuple[dict[str, Verdict], list[str]]:
    """One document through all stages: the verdicts after, and the stages that had work."""
    after, worked, handed_on = dict(ledger), [], FIRST_INPUT
    for stage in STAGES:
        own = {"d": after[stage]} if stage in after else {}
        if work_list({"d": handed_on}, own, versions[stage]).input_versions:
            worked.append(stage)
            after[stage] = verdict("d", stage, versions[stage], handed_on)
        handed_on = version_after(after[stage])
    return after, worked


@given(st.tuples(VERSIONS, VERSIONS), st.tuples(VERSIONS, VERSIONS))
def test_chains_of_other_versions_hand_on_other_input_versions(one: tuple[str, str], other: tuple[str, str]) -> None:
    first, second = (version_after(verdict("d", "entities", *pair)) for pair in (one, other))
    assert (first == second) == (one == other)


# Days and inputs


def test_a_document_belongs_to_the_day_of_its_first_receipt(lake: Lake) -> None:
    receive(lake, [document(1)], DAY)
    receive(lake, [document(1), document(2)], NEXT_DAY)
    assert first_days(lake) == {document(1): DAY, document(2): NEXT_DAY}


def test_an_older_receipt_that_is_taken_in_late_does_not_move_a_document_to_another_day(lake: Lake) -> None:
    receive(lake, [document(1)], NEXT_DAY)
    receive(lake, [document(1)], DAY)
    assert first_days(lake) == {document(1): NEXT_DAY}


def test_the_first_stage_gets_the_documents_of_the_day(lake: Lake) -> None:
    receive(lake, [document(1)], DAY)
    receive(lake, [document(2)], NEXT_DAY)
    put(lake, "document_sources", {"source_id": "of an archive", "document_id": None, "sequence": 99})
    assert inputs_of(lake, "raw_documents", DAY) == {document(1): FIRST_INPUT}


def test_a_later_stage_gets_what_the_one_before_it_has_done(lake: Lake) -> None:
    put(
        lake,
        "stage_status",
        verdict_row(document(1)),
        verdict_row(document(2), outcome=QUARANTINED, reason="corrupt"),
        verdict_row(document(3), ingest_date=NEXT_DAY),
        verdict_row(document(4), "entities"),
    )
    own = verdicts(lake, "raw_documents", [DAY])
    assert inputs_of(lake, "extracted_text", DAY) == {document(1): version_after(own[document(1)])}


# Which verdict is in force


def test_the_latest_verdict_of_a_lease_is_in_force(lake: Lake) -> None:
    put(
        lake,
        "stage_status",
        verdict_row(document(1), stage_version="new", processed_at=LATER),
        verdict_row(document(1)),
    )
    assert verdicts(lake, "raw_documents")[document(1)].stage_version == "new"


def test_a_verdict_of_a_higher_fence_wins_though_its_clock_is_earlier(lake: Lake) -> None:
    put(lake, "stage_status", verdict_row(document(1), stage_version="overtaken", fence=1, processed_at=LATER))
    put(lake, "stage_status", verdict_row(document(1), stage_version="in force", fence=2))
    assert verdicts(lake, "raw_documents", [DAY])[document(1)].stage_version == "in force"


def test_verdicts_of_other_stages_days_and_documents_are_left_out(lake: Lake) -> None:
    put(
        lake,
        "stage_status",
        verdict_row(document(1), "entities"),
        verdict_row(document(2)),
        verdict_row(document(3), ingest_date=NEXT_DAY),
    )
    assert set(verdicts(lake, "raw_documents", [DAY])) == {document(2)}
    assert set(verdicts(lake, "raw_documents", documents=[document(3)])) == {document(3)}


# Which rows count


def _page(document_id: str, run_id: str = "x", **more: object) -> dict[str, object]:
    return {"document_id": document_id, "run_id": run_id, **more}


def test_rows_count_only_where_a_done_verdict_vouches_for_them(lake: Lake) -> None:
    kept, cut_off, failed, redone = (document(n) for n in range(4))
    put(
        lake,
        "pages",
        _page(kept, text="kept"),
        _page(cut_off, text="no verdict"),
        _page(failed, text="quarantined"),
        _page(redone, text="old"),
        _page(redone, "second", text="new", processed_at=LATER),
        _page(kept, "other run", text="same time, other run"),
        _page(kept, text="same run, other time", processed_at=LATER),
    )
    put(
        lake,
        "stage_status",
        verdict_row(kept, "extracted_text"),
        verdict_row(failed, "extracted_text", outcome=QUARANTINED, reason="corrupt"),
        verdict_row(redone, "extracted_text"),
        verdict_row(redone, "extracted_text", run_id="second", processed_at=LATER, fence=2),
    )
    assert sorted(read_vouched(lake, "pages", ("text",), days=[DAY])["text"].to_pylist()) == ["kept", "new"]
    assert read_vouched(lake, "pages", ("text",), documents=[redone])["text"].to_pylist() == ["new"]


def test_tables_of_no_stage_are_read_as_they_stand(lake: Lake) -> None:
    receive(lake, [document(1)])
    assert read_vouched(lake, "document_sources").num_rows == 1


def test_a_sweep_removes_the_rows_that_do_not_count_and_no_others(lake: Lake) -> None:
    kept, mixed, cut_off, other_day = (document(n) for n in range(4))
    put(
        lake,
        "pages",
        _page(kept, text="kept"),
        _page(mixed, text="kept too"),
        _page(mixed, "cut off", text="gone"),
        _page(cut_off, text="gone"),
        _page(other_day, text="of another day", ingest_date=NEXT_DAY),
    )
    put(lake, "words", {"document_id": cut_off, "text": "gone"})
    put(lake, "segments", {"document_id": cut_off, "source_text": "of another stage"})
    put(lake, "stage_status", verdict_row(kept, "extracted_text"), verdict_row(mixed, "extracted_text", row_count=1))
    before = read_vouched(lake, "pages")
    assert sweep(lake, "extracted_text", DAY) == 2
    assert sorted(lake.read("pages")["text"].to_pylist()) == ["kept", "kept too", "of another day"]
    assert lake.read("words").num_rows == 0
    assert lake.read("segments").num_rows == 1
    assert read_vouched(lake, "pages").sort_by("text").equals(before.sort_by("text"))
    assert sweep(lake, "extracted_text", DAY) == 0


def test_a_sweep_of_a_clean_day_changes_no_table(lake: Lake) -> None:
    put(lake, "pages", _page(document(1)))
    put(lake, "stage_status", verdict_row(document(1), "extracted_text"))
    before = lake.table("pages").current_snapshot()
    assert sweep(lake, "extracted_text", DAY) == 0
    assert lake.table("pages").current_snapshot() == before


def test_a_withdrawn_verdict_is_gone_with_its_rows_and_no_other_is(lake: Lake) -> None:
    kept, withdrawn = document(1), document(2)
    for stage in ("raw_documents", "extracted_text", "translated_text"):
        put(lake, "stage_status", verdict_row(kept, stage), verdict_row(withdrawn, stage))
    put(lake, "pages", _page(kept, text="kept"), _page(withdrawn, text="of bytes that can no longer be read"))
    withdraw(lake, "extracted_text", DAY, {withdrawn})
    assert set(verdicts(lake, "extracted_text")) == {kept}
    assert set(verdicts(lake, "raw_documents")) == set(verdicts(lake, "translated_text")) == {kept, withdrawn}
    assert lake.read("pages")["text"].to_pylist() == ["kept"]


# Conservation


def _balanced(lake: Lake) -> tuple[str, str]:
    done, failed = document("done"), document("failed")
    receive(lake, [done, failed])
    put(lake, "raw_documents", {"document_id": done})
    put(
        lake,
        "stage_status",
        verdict_row(done, input_version=FIRST_INPUT),
        verdict_row(failed, input_version=FIRST_INPUT, outcome=QUARANTINED, reason="corrupt", row_count=0),
    )
    return done, failed


def test_a_day_on_which_all_is_said_of_all_documents_balances(lake: Lake) -> None:
    _balanced(lake)
    assert conservation(lake, "raw_documents", DAY) == {
        "inputs": 2, "done": 1, "quarantined": 1, "pending": 0, "outdated": 0, "miscounted": [],
    }  # fmt: skip


def test_a_document_without_a_verdict_is_pending(lake: Lake) -> None:
    _balanced(lake)
    receive(lake, [document("new")])
    assert conservation(lake, "raw_documents", DAY)["pending"] == 1


def test_a_verdict_on_an_older_input_is_outdated_and_not_pending(lake: Lake) -> None:
    receive(lake, [document(1)])
    put(lake, "stage_status", verdict_row(document(1)), verdict_row(document(1), "extracted_text", row_count=0))
    balance = conservation(lake, "extracted_text", DAY)
    assert (balance["done"], balance["pending"], balance["outdated"]) == (1, 0, 1)


def test_a_lost_row_is_found(lake: Lake) -> None:
    done, _ = _balanced(lake)
    lake.table("raw_documents").delete(f"document_id = '{done}'")
    assert conservation(lake, "raw_documents", DAY)["miscounted"] == [done]


def test_a_doubled_row_is_found(lake: Lake) -> None:
    done, _ = _balanced(lake)
    put(lake, "raw_documents", {"document_id": done})
    assert conservation(lake, "raw_documents", DAY)["miscounted"] == [done]


def test_rows_are_counted_over_all_tables_of_a_stage(lake: Lake) -> None:
    done, _ = _balanced(lake)
    put(lake, "pages", _page(done))
    put(lake, "words", {"document_id": done}, {"document_id": done, "word_index": 2})
    handed_on = version_after(verdicts(lake, "raw_documents")[done])
    put(lake, "stage_status", verdict_row(done, "extracted_text", input_version=handed_on, row_count=3))
    balance = conservation(lake, "extracted_text", DAY)
    assert balance == {"inputs": 1, "done": 1, "quarantined": 0, "pending": 0, "outdated": 0, "miscounted": []}


def test_a_stage_that_found_nothing_in_a_document_is_done_with_it(lake: Lake) -> None:
    receive(lake, [document(1)])
    put(lake, "stage_status", verdict_row(document(1), input_version=FIRST_INPUT, row_count=0))
    assert conservation(lake, "raw_documents", DAY)["miscounted"] == []
    assert work_list(inputs_of(lake, "raw_documents", DAY), verdicts(lake, "raw_documents"), "x").input_versions == {}
