"""Amazon Textract as an extraction engine: which pages are sent, how, and what becomes of those that are not.

Only what must be read by eye is sent: digital pages give their text layer, blank ones nothing, and formats without
pictures go to the embedded readers. What the answers mean belongs to textract_blocks.py.
"""

import hashlib
import io
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, ClassVar, Final, Literal

import numpy as np
import pypdfium2
from PIL import Image

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.faults import REASONS
from medpipe_assets.aws.limits import limit
from medpipe_assets.aws.metering import BudgetReachedError, Cost, record
from medpipe_assets.aws.prices import price
from medpipe_assets.aws.responses import response_key
from medpipe_assets.errors import RETRIED_BY_THEMSELVES, ConfigurationError, DocumentError, Reason
from medpipe_assets.extraction import images, pdfium, textract_blocks
from medpipe_assets.extraction import media_type as types
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.extraction.engine import Extraction, Page, Words
from medpipe_assets.extraction.rapid_ocr import Picture

CODE_VERSION: Final = "1"
"""Raise it when the same answers would give other pages."""

SERVICE: Final = "textract"
UNIT: Final = "page"
DIGITAL, BLANK = "digital", "blank"
"""reason_saved of pages that were not sent."""

_PRICED = frozenset({"TABLES", "FORMS"})
"""Features with a price of their own; LAYOUT and SIGNATURES come free with them, alone they need one in prices.tsv."""

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
"""PDFium is not safe for threads, and this engine runs in many."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A page to be sent. `size` as pages give it; `turn`: degrees that what is sent was turned already; `image`: its
    bytes, b"" where the page goes with others in one file; `key`: what stands for its pixels."""

    number: int
    size: tuple[float, float]
    turn: int
    image: bytes = b""
    key: bytes = b""


Planned = Page | DocumentError | Scan


