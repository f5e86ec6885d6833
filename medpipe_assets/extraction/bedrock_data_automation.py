"""Amazon Bedrock Data Automation as an extraction engine: scans go as jobs over files in S3, and so do answers come.

Which pages are sent is decided in scans.py, what the answers mean in data_automation_output.py; formats without
pictures go to the embedded readers.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, Literal

from botocore.exceptions import BotoCoreError

from medpipe_assets.aws import jobs
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.faults import translated
from medpipe_assets.aws.jobs import Answer, Job
from medpipe_assets.aws.limits import limit
from medpipe_assets.errors import DocumentError, Reason, RunStopError
from medpipe_assets.extraction import data_automation_output, scans
from medpipe_assets.extraction import media_type as types
from medpipe_assets.extraction.data_automation_output import SERVICE
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.extraction.engine import Extraction, Page
from medpipe_assets.extraction.scans import Planned, Scan

CODE_VERSION: Final = "1"
"""Raise it when the same answers would give other pages."""

START: Final = "InvokeDataAutomationAsync"
UNIT: Final = "page"
MOST_IMAGE: Final = 10_000_000
"""Bytes of an image on its way into a PDF."""


@dataclass(frozen=True)
class BedrockDataAutomationExtraction:
    """ExtractionEngine: the scans of a document as PDFs of their own, a job each.

    Attributes:
        project: ARN of the project. Its standard output of documents must have the granularity WORD and bounding boxes;
            its splitter must be off. What it tells beyond that is not read, and costs nothing but time.
        profile: ARN of the data automation profile, which says in which regions documents may be processed.
        bucket, prefix: where files of jobs and their answers are, inside the lake. They are deleted when they are read;
            give the prefix a life cycle of days for those that a kill leaves.
        kms_key: encrypts those files; empty for the bucket's own default.
        output: what a page is charged as: 'custom' where the project has blueprints.
        digital_pages: 'text_layer' reads digital PDF pages here; 'ocr' sends them too.
        send_blank: blank scans are sent, too.
    """

    io_bound: ClassVar[bool] = True
    calls: PaidCalls
    project: str
    profile: str
    bucket: str
    prefix: str = "data_automation/"
    kms_key: str = ""
    output: Literal["standard", "custom"] = "standard"
    digital_pages: scans.DigitalPages = "text_layer"
    send_blank: bool = False

    @property
    def name(self) -> str:
        return "bedrock_data_automation"

    @property
    def version(self) -> str:
        """Code version, project, routing, and the embedded readers' version, since they read what is not sent."""
        routing = f"digital_pages={self.digital_pages}{' send_blank' if self.send_blank else ''}"
        return f"{CODE_VERSION} {self.project} {routing} {EmbeddedExtraction().version}"

    def extract(self, data: bytes, media_type: str) -> Extraction:
        """Read a document. What only another try can mend (a service away) fails the whole of it, so that it is tried.

        Raises:
            DocumentError: when nothing of the document can be read, or as jobs.run.
            ConfigurationError: where the project is not set up as it must be, or as jobs.run.
            BudgetReachedError: as jobs.run.
        """
        if media_type != types.PDF and media_type not in types.IMAGES:
            return EmbeddedExtraction().extract(data, media_type)
        return scans.extracted(lambda: self._pdf(data) if media_type == types.PDF else self._pictures(data, media_type))

    def _pictures(self, data: bytes, media_type: str) -> Iterator[Page | DocumentError]:
        return self._read(
            data, scans.planned_pictures(data, media_type, MOST_IMAGE, send_blank=self.send_blank), scans.pdf_of_images
        )

    def _pdf(self, data: bytes) -> Iterator[Page | DocumentError]:
        with scans.opened(data) as (document, count):
            planned = (
                scans.planned_page(document, number, self.digital_pages, send_blank=self.send_blank)
                for number in range(1, count + 1)
            )
            most = limit(SERVICE, START, "document")
            yield from self._read(
                data, planned, lambda sent: scans.pdf_of(document, [scan.number for scan in sent], most)
            )

    def _read(
        self, data: bytes, planned: Iterable[Planned], pdf_of: Callable[[Sequence[Scan]], bytes]
    ) -> Iterator[Page | DocumentError]:
        found: list[Scan] = []
        for page in planned:
            if isinstance(page, Scan):
                found.append(page)
                continue
            if isinstance(page, Page):
                scans.record_saved(page, SERVICE, START, UNIT, self.output)
            yield page
        most = limit(SERVICE, START, "pages")
        for i in range(0, len(found), most):
            sent = found[i : i + most]
            yield from self._read_as_job(sent, scans.content_of(data, sent), partial(pdf_of, sent))

    def _read_as_job(
        self, sent: Sequence[Scan], content: bytes, body: Callable[[], bytes]
    ) -> list[Page | DocumentError]:
        folder = f"{self.prefix}{hashlib.sha256(self.project.encode() + content).hexdigest()}/"
        put: list[str] = []
        finished: list[bool] = []

        def prepare() -> None:
            encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}
            file = {"Bucket": self.bucket, "Key": f"{folder}in.pdf", "Body": body(), "ContentType": types.PDF}
            self.calls.send("s3", "PutObject", {**file, **encryption})
            put.append(folder)

        def check(answers: Sequence[Answer]) -> None:
            finished.append(True)
            data_automation_output.read(answers, sent)

        try:
            answers = jobs.run(
                self.calls,
                Job(SERVICE, START, "GetDataAutomationStatus", "clientToken", "invocationArn", "status", _outputs),
                self._request(folder),
                content=content,
                settings={"project": self.project},
                units=len(sent),
                unit=UNIT,
                option=self.output,
                prepare=prepare,
                check=check,
            )
        except (DocumentError, RunStopError):
            if finished:  # what is not to be kept must not be found again; a job that is still at work needs its file
                self._delete(folder)
            raise
        if put:
            self._delete(folder)
        return data_automation_output.read(answers, sent)

    def _request(self, folder: str) -> dict[str, Any]:
        root = f"s3://{self.bucket}/{folder}"
        return {
            "inputConfiguration": {"s3Uri": f"{root}in.pdf"},
            "outputConfiguration": {"s3Uri": f"{root}out"},
            "dataAutomationConfiguration": {"dataAutomationProjectArn": self.project, "stage": "LIVE"},
            "dataAutomationProfileArn": self.profile,
            **({"encryptionConfiguration": {"kmsKeyId": self.kms_key}} if self.kms_key else {}),
        }

    def _delete(self, folder: str) -> None:
        """Remove a job's files; those that cannot be removed are left to the prefix's life cycle."""
        with suppress(DocumentError):
            listed = self.calls.send("s3", "ListObjectsV2", {"Bucket": self.bucket, "Prefix": folder})
            for found in listed.get("Contents") or ():
                self.calls.send("s3", "DeleteObject", {"Bucket": self.bucket, "Key": found["Key"]})


def _outputs(calls: PaidCalls, job: Job, request: Mapping[str, Any], answer: Answer) -> list[Answer]:
    """The standard outputs that a finished job has written, as its own list of them names them."""
    listed = _fetched(calls, answer["outputConfiguration"]["s3Uri"])
    try:
        paths = [
            part["standard_output_path"] for asset in listed["output_metadata"] for part in asset["segment_metadata"]
        ]
    except (LookupError, TypeError):
        raise DocumentError(Reason.ENGINE_REJECTED, f"{SERVICE}: not a list of outputs") from None
    return [_fetched(calls, path) for path in paths]


def _fetched(calls: PaidCalls, uri: str) -> Any:
    """A JSON file in S3."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = calls.send("s3", "GetObject", {"Bucket": bucket, "Key": key})["Body"]
    try:
        return json.loads(body.read())
    except BotoCoreError as error:
        raise translated(error, "s3", "GetObject") from None
    except ValueError:
        raise DocumentError(Reason.ENGINE_REJECTED, f"{SERVICE}: its output is no JSON") from None
