"""PDF: text layers, boxes, turns, scans, hidden and mixed pages, and files that are no good."""

import pytest
from PIL import ImageDraw

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import pdfium
from medpipe_assets.extraction.engine import Page
from medpipe_tests.unit.extraction.checks import assert_sound
from medpipe_tests.unit.extraction.make import NOTE, Scan, Text, encrypted_pdf, font, note_page, pdf, picture, xfa_pdf


def first(data: bytes) -> Page:
    extraction = pdfium.extract(data)
    assert_sound(extraction)
    return extraction.pages[0]


def box_of(page: Page, word: str) -> tuple[float, float, float, float]:
    box = page.words.boxes[page.words.text.index(word)]
    assert box is not None
    return box


def page_picture() -> Scan:
    """A scan of the note at the places where `note_page` puts its text."""
    image = picture([], 1700, 2200)
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(NOTE):
        draw.text((200, 2200 - (720 - 20 * i) / 72 * 200), line, font=font(33), fill=(0, 0, 0), anchor="ls")
    return Scan(image)


def test_a_digital_page_gives_its_lines_and_where_each_word_is() -> None:
    page = first(pdf([note_page()]))
    assert page.text == "\n".join(NOTE)
    assert (page.method, page.width, page.height, page.rotation) == ("text_layer", 612, 792, 0)
    x0, y0, x1, y1 = box_of(page, "Discharge")
    assert x0 == pytest.approx(72 / 612, abs=0.01)
    assert y1 == pytest.approx(72 / 792, abs=0.01)
    assert 0.05 < x1 - x0 < 0.15
    assert 0.005 < y1 - y0 < 0.03


@pytest.mark.parametrize("entries", ["", "/Rotate 90", "/Rotate 180", "/Rotate 270"])
@pytest.mark.parametrize(
    ("rotation", "matrix", "start", "step"),
    [
        (0, (1, 0, 0, 1), (72, 720), (0, -20)),
        (90, (0, 1, -1, 0), (100, 72), (20, 0)),
        (180, (-1, 0, 0, -1), (540, 72), (0, 20)),
        (270, (0, -1, 1, 0), (512, 720), (-20, 0)),
    ],
)
def test_a_page_reads_the_same_however_it_was_drawn_and_turned(
    rotation: int,
    matrix: tuple[float, float, float, float],
    start: tuple[float, float],
    step: tuple[float, float],
    entries: str,
) -> None:
    pieces = [Text(start[0] + i * step[0], start[1] + i * step[1], line, matrix=matrix) for i, line in enumerate(NOTE)]
    page = first(pdf([pieces], entries=entries))
    assert page.text.split() == " ".join(NOTE).split()
    assert page.rotation == rotation
    assert (page.width, page.height) == ((612, 792) if rotation % 180 == 0 else (792, 612))
    x0, y0, x1, y1 = box_of(page, "hypertension")
    assert (x1 - x0) * page.width > 3 * (y1 - y0) * page.height
    assert box_of(page, "Discharge")[3] < y0
    assert box_of(page, "History")[2] < x0


def test_a_cropped_page_counts_from_the_corner_that_is_seen() -> None:
    page = first(pdf([note_page()], entries="/CropBox [60 500 560 760]"))
    assert (page.width, page.height) == (500, 260)
    assert box_of(page, "Discharge")[0] == pytest.approx(12 / 500, abs=0.01)


def test_the_cells_of_a_row_are_parted_by_tabs() -> None:
    row = [Text(72, 700, "Glucose"), Text(250, 700, "105"), Text(400, 700, "mg/dL")]
    assert first(pdf([row])).text == "Glucose\t105\tmg/dL"


def test_a_table_written_column_by_column_is_read_row_by_row() -> None:
    names, values = ("Glucose", "Sodium", "Urea"), ("105", "140", "33")
    pieces = [Text(72, 700 - 20 * i, t) for i, t in enumerate(names)]
    pieces += [Text(250, 700 - 20 * i, t) for i, t in enumerate(values)]
    assert first(pdf([pieces])).text == "Glucose\t105\nSodium\t140\nUrea\t33"


