"""What documents would cost and did: counted without a paid call, each document once, and summed from the table."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from medpipe_assets.aws.metering import BudgetReachedError
from medpipe_assets.documents.costs import count, facts_of, lines_of, report, spent, tells_budget_reached
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.schemas import TABLES
from medpipe_tests.unit.extraction import make
from medpipe_tests.unit.lake.builders import DAY, NOW

SPANISH = "Paciente con diabetes mellitus tipo 2. Niega fiebre. Refiere disnea desde hace dos semanas."


def fetch_from(**found: bytes) -> Any:
    def fetch(uri: str) -> bytes:
        if uri not in found:
            raise DocumentError(Reason.UNREADABLE, "gone")
        return found[uri]

    return fetch


def test_text_has_characters_and_no_page_to_be_read() -> None:
    facts = facts_of(SPANISH.encode())
    assert facts.characters == {"es": len(SPANISH)}
    assert facts.scanned_pages == facts.digital_pages == facts.unread_pages == 0


def test_a_digital_pdf_is_told_from_a_scan() -> None:
    digital, scan = facts_of(make.pdf([make.note_page()])), facts_of(make.saved(make.picture(), "PNG"))
    assert (digital.digital_pages, digital.scanned_pages) == (1, 0) and sum(digital.characters.values()) > 20
    assert (scan.digital_pages, scan.scanned_pages, scan.unread_pages) == (0, 1, 1) and not scan.characters


def test_nothing_is_read_by_ocr_to_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from medpipe_assets.extraction import rapid_ocr

    def refuse(*_: Any) -> Any:
        raise AssertionError("the models are loaded")

    monkeypatch.setattr(rapid_ocr, "_models", refuse)
    assert facts_of(make.saved(make.picture(), "PNG")).scanned_pages == 1


def test_a_document_counts_once_wherever_it_lies_and_archives_are_opened() -> None:
    packed = make.zipped({"again.txt": SPANISH, "other.txt": SPANISH + " Asma."})
    fetch = fetch_from(a=SPANISH.encode(), b=SPANISH.encode(), c=packed, d=b"%PDF-1.7\ncut off", e=b"")
    counted = count(["a", "b", "c", "d", "e", "gone"], fetch).as_json()
    assert counted["documents"] == 2 and counted["repeated_documents"] == 2
    assert counted["unreadable_documents"] == {"corrupt": 1, "empty": 1, "unreadable": 1}
    assert counted["characters"] == {"es": 2 * len(SPANISH) + 6}


def paid(lake: Lake, run_id: str, day: dt.date, dollars: float, reason: str | None = None, **other: Any) -> None:
    row = {
        "document_id": "d", "ingest_date": day, "stage": "entities", "service": "comprehendmedical",
        "operation": "DetectEntitiesV2", "units": 3.0, "unit": "100 characters",
        "dollars": 0.0 if reason else dollars, "saved_dollars": dollars if reason else 0.0, "reason_saved": reason,
        "run_id": run_id, "processed_at": NOW, **other,
    }  # fmt: skip
    lake.write("costs", pa.Table.from_pylist([row], TABLES["costs"].schema))


def test_what_was_paid_is_summed_by_day_stage_operation_and_reason(lake: Lake) -> None:
    later = DAY + dt.timedelta(days=1)
    for _ in range(2):
        paid(lake, "r1", DAY, 0.25)
    paid(lake, "r2", DAY, 0.5, "stored")
    paid(lake, "r2", later, 1.0)
    rows = report(lake)
    assert [(row["ingest_date"], row["dollars"], row["saved_dollars"]) for row in rows if not row["reason_saved"]] == [
        (DAY, 0.5, 0.0),
        (later, 1.0, 0.0),
    ]
    assert [row["saved_dollars"] for row in rows if row["reason_saved"] == "stored"] == [0.5]
    assert [row["dollars"] for row in report(lake, later)] == [1.0]
    assert spent(lake, ["r1"]) == 0.5 and spent(lake, []) == 0.0


def test_a_person_reads_every_sum_and_the_total(lake: Lake) -> None:
    paid(lake, "r", DAY, 0.25)
    paid(lake, "r", DAY, 0.5, "stored")
    lines = lines_of(report(lake))
    assert len(lines) == 4
    assert lines[-1].split() == ["0.2500", "0.5000", "in", "all"]
    assert any("DetectEntitiesV2 (stored)" in line and "2026-11-02 entities" in line for line in lines)


@pytest.mark.parametrize("dollars", [0.0, 3.5, 1234.56])
def test_a_budget_that_is_reached_is_known_by_its_message(dollars: float) -> None:
    assert tells_budget_reached(f"Failure: {BudgetReachedError(dollars)}")
    assert not tells_budget_reached("failed with ValueError at stage.py:1")
