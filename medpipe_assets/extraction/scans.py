"""Which pages of a document must be read by eye, and as what they are sent to a service that does.

Digital pages give their text layer and blank ones nothing; the others become scans: images, or pages of a PDF of their
own. What is sent where, and what comes back, belongs to the engines.
"""

import hashlib
import io
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any, Final, Literal

import numpy as np
import pypdfium2
from PIL import Image

from medpipe_assets.aws.metering import Cost, record
from medpipe_assets.aws.prices import price
from medpipe_assets.errors import DocumentError, Reason, RunStopError
from medpipe_assets.extraction import images, pdfium
from medpipe_assets.extraction.engine import Extraction, Page, Words
from medpipe_assets.extraction.rapid_ocr import Picture

DIGITAL, BLANK = "digital", "blank"
"""reason_saved of pages that were not sent."""

DigitalPages = Literal["text_layer", "ocr"]
"""What becomes of digital PDF pages: 'text_layer' reads them here, 'ocr' makes scans of them too."""

_INK: Final = 24
"""Levels of grey from the paper's from which on a pixel is ink, and not the grain of a scan."""

_BLANK_SHARE: Final = 2e-5
"""Share of ink up to which a page is blank: 75 pixels of a letter page at 200 dpi, less than one small letter has."""

_ENCODINGS: Final[tuple[dict[str, Any], ...]] = (
    {"format": "PNG", "compress_level": 3},
    *({"format": "JPEG", "quality": quality} for quality in (90, 75, 50)),
)
"""JPEG is for pages too large as PNG: photographs, which lose nothing that a reader sees."""

_ONE_AT_A_TIME = threading.Lock()
"""PDFium is not safe for threads, and engines that wait for services run in many."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A page to be sent. `size` as pages give it; `turn`: degrees that what is sent was turned already; `image`: its
    bytes, and `key`: what stands for its pixels, both b"" where the page goes with others in one file."""

    number: int
    size: tuple[float, float]
    turn: int
    image: bytes = b""
    key: bytes = b""


Planned = Page | DocumentError | Scan


def extracted(read: Callable[[], Iterable[Page | DocumentError]]) -> Extraction:
    """What a reading of a document gives, in the order of its pages.

    Raises:
        DocumentError: what `read` raises; engine_crashed for a library's surprise; the first page's where all failed.
        RunStopError: as `read` raises it.
    """
    try:
        results = list(read())
    except (DocumentError, RunStopError):
        raise
    except Exception as error:  # a library's surprise must not end the batch, nor show the text it held
        raise DocumentError(Reason.ENGINE_CRASHED, type(error).__name__) from None
    pages = sorted((r for r in results if isinstance(r, Page)), key=lambda page: page.number)
    failures = sorted((r for r in results if isinstance(r, DocumentError)), key=lambda error: error.page or 0)
    if not pages and failures:
        raise DocumentError(failures[0].reason, failures[0].detail)
    return Extraction(tuple(pages), tuple(failures))


def record_saved(page: Page, service: str, operation: str, unit: str, option: str) -> None:
    """Record that a page was not sent, and what sending it would have cost."""
    reason = DIGITAL if page.text else BLANK
    record(Cost(service, operation, 1, unit, 0.0, price(service, operation, option).of(1), reason))


@contextmanager
def opened(data: bytes) -> Iterator[tuple[pypdfium2.PdfDocument, int]]:
    """A PDF for the functions below, and how many pages it has.

    Raises:
        DocumentError: encrypted, corrupt, empty, too_large.
    """
    with _ONE_AT_A_TIME:
        document = pdfium.opened(data)
    try:
        with _ONE_AT_A_TIME:
            count = pdfium.page_count(document)
        yield document, count
    finally:
        with _ONE_AT_A_TIME:
            document.close()


def planned_page(
    document: pypdfium2.PdfDocument,
    number: int,
    digital_pages: DigitalPages,
    most: int | None = None,
    *,
    send_blank: bool = False,
) -> Planned:
    """A page of a PDF: read, failed, or a scan, with an image where `most` says how many bytes that may have."""
    with _ONE_AT_A_TIME:
        looked_at = pdfium.page_or_failure(document, number, partial(_looked_at, digital_pages))
    if not isinstance(looked_at, tuple):
        return looked_at
    size, turn, picture = looked_at
    return _unless_blank(number, size, turn, picture, most, send_blank)