@dataclass(frozen=True)
class TextractExtraction:
    """ExtractionEngine: Textract for scans, a page a call, or with a bucket, many pages of a PDF in one job.

    Attributes:
        features: of AnalyzeDocument, e.g. ('TABLES', 'FORMS'), each at its price; none means DetectDocumentText.
        digital_pages: 'text_layer' reads digital PDF pages here; 'ocr' sends them too.
        bucket, prefix: where files for jobs are put, inside the lake; no bucket means no jobs. A file is deleted when
            its job has succeeded; give the prefix a life cycle of days for those that a kill leaves.
        kms_key: encrypts those files; empty for the bucket's own default.
        job_pages: from so many pages on a PDF goes as a job. Page by page, a page that another document had is found
            in the store; as a job, only the same pages of the same document are.
    """

    io_bound: ClassVar[bool] = True
    calls: PaidCalls
    features: Sequence[str] = ()
    digital_pages: Literal["text_layer", "ocr"] = "text_layer"
    bucket: str = ""
    prefix: str = "textract/"
    kms_key: str = ""
    job_pages: int = 2

    @property
    def name(self) -> str:
        return "textract"

    @property
    def version(self) -> str:
        """Code version, features, routing, and the embedded readers' version, since they read what is not sent."""
        features = "+".join(sorted(self.features)) or "text"
        return f"{CODE_VERSION} {features} digital_pages={self.digital_pages} {EmbeddedExtraction().version}"

    def extract(self, data: bytes, media_type: str) -> Extraction:
        """Read a document. What only another try can mend (a service away) fails the whole of it, so that it is tried.

        Raises:
            DocumentError: when nothing of the document can be read, or as PaidCalls.call and PaidCalls.job.
            ConfigurationError, BudgetReachedError: likewise.
        """
        if media_type != types.PDF and media_type not in types.IMAGES:
            return EmbeddedExtraction().extract(data, media_type)
        try:
            results = self._pdf(data) if media_type == types.PDF else self._pictures(data, media_type)
        except (DocumentError, ConfigurationError, BudgetReachedError):
            raise
        except Exception as error:  # a library's surprise must not end the batch, nor show the text it held
            raise DocumentError(Reason.ENGINE_CRASHED, type(error).__name__) from None
        pages = sorted((r for r in results if isinstance(r, Page)), key=lambda page: page.number)
        failures = sorted((r for r in results if isinstance(r, DocumentError)), key=lambda error: error.page or 0)
        if not pages and failures:
            raise DocumentError(failures[0].reason, failures[0].detail)
        return Extraction(tuple(pages), tuple(failures))

    # --- what is sent

    def _pictures(self, data: bytes, media_type: str) -> list[Page | DocumentError]:
        results: list[Page | DocumentError] = []
        for number, picture in enumerate(images.pictures(data, media_type), start=1):
            if isinstance(picture, DocumentError):
                results.append(picture)
                continue
            height, width = picture.shape[:2]
            results.append(self._read(self._unless_blank(Scan(number, (width, height), 0), picture, as_file=True)))
        return results

    def _pdf(self, data: bytes) -> list[Page | DocumentError]:
        with _opened(data) as (document, count):
            as_job = bool(self.bucket) and count >= self.job_pages
            results: list[Page | DocumentError] = []
            scans: list[Scan] = []
            for number in range(1, count + 1):
                planned = self._planned(document, number, as_file=not as_job)
                if as_job and isinstance(planned, Scan):
                    scans.append(planned)
                else:
                    results.append(self._read(planned))
            most = limit(SERVICE, self._operations[1], "pages")
            for i in range(0, len(scans), most):
                results += self._read_as_job(document, data, scans[i : i + most])
        return results

    def _planned(self, document: pypdfium2.PdfDocument, number: int, as_file: bool) -> Planned:
        try:
            with _ONE_AT_A_TIME, pdfium._loaded(document, number) as page:
                looked_at = self._look(page, number)
            return looked_at if isinstance(looked_at, Page) else self._unless_blank(*looked_at, as_file)
        except DocumentError as error:
            return DocumentError(error.reason, error.detail, number)
        except (pypdfium2.PdfiumError, ValueError, MemoryError) as error:
            return DocumentError(Reason.CORRUPT, f"PDFium: {type(error).__name__}", number)

    def _look(self, page: pypdfium2.PdfPage, number: int) -> Page | tuple[Scan, Picture]:
        """What a page is, cheapest evidence first, as pdfium.py tells pages apart (which would read scans itself)."""
        layer, pictures = pdfium._text_layer(page), pdfium._pictures(page)
        if not layer.begin and not pictures.objects:
            self._save(BLANK)
            return pdfium._digital(layer, number)
        readable = bool(layer.begin) and pdfium._is_sane(layer.text)
        figures = any(pdfium._area(box) >= pdfium._FIGURE_COVERAGE for box in pictures.boxes)
        if self.digital_pages == "text_layer" and readable and not pictures.hide_text and not figures:
            self._save(DIGITAL)
            return pdfium._digital(layer, number)
        return Scan(number, page.get_size(), page.get_rotation()), pdfium._rendered(page)

    def _unless_blank(self, scan: Scan, picture: Picture, as_file: bool) -> Page | Scan:
        if is_blank(picture):
            self._save(BLANK)
            return Page(scan.number, *scan.size, scan.turn, "ocr", "", Words())
        if not as_file:
            return scan
        key = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest()
        return replace(scan, image=encoded(picture, limit(SERVICE, self._operations[0], "document")), key=key)

    def _save(self, reason: str) -> None:
        operation = self._operations[0]
        dollars = price(SERVICE, operation, self._option).of(1)
        record(Cost(SERVICE, operation, 1, UNIT, 0.0, dollars, reason))

    # --- how it is sent

    @property
    def _operations(self) -> tuple[str, str, str]:
        """For one page; to start a job; to get its answers."""
        if self.features:
            return "AnalyzeDocument", "StartDocumentAnalysis", "GetDocumentAnalysis"
        return "DetectDocumentText", "StartDocumentTextDetection", "GetDocumentTextDetection"

    @property
    def _option(self) -> str:
        priced = [feature for feature in self.features if feature in _PRICED]
        return "+".join(priced or self.features).lower()

    @property
    def _settings(self) -> dict[str, Any]:
        return {"FeatureTypes": sorted(self.features)} if self.features else {}

    def _read(self, planned: Planned) -> Page | DocumentError:
        """A planned page; one that is to be sent is sent by itself."""
        if not isinstance(planned, Scan):
            return planned
        try:
            response = self.calls.call(
                SERVICE,
                self._operations[0],
                {"Document": {"Bytes": planned.image}, **self._settings},
                content=planned.key,
                settings=self._settings,
                units=1,
                unit=UNIT,
                option=self._option,
            )
        except DocumentError as error:
            if error.reason in RETRIED_BY_THEMSELVES:
                raise
            return DocumentError(error.reason, error.detail, planned.number)
        return _pages(response["Blocks"], [planned])[0]

    def _read_as_job(
        self, document: pypdfium2.PdfDocument, data: bytes, scans: Sequence[Scan]
    ) -> list[Page | DocumentError]:
        """The scans of a PDF as a file of their own, and what a job makes of it."""
        if not scans:
            return []
        _, start, get = self._operations
        numbers = [scan.number for scan in scans]
        content = hashlib.sha256(data).digest() + repr(numbers).encode()
        place = {"Bucket": self.bucket, "Key": f"{self.prefix}{hashlib.sha256(content).hexdigest()}.pdf"}
        sent = not self._is_stored(start, content)
        if sent:
            encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}
            body = _file_of(document, numbers, limit(SERVICE, start, "document"))
            self.calls.send("s3", "PutObject", {**place, "Body": body, "ContentType": types.PDF, **encryption})
        answers = self.calls.job(
            SERVICE,
            start,
            get,
            {"DocumentLocation": {"S3Object": {"Bucket": place["Bucket"], "Name": place["Key"]}}, **self._settings},
            content=content,
            settings=self._settings,
            units=len(scans),
            unit=UNIT,
            option=self._option,
        )
        if sent:
            self.calls.send("s3", "DeleteObject", place)
        blocks = [block for answer in answers for block in answer.get("Blocks") or ()]
        return [self._once_more(document, result) for result in _pages(blocks, scans, _warned(answers))]

    def _once_more(self, document: pypdfium2.PdfDocument, result: Page | DocumentError) -> Page | DocumentError:
        """A job's page, sent by itself where the service was at fault: asking after the job again would not mend it."""
        if isinstance(result, Page) or result.page is None or result.reason not in RETRIED_BY_THEMSELVES:
            return result
        return self._read(self._planned(document, result.page, as_file=True))

    def _is_stored(self, operation: str, content: bytes) -> bool:
        store = self.calls.store
        return store is not None and store.get(response_key(SERVICE, operation, self._settings, content)) is not None


