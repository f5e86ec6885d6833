"""Bedrock Data Automation: documents in S3 become standard output in S3. Pages are read by an engine.

The output is that of https://docs.aws.amazon.com/bedrock/latest/userguide/bda-output-documents.html, less elements and
statistics that nobody reads; where it is written, and its list, are as the service does it. Projects stand in for their
settings by name: `public-default` is AWS's own, which tells no words, and a name says 'boxless', 'splitting' (each page
from the others) or 'blueprints' where a project has these.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from medpipe_assets.aws.limits import limit
from medpipe_assets.errors import DocumentError
from medpipe_assets.extraction.engine import Extraction, Page
from medpipe_assets.extraction.media_type import DOCX, sniff
from medpipe_tests.aws_double.double import Call, Charge
from medpipe_tests.aws_double.errors import DATA_AUTOMATION, AwsError
from medpipe_tests.aws_double.jobs import Ids, Tokens
from medpipe_tests.aws_double.objects import ACCOUNT, Objects

FORMATS = frozenset({"application/pdf", "image/png", "image/jpeg", "image/tiff", DOCX})
"""Source: https://docs.aws.amazon.com/bedrock/latest/userguide/bda-limits.html"""

START = "InvokeDataAutomationAsync"
MOST_PAGES = 3_000
"""With the splitter, which `limits` leaves out of account. Source: as FORMATS."""

_PIXELS = 200 / 72
"""Of the straightened page, a point."""


@dataclass
class Invocation:
    """A job; `polls` is how often it is not done yet."""

    request: Mapping[str, Any]
    polls: int
    ended: dict[str, Any] | None = None