def test_columns_of_prose_are_read_one_after_the_other() -> None:
    left = [f"left column line {i} says something long" for i in range(8)]
    right = [f"right column line {i} says something too" for i in range(8)]
    pieces = [Text(50, 700 - 15 * i, t) for i, t in enumerate(left)]
    pieces += [Text(330, 700 - 15 * i, t) for i, t in enumerate(right)]
    assert first(pdf([pieces])).text == "\n".join(left + right)


def test_a_blank_page_is_a_page_without_words() -> None:
    page = first(pdf([[], note_page()]))
    assert (page.text, len(page.words), page.method) == ("", 0, "text_layer")


def test_a_form_that_is_in_no_page_is_not_taken_for_its_placeholder() -> None:
    with pytest.raises(DocumentError) as caught:
        pdfium.extract(xfa_pdf())
    assert caught.value.reason is Reason.UNSUPPORTED_TYPE


def test_an_encrypted_file_says_so() -> None:
    with pytest.raises(DocumentError) as raised:
        pdfium.extract(encrypted_pdf())
    assert raised.value.reason is Reason.ENCRYPTED


@pytest.mark.parametrize("data", [b"%PDF-1.4\nnothing here", b"%PDF-1.7\n" + bytes(500), pdf([note_page()])[:200]])
def test_a_broken_file_is_corrupt(data: bytes) -> None:
    with pytest.raises(DocumentError) as raised:
        pdfium.extract(data)
    assert raised.value.reason is Reason.CORRUPT


def test_a_file_without_pages_is_refused() -> None:
    with pytest.raises(DocumentError) as raised:
        pdfium.extract(pdf([]))
    assert raised.value.reason in (Reason.EMPTY, Reason.CORRUPT)


def test_junk_before_the_header_is_seen_through() -> None:
    assert first(b"mail gateway junk\r\n" * 20 + pdf([note_page()])).text == "\n".join(NOTE)


def test_a_page_that_fails_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read = pdfium._page

    def fails_on_two(page: object, number: int) -> Page:
        if number == 2:
            raise DocumentError(Reason.UNREADABLE, "test")
        return read(page, number)  # type: ignore[arg-type]

    monkeypatch.setattr(pdfium, "_page", fails_on_two)
    extraction = pdfium.extract(pdf([note_page()] * 3))
    assert [page.number for page in extraction.pages] == [1, 3]
    assert [(f.page, f.reason) for f in extraction.failures] == [(2, Reason.UNREADABLE)]


@pytest.mark.slow
def test_a_scan_is_read_by_ocr() -> None:
    page = first(pdf([[]], scan=page_picture()))
    assert page.method == "ocr"
    assert page.text == "\n".join(NOTE)
    assert page.mean_confidence is not None and page.mean_confidence > 0.9
    digital = first(pdf([note_page()]))
    assert box_of(page, "hypertension") == pytest.approx(box_of(digital, "hypertension"), abs=0.02)
    assert (page.width, page.height) == (612, 792)


@pytest.mark.slow
@pytest.mark.parametrize("hide", ["invisible", "under the scan"])
def test_a_hidden_layer_that_says_what_the_scan_says_is_trusted(hide: str) -> None:
    scan = page_picture()
    pieces = note_page()
    if hide == "invisible":
        pieces = [Text(p.x, p.y, p.text, p.size, mode=3) for p in pieces]
    else:
        scan = Scan(scan.image, on_top=True)
    page = first(pdf([pieces], scan=scan))
    assert (page.method, page.text) == ("text_layer", "\n".join(NOTE))


@pytest.mark.slow
def test_a_hidden_layer_that_says_something_else_is_read_again() -> None:
    garbage = [Text(p.x, p.y, "qlwe rtzu iopa sdfg hjkl yxcv bnmq wert zuio pasd fghj", p.size, 3) for p in note_page()]
    page = first(pdf([garbage], scan=page_picture()))
    assert (page.method, page.text) == ("ocr", "\n".join(NOTE))


@pytest.mark.slow
def test_a_page_of_text_with_a_picture_of_text_gets_both_and_no_word_twice() -> None:
    stamp = picture(["Allergic to penicillin"], 700, 160, 48)
    page = first(pdf([note_page()], scan=Scan(stamp, (72, 400, 400, 92))))
    assert page.text == "\n".join([*NOTE, "Allergic to penicillin"])
    assert page.method == "text_layer"
    assert page.words.confidence[0] is None
    assert page.words.confidence[-1] is not None
