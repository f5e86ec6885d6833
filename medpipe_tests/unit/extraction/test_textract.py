"""Textract: which pages are sent, and what its answers mean."""

import io
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medpipe_assets.aws.metering import collecting
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import media_type
from medpipe_assets.extraction.engine import Extraction
from medpipe_assets.extraction.scans import encoded, is_blank
from medpipe_assets.extraction.textract import TextractExtraction
from medpipe_assets.extraction.textract_blocks import read
from medpipe_tests.unit.answers import Services, paid
from medpipe_tests.unit.extraction import make
from medpipe_tests.unit.extraction.checks import assert_sound

CORPORA = Path(os.environ.get("MEDPIPE_CORPORA", Path(__file__).parents[3].parent / "shared" / "data"))
SIZE = {1: (1000.0, 1000.0)}


# --- blocks


def block(kind: str, name: str, box: tuple[float, float, float, float] = (0, 0, 1, 1), **more: Any) -> dict[str, Any]:
    """A block; `child` and other relations are given as lists of ids under their lower-case names."""
    relations = {k: more.pop(k) for k in ("child", "value", "answer", "merged_cell") if k in more}
    left, top, right, bottom = box
    corners = more.pop("polygon", [(left, top), (right, top), (right, bottom), (left, bottom)])
    return {
        "BlockType": kind,
        "Id": name,
        "Confidence": 90.0,
        "Geometry": {
            "BoundingBox": {"Left": left, "Top": top, "Width": right - left, "Height": bottom - top},
            "Polygon": [{"X": x, "Y": y} for x, y in corners],
        },
        "Relationships": [{"Type": k.upper(), "Ids": v} for k, v in relations.items()],
        **more,
    }


def line(words: str, x: float, y: float, page: int | None = None) -> list[dict[str, Any]]:
    """A line of words with its blocks, 0.02 high, a letter 0.01 wide."""
    where = {} if page is None else {"Page": page}
    found = []
    for word in words.split():
        name = f"{page} {word} {x} {y}"
        found.append(
            block("WORD", name, (x, y, x + 0.01 * len(word), y + 0.02), Text=word, TextType="PRINTED", **where)
        )
        x += 0.01 * len(word) + 0.005
    first, last = found[0]["Geometry"]["BoundingBox"], found[-1]["Geometry"]["BoundingBox"]
    box = (first["Left"], y, last["Left"] + last["Width"], y + 0.02)
    return [block("LINE", f"line {page} {words} {y}", box, Text=words, child=[w["Id"] for w in found], **where), *found]


def only(blocks: list[dict[str, Any]]) -> Any:
    (found,) = read(blocks, SIZE)
    assert_sound(Extraction((found.page,)))
    return found


def test_lines_come_in_reading_order_whatever_their_order_in_the_answer() -> None:
    found = only([*line("second line", 0.1, 0.3), *line("first line", 0.1, 0.1), *line("value", 0.6, 0.3)])
    assert found.page.text == "first line\nsecond line\tvalue"
    assert found.page.mean_confidence == pytest.approx(0.9)
    assert (found.page.method, found.page.rotation) == ("ocr", 0)


def test_a_word_with_a_space_becomes_two_that_share_its_box() -> None:
    words = only([block("WORD", "w", (0.1, 0.1, 0.5, 0.2), Text="ab  cd", TextType="HANDWRITING")]).page.words
    assert words.text == ["ab", "cd"]
    assert [box[0] for box in words.boxes] == pytest.approx([0.1, 0.3])
    assert [box[2] for box in words.boxes] == pytest.approx([0.3, 0.5])