class DataAutomation:
    """The service.

    Args:
        read: bytes and media type to pages.
        charge: takes what a job costs.
        objects: S3, where documents and outputs are.
        polls: how often a job is not done yet.
    """

    name = DATA_AUTOMATION

    def __init__(
        self,
        read: Callable[[bytes, str], Extraction],
        charge: Callable[[Charge], None],
        objects: Objects,
        polls: int = 1,
    ) -> None:
        self._read, self._charge, self._objects, self._polls = read, charge, objects, polls
        self._invocations: dict[str, Invocation] = {}
        self._ids = Ids(32)
        self._tokens = Tokens(lambda: AwsError("ValidationException", "Token was used with other parameters"))
        self._lock = threading.Lock()
        self.operations: Mapping[str, Callable[[Call], dict[str, Any]]] = {
            START: self._start,
            "GetDataAutomationStatus": self._status,
        }

    def _start(self, call: Call) -> dict[str, Any]:
        if not self._objects.has_bucket(_place(call.request["outputConfiguration"]["s3Uri"])[0]):
            raise AwsError("ValidationException", "Output bucket is not accessible")

        def begin() -> str:
            arn = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:data-automation-invocation/{self._ids.next(call.fingerprint)}"
            self._invocations[arn] = Invocation(call.request, self._polls)
            return arn

        return {"invocationArn": self._tokens.once(call.request.get("clientToken"), call.fingerprint, begin)}

    def _status(self, call: Call) -> dict[str, Any]:
        arn = call.request["invocationArn"]
        invocation = self._invocations.get(arn)
        if invocation is None:
            raise AwsError("ResourceNotFoundException", "Invocation not found")
        with self._lock:
            if invocation.polls > 0:
                invocation.polls -= 1
                return {"status": "InProgress"}
            if invocation.ended is None:
                invocation.ended = self._work(arn.rpartition("/")[2], invocation.request)
        return invocation.ended

    def _work(self, job_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        data = self._objects.get(*_place(request["inputConfiguration"]["s3Uri"]))
        try:
            if data is None or len(data) > limit(DATA_AUTOMATION, START, "document") or sniff(data) not in FORMATS:
                return _failed("Input file is missing, too large or of an unsupported format")
            extraction = self._read(data, sniff(data))
        except DocumentError:
            return _failed("Input file could not be read")
        total = len(extraction.pages) + len(extraction.failures)
        if total > MOST_PAGES or extraction.failures:
            return _failed("Input file has too many pages, or broken ones")
        option = "custom" if "blueprints" in _project(request) else "standard"
        self._charge(Charge(self.name, START, total, "page", option))
        return {"status": "Success", "outputConfiguration": {"s3Uri": self._written(job_id, request, extraction)}}

    def _written(self, job_id: str, request: Mapping[str, Any], extraction: Extraction) -> str:
        """Where the list of the outputs is, now that all are written."""
        bucket, key = _place(request["outputConfiguration"]["s3Uri"])
        folder = f"{key.rstrip('/')}/{job_id}"
        project = _project(request)
        pages = list(extraction.pages)
        parts = [[page] for page in pages] if "splitting" in project else [pages]
        segments = []
        for number, part in enumerate(parts):
            path = f"{folder}/0/standard_output/{number}/result.json"
            output = _output(part, words=project != "public-default", boxes="boxless" not in project)
            self._objects.put(bucket, path, json.dumps(output).encode())
            segments.append({"custom_output_status": "NO_MATCH", "standard_output_path": f"s3://{bucket}/{path}"})
        listed = {
            "job_id": job_id,
            "job_status": "PROCESSED",
            "semantic_modality": "DOCUMENT",
            "output_metadata": [{"asset_id": 0, "segment_metadata": segments}],
        }
        self._objects.put(bucket, f"{folder}/.s3_access_check", b"")
        self._objects.put(bucket, f"{folder}/job_metadata.json", json.dumps(listed).encode())
        return f"s3://{bucket}/{folder}/job_metadata.json"


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _project(request: Mapping[str, Any]) -> str:
    arn: str = request["dataAutomationConfiguration"]["dataAutomationProjectArn"]
    return arn.rpartition("/")[2]


def _failed(message: str) -> dict[str, Any]:
    return {"status": "ClientError", "errorType": "ValidationException", "errorMessage": message}


def _output(pages: list[Page], words: bool, boxes: bool) -> dict[str, Any]:
    """A document's standard output."""
    lines = [line for i, page in enumerate(pages) for line in _lines(i, page)]
    listed = [word for _, of_line in lines for word in of_line]
    if not boxes:
        listed = [{k: v for k, v in word.items() if k != "locations"} for word in listed]
    output = {
        "metadata": {
            "asset_id": "0",
            "logical_subdocument_id": "0",
            "semantic_modality": "DOCUMENT",
            "number_of_pages": len(pages),
            "start_page_index": 0,
            "end_page_index": len(pages) - 1,
            "file_type": "PDF",
        },
        "document": {"representation": {"text": "\n\n".join(page.text for page in pages)}},
        "pages": [_page(i, page) for i, page in enumerate(pages)],
        "elements": [],
        "text_lines": [line for line, _ in lines],
    }
    return output | ({"text_words": listed} if words else {})


def _page(index: int, page: Page) -> dict[str, Any]:
    return {
        "id": f"page-{index}",
        "page_index": index,
        "representation": {"text": page.text},
        "statistics": {"word_count": len(page.words)},
        "asset_metadata": {
            "rectified_image_width_pixels": round(page.width * _PIXELS),
            "rectified_image_height_pixels": round(page.height * _PIXELS),
        },
    }


def _lines(index: int, page: Page) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Lines with their words: cells of a row (parted by a tab) are lines of their own."""

    def line_of(i: int) -> int:
        before = page.text[: page.words.begin[i]]
        return before.count("\n") + before.count("\t")

    found = []
    for number, (_, members) in enumerate(groupby(range(len(page.words)), key=line_of)):
        words = [
            {
                "id": f"word-{index}-{i}",
                "text": page.words.text[i],
                "line_id": f"line-{index}-{number}",
                "reading_order": i,
                "page_index": index,
                "confidence": page.words.confidence[i],
                "locations": [{"page_index": index, "bounding_box": _bounding_box(page, i)}],
            }
            for i in members
        ]
        text = " ".join(word["text"] for word in words)
        line = {"id": f"line-{index}-{number}", "text": text, "reading_order": number, "page_index": index}
        found.append((line, words))
    return found


def _bounding_box(page: Page, i: int) -> dict[str, float]:
    x0, y0, x1, y1 = page.words.boxes[i] or (0.0, 0.0, 1.0, 1.0)
    return {"left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0}
