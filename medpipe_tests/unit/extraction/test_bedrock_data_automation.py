"""Data Automation: which pages are sent, and what its output means. The service is the double's, S3 is moto's."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.metering import Cost, collecting
from medpipe_assets.aws.responses import ResponseStore
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.extraction import media_type
from medpipe_assets.extraction.bedrock_data_automation import SERVICE, START, BedrockDataAutomationExtraction
from medpipe_assets.extraction.data_automation_output import read
from medpipe_assets.extraction.engine import Extraction, Page, Words
from medpipe_assets.extraction.scans import Scan
from medpipe_tests.aws_double.engines import Engines, embedded_engines, toy_engines
from medpipe_tests.aws_double.fixtures import Aws, aws, moto_server
from medpipe_tests.unit.extraction import make
from medpipe_tests.unit.extraction.checks import assert_sound
from medpipe_tests.unit.extraction.test_textract import scan, scanned_pdf, texts

__all__ = ["aws", "moto_server"]

PROJECT = "arn:aws:bedrock:us-east-1:123456789012:data-automation-project/words"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:data-automation-profile/us.data-automation-v1"


def project(name: str) -> str:
    return PROJECT.replace("words", name)


def numbered() -> Engines:
    """Reads from each page of a PDF its number, wherever it came from."""

    def one(number: int, size: tuple[float, float]) -> Page:
        words = Words(
            ["page", str(number)], [0.9, 0.8], [(0.1, 0.1, 0.2, 0.15), (0.3, 0.1, 0.35, 0.15)], [0, 5], [4, 6]
        )
        return Page(number, *size, 0, "ocr", f"page {number}", words, 0.85)

    def pages(data: bytes, _: str) -> Extraction:
        document = pypdfium2.PdfDocument(data)
        return Extraction(tuple(one(i, page.get_size()) for i, page in enumerate(document, start=1)))

    return replace(toy_engines(), read=pages)


@pytest.fixture
def aws_settings() -> dict[str, Any]:
    return {"engines": numbered()}


Make = Callable[..., BedrockDataAutomationExtraction]


@pytest.fixture
def engine(aws: Aws, tmp_path: Path) -> Make:
    """Makes engines that share a bucket and a store."""
    aws.client("s3").create_bucket(Bucket="lake")

    def made(**more: Any) -> BedrockDataAutomationExtraction:
        calls = PaidCalls(Clients(), ResponseStore(str(tmp_path / "responses")), sleep=lambda _: None)
        return BedrockDataAutomationExtraction(
            **{"calls": calls, "project": PROJECT, "profile": PROFILE, "bucket": "lake", **more}
        )

    return made


def left(aws: Aws) -> list[str]:
    return [found["Key"] for found in aws.client("s3").list_objects_v2(Bucket="lake").get("Contents", ())]


def paid(costs: list[Cost]) -> float:
    return sum(cost.units for cost in costs if cost.dollars)


# --- routing and jobs


def test_scans_go_as_one_job_without_pages_that_need_no_reading(aws: Aws, engine: Make) -> None:
    data = scanned_pdf("one", "", "two")
    with collecting() as costs:
        extraction = engine().extract(data, media_type.PDF)
    assert_sound(extraction)
    assert texts(extraction) == [(1, "page 1"), (2, ""), (3, "page 2")]
    assert [(page.method, page.width, page.height) for page in extraction.pages] == [("ocr", 612, 792)] * 3
    assert extraction.pages[0].words.boxes[1] == pytest.approx((0.3, 0.1, 0.35, 0.15))
    assert extraction.pages[0].words.confidence == [0.9, 0.8]
    assert [(cost.units, cost.reason_saved) for cost in costs] == [(1, "blank"), (2, None)]
    assert costs[1].dollars == pytest.approx(0.02)
    assert aws.double.bill.units() == {(SERVICE, START, "standard"): 2}
    assert left(aws) == []


def test_digital_documents_cost_nothing_and_say_what_they_saved(aws: Aws, engine: Make) -> None:
    with collecting() as costs:
        extraction = engine().extract(make.pdf([make.note_page()]), media_type.PDF)
        engine().extract(b"A note.", media_type.PLAIN)
    assert [page.method for page in extraction.pages] == ["text_layer"]
    assert [(cost.reason_saved, cost.saved_dollars) for cost in costs] == [("digital", pytest.approx(0.01))]
    assert aws.double.bill.charges == []


def test_pages_of_pictures_are_sent_too(aws: Aws, engine: Make) -> None:
    buffer = io.BytesIO()
    scan("one").save(buffer, "TIFF", save_all=True, append_images=[Image.new("RGB", (900, 400), "white"), scan("two")])
    extraction = engine().extract(buffer.getvalue(), "image/tiff")
    assert texts(extraction) == [(1, "page 1"), (2, ""), (3, "page 2")]
    assert (extraction.pages[0].width, extraction.pages[0].height) == scan("one").size
    assert extraction.pages[0].words.boxes[0] is not None
    assert aws.double.bill.units() == {(SERVICE, START, "standard"): 2}


def test_a_long_document_is_sent_in_parts(aws: Aws, engine: Make) -> None:
    extraction = engine().extract(scanned_pdf(*["one"] * 23), media_type.PDF)
    assert [number for number, _ in texts(extraction)] == list(range(1, 24))
    assert [charge.units for charge in aws.double.bill.charges] == [20, 3]


def test_the_second_time_the_answer_comes_from_the_store(aws: Aws, engine: Make) -> None:
    data = scanned_pdf("one", "two")
    first = engine().extract(data, media_type.PDF)
    asked = aws.actions
    with collecting() as costs:
        assert engine().extract(data, media_type.PDF) == first
    assert aws.actions == asked
    assert [(cost.dollars, cost.saved_dollars, cost.reason_saved) for cost in costs] == [(0, 0.02, "stored")]


def test_a_run_killed_before_it_kept_the_answer_pays_once(
    aws: Aws, engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, killed = scanned_pdf("one", "two"), engine()

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(killed.calls.store, "put", kill)
    with pytest.raises(KeyboardInterrupt):
        killed.extract(data, media_type.PDF)
    assert texts(engine().extract(data, media_type.PDF)) == [(1, "page 1"), (2, "page 2")]
    assert aws.double.bill.units() == {(SERVICE, START, "standard"): 2}


@pytest.mark.parametrize(
    "name, complaint", [("public-default", "WORD"), ("boxless", "bounding boxes"), ("splitting", "splitter")]
)
def test_a_project_that_tells_too_little_stops_the_run_and_its_answer_is_not_kept(
    aws: Aws, engine: Make, name: str, complaint: str
) -> None:
    data = scanned_pdf("one", "two")
    with collecting() as costs, pytest.raises(ConfigurationError, match=complaint):
        engine(project=project(name)).extract(data, media_type.PDF)
    assert paid(costs) == 2, "the service was paid all the same"
    assert left(aws) == []
    with pytest.raises(ConfigurationError, match=complaint):  # once mended, the project would be asked again
        engine(project=project(name)).extract(data, media_type.PDF)
    assert aws.double.bill.units() == {(SERVICE, START, "standard"): 4}


def test_a_project_with_blueprints_is_charged_as_such(aws: Aws, engine: Make) -> None:
    with collecting() as costs:
        engine(project=project("blueprints"), output="custom").extract(scanned_pdf("one"), media_type.PDF)
    assert sum(cost.dollars for cost in costs) == pytest.approx(0.04) == aws.double.bill.dollars()


def test_a_document_that_the_service_refuses_is_refused(aws: Aws, engine: Make) -> None:
    def refuse(*_: object) -> Extraction:
        raise DocumentError(Reason.CORRUPT)

    service = aws.double.services[SERVICE]
    service._read = refuse  # type: ignore[attr-defined]
    with pytest.raises(DocumentError) as error:
        engine().extract(scanned_pdf("one"), media_type.PDF)
    assert error.value.reason is Reason.ENGINE_REJECTED
    assert aws.double.bill.charges == []


@pytest.mark.slow
@pytest.mark.parametrize("aws_settings", [{"engines": embedded_engines()}])
def test_a_scan_reads_as_the_embedded_engine_reads_it(aws: Aws, engine: Make) -> None:
    extraction = engine().extract(make.saved(scan("Scanned page"), "PNG"), "image/png")
    assert_sound(extraction)
    assert texts(extraction) == [(1, "\n".join(["Scanned page"] * 3))]


# --- output

SCAN = Scan(7, (600.0, 800.0), 90)


def word(text: str, left: float, top: float, line: str = "l", **more: Any) -> dict[str, Any]:
    """A word as it is documented, a letter a hundredth wide."""
    box = {"left": left, "top": top, "width": len(text) / 100, "height": 0.02}
    return {
        "id": f"{text} {left} {top}",
        "text": text,
        "line_id": line,
        "page_index": 0,
        "locations": {"page_index": 0, "bounding_box": box},
        **more,
    }


def output(*words: dict[str, Any], **assets: Any) -> dict[str, Any]:
    return {"pages": [{"page_index": 0, "asset_metadata": assets}], "text_words": list(words)}


def only(told: dict[str, Any], sent: Scan = SCAN) -> Page:
    (page,) = read([told], [sent])
    assert isinstance(page, Page)
    assert_sound(Extraction((page,)))
    return page


def test_words_come_in_reading_order_with_boxes_and_without_confidence() -> None:
    told = output(word("below", 0.1, 0.5, "2"), word("right", 0.6, 0.1, "1b"), word("left", 0.1, 0.1, "1"))
    page = only(told, Scan(7, (600.0, 800.0), 90))
    assert (page.number, page.text, page.method) == (7, "left\tright\nbelow", "ocr")
    assert (page.width, page.height, page.rotation) == (600, 800, 90)
    assert page.words.boxes[0] == pytest.approx((0.1, 0.1, 0.14, 0.12))
    assert page.words.confidence == [None] * 3 and page.mean_confidence is None


def test_what_the_service_adds_to_the_documented_form_is_read_too() -> None:
    told = word("sure", 0.1, 0.1, confidence=0.75)
    page = only(output({**told, "locations": [told["locations"]]}, corners=[[0, 0], [1, 0], [1, 1], [0, 1]]))
    assert page.mean_confidence == 0.75
    assert page.words.boxes[0] == pytest.approx((0.1, 0.1, 0.14, 0.12))


@pytest.mark.parametrize(
    "assets",
    [
        {"rectified_image_width_pixels": 2200, "rectified_image_height_pixels": 1700},
        {"corners": [[0.1, 0.1], [0.6, 0.1], [0.6, 0.6], [0.1, 0.6]]},
    ],
    ids=["turned", "cut out"],
)
def test_words_of_a_page_that_is_not_the_one_sent_keep_their_text_and_have_no_boxes(assets: dict[str, Any]) -> None:
    page = only(output(word("left", 0.1, 0.1), word("right", 0.3, 0.1), **assets))
    assert page.text in ("left right", "left\tright")
    assert page.words.boxes == [None, None]
    assert (page.width, page.height) == (0, 0)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"pages": None},
        {"pages": [{}]},
        {"image": {"text_words": []}},
        output({"text": "without a page"}),
        output(word("x", 0.1, 0.1, locations={"bounding_box": {"left": "a"}})),
    ],
)
def test_what_is_not_a_documents_output_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(DocumentError) as error:
        read([told], [SCAN])
    assert error.value.reason is Reason.ENGINE_REJECTED


def test_a_page_that_is_not_told_of_is_no_blank_page() -> None:
    counted = {"page_index": 1, "statistics": {"word_count": 3}}
    blank = {"page_index": 2, "statistics": {"word_count": 0}}
    told = {**output(word("x", 0.1, 0.1)), "pages": [{"page_index": 0}, counted, blank]}
    found = read([told], [Scan(i, (600.0, 800.0), 0) for i in (1, 2, 3, 4)])
    assert [isinstance(page, Page) for page in found] == [True, False, True, False]
    assert [page.page for page in found if isinstance(page, DocumentError)] == [2, 4]


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.floats(-0.5, 1.5), st.floats(-0.5, 1.5), st.sampled_from("abc")), max_size=25
    )
)
def test_whatever_is_told_offsets_name_the_words(found: list[tuple[str, float, float, str]]) -> None:
    only(output(*(word(*one) for one in found)))