def _pages(
    blocks: Sequence[Mapping[str, Any]], scans: Sequence[Scan], warned: Mapping[int, str] | None = None
) -> list[Page | DocumentError]:
    """A page for each scan, by its number in the document; an error for one that the answer warns of or leaves out."""
    sizes = {i: scan.size for i, scan in enumerate(scans, start=1)}
    known = [block for block in blocks if (block.get("Page") or 1) in sizes]
    read = {found.page.number: found.page for found in textract_blocks.read(known, sizes)}
    results: list[Page | DocumentError] = []
    for i, scan in enumerate(scans, start=1):
        if warned and i in warned:
            reason = REASONS.get(warned[i], Reason.ENGINE_REJECTED)
            results.append(DocumentError(reason, f"{SERVICE}: {warned[i]}", scan.number))
        elif i not in read:
            results.append(DocumentError(Reason.ENGINE_REJECTED, f"{SERVICE}: no answer for this page", scan.number))
        else:
            page = read[i]
            results.append(replace(page, number=scan.number, rotation=(scan.turn + page.rotation) % 360))
    return results


def _warned(answers: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """The error code of each page that a job could not read."""
    return {
        number: str(warning.get("ErrorCode", "Unknown"))
        for answer in answers
        for warning in answer.get("Warnings") or ()
        for number in warning.get("Pages") or ()
    }


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[pypdfium2.PdfDocument, int]]:
    """A PDF and how many pages it has: one at least, and at most as many as are read.

    Raises:
        DocumentError: encrypted, corrupt, empty, too_large.
    """
    with _ONE_AT_A_TIME:
        document = pdfium._opened(data)
        count = len(document)
    try:
        if not count:
            raise DocumentError(Reason.EMPTY, "a PDF without pages")
        if count > pdfium.MAX_PAGES:
            raise DocumentError(Reason.TOO_LARGE, f"{count} pages, at most {pdfium.MAX_PAGES} are read")
        yield document, count
    finally:
        with _ONE_AT_A_TIME:
            document.close()


def _file_of(document: pypdfium2.PdfDocument, numbers: Sequence[int], most: int) -> bytes:
    """A PDF of some pages of another, with what was typed into them."""
    buffer = io.BytesIO()
    with _ONE_AT_A_TIME:
        part = pypdfium2.PdfDocument.new()
        try:
            part.import_pages(document, [number - 1 for number in numbers])
            part.save(buffer)
        finally:
            part.close()
    if buffer.tell() > most:
        raise DocumentError(Reason.TOO_LARGE, f"{buffer.tell()} bytes, Textract takes {most}")
    return buffer.getvalue()


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
