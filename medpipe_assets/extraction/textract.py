"""Amazon Textract as an extraction engine: what is sent, as single pages or as jobs, and how answers become pages.

Which pages are sent is decided in scans.py, what the answers mean in textract_blocks.py; formats without pictures go to
the embedded readers.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import pypdfium2

from medpipe_assets.aws import jobs
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.completions import Completions
from medpipe_assets.aws.faults import REASONS
from medpipe_assets.aws.limits import limit
from medpipe_assets.errors import RETRIED_BY_THEMSELVES, DocumentError, Reason
from medpipe_assets.extraction import media_type as types
from medpipe_assets.extraction import scans, textract_blocks
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.extraction.engine import Extraction, Page
from medpipe_assets.extraction.scans import Planned, Scan

CODE_VERSION: Final = "1"
"""Raise it when the same answers would give other pages."""

SERVICE: Final = "textract"
UNIT: Final = "page"

_PRICED = frozenset({"TABLES", "FORMS"})
"""Features with a price of their own; LAYOUT and SIGNATURES come free with them, alone they need one in prices.tsv."""


def option_of(features: Sequence[str]) -> str:
    """Which of AnalyzeDocument's prices some features have; '' for DetectDocumentText's."""
    priced = [feature for feature in features if feature in _PRICED]
    return "+".join(priced or features).lower()


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
        completions: tells the ends of jobs; None asks after them.
        send_blank: blank scans are sent, too.
    """

    io_bound: ClassVar[bool] = True
    calls: PaidCalls
    features: Sequence[str] = ()
    digital_pages: scans.DigitalPages = "text_layer"
    bucket: str = ""
    prefix: str = "textract/"
    kms_key: str = ""
    job_pages: int = 2
    completions: Completions | None = None
    send_blank: bool = False

    @property
    def name(self) -> str:
        return "textract"

    @property
    def version(self) -> str:
        """Code version, features, routing, and the embedded readers' version, since they read what is not sent."""
        features = "+".join(sorted(self.features)) or "text"
        routing = f"digital_pages={self.digital_pages}{' send_blank' if self.send_blank else ''}"
        return f"{CODE_VERSION} {features} {routing} {EmbeddedExtraction().version}"

    def extract(self, data: bytes, media_type: str) -> Extraction:
        """Read a document. What only another try can mend (a service away) fails the whole of it, so that it is tried.

        Raises:
            DocumentError: when nothing of the document can be read, or as PaidCalls.call and PaidCalls.job.
            ConfigurationError, BudgetReachedError: likewise.
        """
        if media_type != types.PDF and media_type not in types.IMAGES:
            return EmbeddedExtraction().extract(data, media_type)
        return scans.extracted(lambda: self._pdf(data) if media_type == types.PDF else self._pictures(data, media_type))

    def _pictures(self, data: bytes, media_type: str) -> Iterator[Page | DocumentError]:
        for planned in scans.planned_pictures(data, media_type, self._most, send_blank=self.send_blank):
            yield self._read(planned)

    def _pdf(self, data: bytes) -> Iterator[Page | DocumentError]:
        with scans.opened(data) as (document, count):
            as_job = bool(self.bucket) and count >= self.job_pages
            found: list[Scan] = []
            for number in range(1, count + 1):
                planned = self._planned(document, number, None if as_job else self._most)
                if as_job and isinstance(planned, Scan):
                    found.append(planned)
                else:
                    yield self._read(planned)
            most = limit(SERVICE, self._operations[1], "pages")
            for i in range(0, len(found), most):
                yield from self._read_as_job(document, data, found[i : i + most])

    @property
    def _operations(self) -> tuple[str, str, str]:
        """For one page; to start a job; to get its answers."""
        if self.features:
            return "AnalyzeDocument", "StartDocumentAnalysis", "GetDocumentAnalysis"
        return "DetectDocumentText", "StartDocumentTextDetection", "GetDocumentTextDetection"

    @property
    def _most(self) -> int:
        """Bytes that an image may have."""
        return limit(SERVICE, self._operations[0], "document")

    @property
    def _option(self) -> str:
        return option_of(self.features)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"FeatureTypes": sorted(self.features)} if self.features else {}

    def _planned(self, document: pypdfium2.PdfDocument, number: int, most: int | None) -> scans.Planned:
        return scans.planned_page(document, number, self.digital_pages, most, send_blank=self.send_blank)

    def _read(self, planned: Planned) -> Page | DocumentError:
        """A planned page; one that is to be sent is sent by itself."""
        if isinstance(planned, Page):
            scans.record_saved(planned, SERVICE, self._operations[0], UNIT, self._option)
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
        self, document: pypdfium2.PdfDocument, data: bytes, sent: Sequence[Scan]
    ) -> list[Page | DocumentError]:
        """Scans of a PDF as a file of their own, and what a job makes of it."""
        _, start, get = self._operations
        content = scans.content_of(data, sent)
        place = {"Bucket": self.bucket, "Key": f"{self.prefix}{hashlib.sha256(content).hexdigest()}.pdf"}
        put: list[Mapping[str, str]] = []

        def prepare() -> None:
            encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}
            body = scans.pdf_of(document, [scan.number for scan in sent], limit(SERVICE, start, "document"))
            self.calls.send("s3", "PutObject", {**place, "Body": body, "ContentType": types.PDF, **encryption})
            put.append(place)

        answers = jobs.run(
            self.calls,
            jobs.Job(SERVICE, start, get),
            {
                "DocumentLocation": {"S3Object": {"Bucket": place["Bucket"], "Name": place["Key"]}},
                **self._settings,
                **self._channel,
            },
            content=content,
            settings=self._settings,
            units=len(sent),
            unit=UNIT,
            option=self._option,
            prepare=prepare,
            wait=self.completions.wait if self.completions else None,
        )
        for each in put:
            self.calls.send("s3", "DeleteObject", each)
        blocks = [block for answer in answers for block in answer.get("Blocks") or ()]
        return [self._once_more(document, result) for result in _pages(blocks, sent, _warned(answers))]

    @property
    def _channel(self) -> dict[str, Any]:
        """Whom a job's start tells its end."""
        told = self.completions
        return {"NotificationChannel": {"SNSTopicArn": told.topic, "RoleArn": told.role}} if told else {}

    def _once_more(self, document: pypdfium2.PdfDocument, result: Page | DocumentError) -> Page | DocumentError:
        """A job's page, sent by itself where the service was at fault: asking after the job again would not mend it."""
        if isinstance(result, Page) or result.page is None or result.reason not in RETRIED_BY_THEMSELVES:
            return result
        return self._read(self._planned(document, result.page, self._most))


def _pages(
    blocks: Sequence[Mapping[str, Any]], sent: Sequence[Scan], warned: Mapping[int, str] | None = None
) -> list[Page | DocumentError]:
    """A page for each scan, by its number in the document; an error for one that the answer warns of or leaves out."""
    sizes = {i: scan.size for i, scan in enumerate(sent, start=1)}
    known = [block for block in blocks if (block.get("Page") or 1) in sizes]
    read = {found.page.number: found.page for found in textract_blocks.read(known, sizes)}
    results: list[Page | DocumentError] = []
    for i, scan in enumerate(sent, start=1):
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