def planned_pictures(data: bytes, media_type: str, most: int, *, send_blank: bool = False) -> Iterator[Planned]:
    """The pages of a picture file, their images of at most so many bytes."""
    for number, picture in enumerate(images.pictures(data, media_type), start=1):
        if isinstance(picture, DocumentError):
            yield picture
        else:
            height, width = picture.shape[:2]
            yield _unless_blank(number, (width, height), 0, picture, most, send_blank)


def pdf_of(document: pypdfium2.PdfDocument, numbers: Sequence[int], most: int) -> bytes:
    """A PDF of some pages of another, with what was typed into them.

    Raises:
        DocumentError: too_large, where it has more than `most` bytes.
    """
    buffer = io.BytesIO()
    with _ONE_AT_A_TIME:
        part = pypdfium2.PdfDocument.new()
        try:
            part.import_pages(document, [number - 1 for number in numbers])
            part.save(buffer)
        finally:
            part.close()
    if buffer.tell() > most:
        raise DocumentError(Reason.TOO_LARGE, f"{buffer.tell()} bytes, the service takes {most}")
    return buffer.getvalue()


def pdf_of_images(sent: Sequence[Scan]) -> bytes:
    """A PDF with a page for each image."""
    first, *rest = (Image.open(io.BytesIO(scan.image)) for scan in sent)
    buffer = io.BytesIO()
    first.save(
        buffer, "PDF", save_all=True, append_images=rest, resolution=pdfium.RENDER_DPI, quality=_ENCODINGS[1]["quality"]
    )
    return buffer.getvalue()


def content_of(data: bytes, scans: Sequence[Scan]) -> bytes:
    """What stands for some pages of a document in the key of an answer to them."""
    return hashlib.sha256(data).digest() + repr([scan.number for scan in scans]).encode()


def is_blank(picture: Picture) -> bool:
    """Whether a page shows nothing but paper, whatever its colour."""
    levels = Image.fromarray(picture).convert("L").histogram()
    paper = bisect_left(list(accumulate(levels)), sum(levels) / 2)
    ink = sum(levels[: max(0, paper - _INK)]) + sum(levels[paper + _INK + 1 :])
    return ink <= _BLANK_SHARE * sum(levels)


def encoded(picture: Picture, most: int) -> bytes:
    """A page as PNG (grey, where it has no colour); as JPEG where that is larger than a request takes.

    Raises:
        DocumentError: too_large.
    """
    grey = bool((picture[:, :, 0] == picture[:, :, 1]).all() and (picture[:, :, 1] == picture[:, :, 2]).all())
    image = Image.fromarray(np.ascontiguousarray(picture[:, :, 0]) if grey else picture)
    for settings in _ENCODINGS:
        buffer = io.BytesIO()
        image.save(buffer, **settings)
        if buffer.tell() <= most:
            return buffer.getvalue()
    raise DocumentError(Reason.TOO_LARGE, f"a page of more than {most} bytes")


def _looked_at(
    digital_pages: DigitalPages, page: pypdfium2.PdfPage, number: int
) -> Page | tuple[tuple[float, float], int, Picture]:
    """What a page is, cheapest evidence first, as pdfium.py tells pages apart (which would read scans itself)."""
    layer, pictures = pdfium.text_layer(page), pdfium.pictures_of(page)
    if not layer.begin and not pictures.objects:
        return pdfium.digital(layer, number)
    readable = bool(layer.begin) and pdfium.is_sane(layer.text)
    figures = any(pdfium.area(box) >= pdfium.FIGURE_COVERAGE for box in pictures.boxes)
    if digital_pages == "text_layer" and readable and not pictures.hide_text and not figures:
        return pdfium.digital(layer, number)
    return page.get_size(), page.get_rotation(), pdfium.rendered(page)


def _unless_blank(
    number: int, size: tuple[float, float], turn: int, picture: Picture, most: int | None, send_blank: bool
) -> Planned:
    if not send_blank and is_blank(picture):
        return Page(number, *size, turn, "ocr", "", Words())
    if most is None:
        return Scan(number, size, turn)
    key = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest()
    try:
        return Scan(number, size, turn, encoded(picture, most), key)
    except DocumentError as error:
        return DocumentError(error.reason, error.detail, number)