def test_handwriting_is_told_apart() -> None:
    found = only(
        [*line("Name", 0.1, 0.1), block("WORD", "h", (0.3, 0.1, 0.4, 0.12), Text="Ann", TextType="HANDWRITING")]
    )
    assert dict(zip(found.page.words.text, found.handwritten, strict=True)) == {"Name": False, "Ann": True}


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_page_reads_upright_with_boxes_where_a_reader_sees_them(turn: int) -> None:
    blocks = [*line("first line", 0.1, 0.1), *line("second", 0.1, 0.2)]
    for b in blocks:  # as the page lies, it has to be turned by `turn` to be upright
        points = [(p["X"], p["Y"]) for p in b["Geometry"]["Polygon"]]
        for _ in range((360 - turn) % 360 // 90):
            points = [(1 - y, x) for x, y in points]
        xs, ys = zip(*points, strict=True)
        b["Geometry"] = {
            "BoundingBox": {"Left": min(xs), "Top": min(ys), "Width": max(xs) - min(xs), "Height": max(ys) - min(ys)},
            "Polygon": [{"X": x, "Y": y} for x, y in points],
        }
    (found,) = read(blocks, {1: (800.0, 1000.0)})
    assert found.page.rotation == turn
    assert found.page.text == "first line\nsecond"
    assert found.page.words.boxes[0] == pytest.approx((0.1, 0.1, 0.15, 0.12))
    assert (found.page.width, found.page.height) == ((800, 1000) if turn in (0, 180) else (1000, 800))


def table() -> list[dict[str, Any]]:
    lines = [*line("Drug Dose", 0.1, 0.1), *line("Aspirin low 100 mg", 0.1, 0.14), *line("Below", 0.1, 0.4)]
    ids = {b["Text"]: b["Id"] for b in lines if b["BlockType"] == "WORD"}
    tick = block("SELECTION_ELEMENT", "tick", (0.5, 0.1, 0.52, 0.12), SelectionStatus="SELECTED")

    def cell(row: int, column: int, *words: str, **more: Any) -> dict[str, Any]:
        at = {"RowIndex": row, "ColumnIndex": column, "RowSpan": 1, "ColumnSpan": 1}
        return block("CELL", f"c{row}{column}", child=[ids.get(w, w) for w in words], **at, **more)

    cells = [
        cell(2, 2, "100", "mg"), cell(1, 1, "Drug", EntityTypes=["COLUMN_HEADER"]), cell(1, 2, "Dose"),
        cell(1, 3, "tick"), cell(2, 1, "Aspirin", "low"), cell(2, 3),
    ]  # fmt: skip
    merged = block("MERGED_CELL", "m", RowIndex=1, ColumnIndex=1, RowSpan=1, ColumnSpan=2, child=["c11", "c12"])
    names = [c["Id"] for c in cells]
    return [*lines, tick, *cells, merged, block("TABLE", "t", (0.1, 0.1, 0.6, 0.17), child=names, merged_cell=["m"])]


def test_a_table_is_read_row_by_row_and_cell_by_cell() -> None:
    found = only(table())
    assert found.page.text == "Drug\tDose\t☒\nAspirin low\t100 mg\nBelow"
    (read_table,) = found.tables
    assert [(c.row, c.column, c.text) for c in read_table.cells] == [
        (1, 1, "Drug"), (1, 2, "Dose"), (1, 3, "☒"), (2, 1, "Aspirin low"), (2, 2, "100 mg"), (2, 3, ""),
    ]  # fmt: skip
    assert read_table.cells[0].kinds == ("COLUMN_HEADER",)
    assert [(c.column_span, c.text) for c in read_table.merged] == [(2, "Drug Dose")]
    assert [(t.selected, t.confidence) for t in found.ticks] == [(True, pytest.approx(0.9))]


def test_forms_questions_signatures_and_layout_are_kept() -> None:
    lines = line("Name: Ann", 0.1, 0.1)
    key_word, value_word = (b["Id"] for b in lines if b["BlockType"] == "WORD")
    found = only(
        [
            *lines,
            block("KEY_VALUE_SET", "k", EntityTypes=["KEY"], child=[key_word], value=["v"]),
            block("KEY_VALUE_SET", "v", EntityTypes=["VALUE"], child=[value_word]),
            block("KEY_VALUE_SET", "alone", EntityTypes=["VALUE"], child=[value_word]),
            block("QUERY", "q", Query={"Text": "Who?", "Alias": "WHO"}, answer=["r"]),
            block("QUERY_RESULT", "r", Text="Ann"),
            block("QUERY", "q2", Query={"Text": "When?"}),
            block("SIGNATURE", "s", (0.5, 0.8, 0.7, 0.9)),
            block("LAYOUT_TEXT", "l", child=[lines[0]["Id"]]),
        ]
    )
    assert [(e.key, e.value) for e in found.entries] == [("Name:", "Ann"), ("", "Ann")]
    assert [(a.question, a.alias, a.text) for a in found.answers] == [("Who?", "WHO", "Ann"), ("When?", "", None)]
    assert [(r.kind, r.text) for r in found.regions] == [("SIGNATURE", ""), ("LAYOUT_TEXT", "Name: Ann")]


@given(
    st.lists(
        st.tuples(
            st.text(max_size=6),
            st.floats(0, 0.9),
            st.floats(0, 0.9),
            st.floats(0, 100),
            st.sampled_from(["WORD", "SELECTION_ELEMENT"]),
        ),
        max_size=25,
    )
)
def test_whatever_is_answered_offsets_name_the_words(found: list[tuple[str, float, float, float, str]]) -> None:
    blocks = [block("PAGE", "p")] + [
        block(kind, str(i), (x, y, x + 0.1, y + 0.05), Text=text, SelectionStatus="SELECTED")
        | {"Confidence": confidence}
        for i, (text, x, y, confidence, kind) in enumerate(found)
    ]
    only(blocks)


@pytest.mark.corpora
@pytest.mark.parametrize(
    "name", ["gib__10_degrees", "gib_multi_page_tables", "multi-tables-multi-page-sample", "patient_intake_form_sample"]
)
def test_real_answers_are_read_without_loss(name: str) -> None:
    file = CORPORA / "textract_responses" / f"{name}.json"
    if not file.exists():
        pytest.skip(f"no corpora at {CORPORA}: set MEDPIPE_CORPORA")
    blocks = json.loads(file.read_text())["Blocks"]
    pages = read(blocks, dict.fromkeys(range(1, 9), (850.0, 1100.0)))
    assert_sound(Extraction(tuple(p.page for p in pages)))
    kinds = Counter(b["BlockType"] for b in blocks)
    assert len(pages) == kinds["PAGE"]
    said = Counter(word for b in blocks if b["BlockType"] == "WORD" for word in b["Text"].split())
    said += Counter("☒" if b["SelectionStatus"] == "SELECTED" else "☐" for b in blocks if "SelectionStatus" in b)
    assert Counter(word for p in pages for word in p.page.words.text) == said
    assert sum(len(p.tables) for p in pages) == kinds["TABLE"]
    assert sum(len(t.cells) for p in pages for t in p.tables) == kinds["CELL"]
    assert sum(len(p.ticks) for p in pages) == kinds["SELECTION_ELEMENT"]
    sets = [box for p in pages for e in p.entries for box in (e.key_box, e.value_box) if box]
    assert len(sets) == kinds["KEY_VALUE_SET"]
    assert sum(len(p.regions) for p in pages) == 0  # no kind of block is unknown
    handwritten = [b for b in blocks if b.get("TextType") == "HANDWRITING"]
    assert sum(map(sum, (p.handwritten for p in pages))) == len(handwritten)
    confidences = Counter(round(b["Confidence"], 3) for b in blocks if b["BlockType"] in ("WORD", "SELECTION_ELEMENT"))
    assert set(confidences) == {round(c * 100, 3) for p in pages for c in p.page.words.confidence if c is not None}


# --- routing and calls


def sync(Document: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803 - the service's own parameter
    with Image.open(io.BytesIO(Document["Bytes"])) as image:
        assert image.format in ("PNG", "JPEG")
    return {"DocumentMetadata": {"Pages": 1}, "Blocks": [block("PAGE", "p"), *line("read by service", 0.1, 0.1)]}


def scan(text: str = "Scanned page") -> Image.Image:
    return make.picture([text] * 3)


def scanned_pdf(*texts: str) -> bytes:
    """A PDF with a scan a page; a blank sheet of paper for an empty text."""
    merged = pypdfium2.PdfDocument.new()
    for text in texts:
        image = scan(text) if text else Image.new("RGB", (1240, 600), (250, 249, 245))
        page = make.pdf([[]], scan=make.Scan(image, (0, 0, 612, 296)))
        merged.import_pages(pypdfium2.PdfDocument(page))
    buffer = io.BytesIO()
    merged.save(buffer)
    return buffer.getvalue()


def texts(extraction: Extraction) -> list[tuple[int, str]]:
    return [(page.number, page.text) for page in extraction.pages]


def test_digital_and_blank_pages_are_not_sent_and_their_saving_is_recorded() -> None:
    services = Services({"detect_document_text": sync})
    digital = make.pdf([make.note_page(), [], make.note_page()])
    with collecting() as costs:
        extraction = TextractExtraction(paid(services)).extract(digital, media_type.PDF)
    assert services.sent == []
    assert [page.method for page in extraction.pages] == ["text_layer"] * 3
    assert [(c.dollars, c.reason_saved) for c in costs] == [(0, "digital"), (0, "blank"), (0, "digital")]
    assert all(c.saved_dollars == pytest.approx(0.0015) for c in costs)


def test_digital_pages_can_be_sent_all_the_same() -> None:
    services = Services({"detect_document_text": sync})
    engine = TextractExtraction(paid(services), digital_pages="ocr")
    assert texts(engine.extract(make.pdf([make.note_page()]), media_type.PDF)) == [(1, "read by service")]


def test_blank_sheets_can_be_sent_all_the_same() -> None:
    services = Services({"detect_document_text": sync})
    plain, sending = TextractExtraction(paid(services)), TextractExtraction(paid(services), send_blank=True)
    assert len(sending.extract(scanned_pdf("one", ""), media_type.PDF).pages) == 2
    assert len(services.sent) == 2
    assert sending.version != plain.version


def test_scanned_pages_are_sent_one_by_one_and_blank_sheets_are_not() -> None:
    services = Services({"detect_document_text": sync})
    with collecting() as costs:
        extraction = TextractExtraction(paid(services)).extract(scanned_pdf("one", "", "two"), media_type.PDF)
    assert texts(extraction) == [(1, "read by service"), (2, ""), (3, "read by service")]
    assert [c.reason_saved for c in costs] == [None, "blank", None]
    assert (extraction.pages[0].width, extraction.pages[0].height) == (612, 792)
    assert_sound(extraction)


def test_a_page_that_another_document_had_is_not_paid_for_again(tmp_path: Path) -> None:
    services = Services({"detect_document_text": sync})
    engine = TextractExtraction(paid(services, tmp_path))
    engine.extract(scanned_pdf("one", "two"), media_type.PDF)
    engine.extract(scanned_pdf("three", "one"), media_type.PDF)
    assert len(services.sent) == 3


def test_every_frame_of_a_tiff_is_a_page() -> None:
    buffer = io.BytesIO()
    scan("one").save(buffer, "TIFF", save_all=True, append_images=[scan("two")])
    extraction = TextractExtraction(paid(Services({"detect_document_text": sync}))).extract(
        buffer.getvalue(), "image/tiff"
    )
    assert texts(extraction) == [(1, "read by service"), (2, "read by service")]


def test_features_are_asked_for_and_paid_at_their_price() -> None:
    services = Services({"analyze_document": lambda **_: {"Blocks": table()}})
    engine = TextractExtraction(paid(services), features=("TABLES", "FORMS"))
    with collecting() as costs:
        extraction = engine.extract(make.saved(scan(), "PNG"), "image/png")
    assert extraction.pages[0].text.startswith("Drug\tDose")
    assert services.sent[0][1]["FeatureTypes"] == ["FORMS", "TABLES"]
    assert costs[0].dollars == pytest.approx(0.065)
    assert engine.version != TextractExtraction(paid(services)).version


def test_formats_without_pictures_stay_here() -> None:
    extraction = TextractExtraction(paid(Services({}))).extract(b"No fever.", media_type.PLAIN)
    assert texts(extraction) == [(1, "No fever.")]


def test_a_page_that_is_refused_fails_alone_and_a_service_that_is_away_fails_the_document() -> None:
    def refusing(reason: Reason, pages: list[int]) -> TextractExtraction:
        calls = paid(Services({}))
        asked: list[int] = []

        def send(*_: Any) -> dict[str, Any]:
            asked.append(1)
            if len(asked) in pages:
                raise DocumentError(reason, "textract")
            return {"Blocks": line("fine", 0.1, 0.1)}

        calls.send = send  # type: ignore[method-assign, assignment]
        return TextractExtraction(calls)

    extraction = refusing(Reason.CORRUPT, [2]).extract(scanned_pdf("one", "two"), media_type.PDF)
    assert texts(extraction) == [(1, "fine")]
    assert [(f.reason, f.page) for f in extraction.failures] == [(Reason.CORRUPT, 2)]
    with pytest.raises(DocumentError) as error:
        refusing(Reason.ENGINE_UNAVAILABLE, [2]).extract(scanned_pdf("one", "two"), media_type.PDF)
    assert error.value.reason is Reason.ENGINE_UNAVAILABLE


@pytest.mark.parametrize(
    "data, reason",
    [
        (make.encrypted_pdf(), Reason.ENCRYPTED),
        (b"%PDF-1.4 nothing", Reason.CORRUPT),
        (make.xfa_pdf(), Reason.UNSUPPORTED_TYPE),
    ],
)
def test_a_pdf_that_cannot_be_opened_is_not_sent(data: bytes, reason: Reason) -> None:
    with pytest.raises(DocumentError) as error:
        TextractExtraction(paid(Services({}))).extract(data, media_type.PDF)
    assert error.value.reason is reason


# --- jobs


class Jobs:
    """Textract's jobs: at work when first asked, answers in two parts, the second page failing where told."""

    def __init__(self, warned: str = "", status: str = "SUCCEEDED") -> None:
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.asked = 0
        self.warned, self.status = warned, "PARTIAL_SUCCESS" if warned else status
        self.services = Services(
            {
                "put_object": self.put,
                "delete_object": lambda Bucket, Key: self.deleted.append(Key) or {},  # noqa: N803
                "start_document_text_detection": self.start,
                "get_document_text_detection": self.get,
                "detect_document_text": sync,
            }
        )

    def put(self, Bucket: str, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.files[Key] = Body
        return {}

    def start(self, DocumentLocation: dict[str, Any], ClientRequestToken: str) -> dict[str, Any]:  # noqa: N803
        assert DocumentLocation["S3Object"]["Name"] in self.files
        assert len(ClientRequestToken) <= 64
        return {"JobId": "job"}

    def get(self, JobId: str, NextToken: str = "") -> dict[str, Any]:  # noqa: N803
        self.asked += 1
        if self.asked == 1:
            return {"JobStatus": "IN_PROGRESS"}
        warnings = [{"ErrorCode": self.warned, "Pages": [2]}] if self.warned else []
        if NextToken:
            return {"JobStatus": self.status, "Blocks": line("last page", 0.1, 0.1, 2), "Warnings": warnings}
        first = [block("PAGE", "p1", Page=1), *line("first page", 0.1, 0.1, 1), block("PAGE", "p2", Page=2)]
        return {"JobStatus": self.status, "Blocks": first, "Warnings": warnings, "NextToken": "more"}


def test_many_pages_go_as_one_job_without_those_that_need_no_reading(tmp_path: Path) -> None:
    jobs = Jobs()
    engine = TextractExtraction(paid(jobs.services, tmp_path), bucket="lake")
    data = scanned_pdf("one", "", "two")
    with collecting() as costs:
        extraction = engine.extract(data, media_type.PDF)
    assert texts(extraction) == [(1, "first page"), (2, ""), (3, "last page")]
    (sent,) = jobs.files.values()
    assert len(pypdfium2.PdfDocument(sent)) == 2
    assert jobs.deleted == list(jobs.files)
    assert [(c.units, c.reason_saved) for c in costs] == [(1, "blank"), (2, None)]
    calls = len(jobs.services.sent)
    assert engine.extract(data, media_type.PDF) == extraction
    assert len(jobs.services.sent) == calls  # the second time from the store


def test_pages_that_a_job_could_not_read_fail_and_the_others_are_kept() -> None:
    extraction = TextractExtraction(paid(Jobs(warned="BadDocumentException").services), bucket="lake").extract(
        scanned_pdf("one", "", "two"), media_type.PDF
    )
    assert texts(extraction) == [(1, "first page"), (2, "")]
    assert [(f.page, f.reason) for f in extraction.failures] == [(3, Reason.CORRUPT)]


def test_a_page_that_a_job_lost_through_its_own_fault_is_sent_by_itself() -> None:
    jobs = Jobs(warned="InternalServerError")
    extraction = TextractExtraction(paid(jobs.services), bucket="lake").extract(
        scanned_pdf("one", "", "two"), media_type.PDF
    )
    assert texts(extraction) == [(1, "first page"), (2, ""), (3, "read by service")]
    assert extraction.failures == ()


def test_a_job_that_fails_fails_the_document() -> None:
    with pytest.raises(DocumentError) as error:
        TextractExtraction(paid(Jobs(status="FAILED").services), bucket="lake").extract(
            scanned_pdf("one", "two"), media_type.PDF
        )
    assert error.value.reason is Reason.ENGINE_REJECTED


# --- pictures


def test_a_sheet_of_any_colour_is_blank_and_one_with_a_word_is_not() -> None:
    generator = np.random.default_rng(0)
    paper = np.clip(generator.normal(200, 4, (2200, 1700, 3)), 0, 255).astype(np.uint8)
    assert is_blank(paper)
    with_word = Image.fromarray(paper)
    word = make.picture(["no"], width=200, height=120, size=32).convert("L").point(lambda v: 0 if v < 128 else 255)
    with_word.paste((90, 90, 90), (700, 900), word.point(lambda v: 255 - v))
    assert not is_blank(np.asarray(with_word))


def test_a_page_too_large_for_a_request_goes_as_jpeg() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3)).astype(np.uint8)
    assert encoded(noise, 1_000_000).startswith(b"\x89PNG")
    small = encoded(noise, 200_000)
    assert small.startswith(b"\xff\xd8") and len(small) <= 200_000
    with pytest.raises(DocumentError) as error:
        encoded(noise, 1000)
    assert error.value.reason is Reason.TOO_LARGE


def test_an_answer_without_the_page_is_no_blank_page() -> None:
    engine = TextractExtraction(paid(Services({"detect_document_text": lambda **_: {"Blocks": []}})))
    with pytest.raises(DocumentError) as error:
        engine.extract(make.saved(scan(), "PNG"), "image/png")
    assert error.value.reason is Reason.ENGINE_REJECTED


def test_documents_can_be_read_in_many_threads_at_once() -> None:
    engine = TextractExtraction(paid(Services({"detect_document_text": sync})))
    documents = [scanned_pdf("one", ""), make.pdf([make.note_page()] * 3)] * 6
    alone = [engine.extract(data, media_type.PDF) for data in documents[:2]] * 6
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(lambda data: engine.extract(data, media_type.PDF), documents)) == alone
