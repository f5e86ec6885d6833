"""A large day as batch jobs: texts become files, a job answers them all, and the answers go into the response store.

A batch fills the store ahead of a stage and replaces nothing: the stage then asks as always and finds what it would
have been answered, under the same keys. What a batch leaves unanswered is paid for one by one. Whether a day is worth a
batch is decided in aws_batch_choice.py; which documents are asked about, by the stage itself, in a rehearsal.

A job's files are in a folder of their own inside the lake, with the job's record among them. Killed anywhere, the next
run finds the record and fetches what was paid for, whatever is on its own list; a folder without one cost nothing yet
and is removed.
"""

import json
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError

from medpipe_assets.aws.calls import PREPAID, PaidCalls
from medpipe_assets.aws.faults import translated
from medpipe_assets.aws.metering import BudgetReachedError
from medpipe_assets.aws.prices import price
from medpipe_assets.aws.responses import ResponseStore, response_key
from medpipe_assets.aws_batch_choice import choose_batch, terms
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason, RunStopError

_log = logging.getLogger(__name__)
T = TypeVar("T")

MEDICAL, TRANSLATE = "comprehendmedical", "translate"

MEDICAL_JOBS: Mapping[str, str] = {
    "DetectEntitiesV2": "EntitiesDetectionV2Job",
    "DetectPHI": "PHIDetectionJob",
    "InferICD10CM": "ICD10CMInferenceJob",
    "InferRxNorm": "RxNormInferenceJob",
    "InferSNOMEDCT": "SNOMEDCTInferenceJob",
}
"""Comprehend Medical's jobs by the operation whose answers they give; 'Start' and 'Describe' go before the name."""

ANSWERED = frozenset({(TRANSLATE, "TranslateText"), *((MEDICAL, operation) for operation in MEDICAL_JOBS)})
"""What a job can answer."""

DONE = frozenset({"COMPLETED", "PARTIAL_SUCCESS", "COMPLETED_WITH_ERROR"})
"""Statuses of a job with answers, perhaps not to all that was asked."""

DAY_SECONDS = 24 * 3600.0
"""How long a run waits for a job."""

MOST_BYTES, MOST_FILES = 5_000_000_000, 1_000_000
"""Of a job: Translate's quotas; Comprehend Medical takes 10 GB. What is above them is another job.

Sources: https://docs.aws.amazon.com/translate/latest/dg/what-is-limits.html,
https://docs.aws.amazon.com/comprehend-medical/latest/dev/textanalysis-batchapi.html"""

THREADS = 16
"""Files that are written or read at once."""
AT_ONCE = 1_000
"""Files that are in memory at once; also how many keys a deletion may name. Source: S3's DeleteObjects."""

RECORD = "job.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs' files are, inside the lake, and the role by which the services reach them.

    Attributes:
        prefix: no double slashes (Comprehend Medical refuses them); ends in a slash.
        kms_key: encrypts what we and the service write; empty for the bucket's own default.
    """

    bucket: str
    prefix: str
    role: str
    kms_key: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests that one job can answer: those of an operation that differ in their text alone.

    Attributes:
        rest: the request without its text, as JSON.
    """

    service: str
    operation: str
    rest: str

    @property
    def job(self) -> str:
        """The job's name, without 'Start' or 'Describe'."""
        return "TextTranslationJob" if self.service == TRANSLATE else MEDICAL_JOBS[self.operation]

    @property
    def start(self) -> str:
        return f"Start{self.job}"

    def request(self, place: Place, folder: str, token: str) -> dict[str, Any]:
        """What starts the job over the files in `in/` of a folder."""
        more = _translation(self.rest, place, folder) if self.service == TRANSLATE else _medical(place, folder)
        return {"DataAccessRoleArn": place.role, **more, self._token: token}

    @property
    def _token(self) -> str:
        return "ClientToken" if self.service == TRANSLATE else "ClientRequestToken"

    def status(self, answer: Mapping[str, Any]) -> str:
        """Of a describing answer."""
        properties = "TextTranslationJob" if self.service == TRANSLATE else "ComprehendMedicalAsyncJob"
        return str(answer[f"{properties}Properties"]["JobStatus"])

    def asked_in(self, output: str) -> str | None:
        """The file that an output answers; None where it is none (a manifest)."""
        if self.service == TRANSLATE:
            return output.removeprefix("en.") if output.startswith("en.") and output.endswith(".txt") else None
        return output.removesuffix(".out") if output.endswith(".txt.out") else None

    def response(self, content: bytes) -> dict[str, Any]:
        """An output as the answer that a call would have given."""
        if self.service == TRANSLATE:
            codes = {k: v for k, v in json.loads(self.rest).items() if k.endswith("LanguageCode")}
            return {"TranslatedText": content.decode(), **codes}
        response: dict[str, Any] = json.loads(content)
        return response


def _medical(place: Place, folder: str) -> dict[str, Any]:
    return {
        "InputDataConfig": {"S3Bucket": place.bucket, "S3Key": f"{folder}in/"},
        "OutputDataConfig": {"S3Bucket": place.bucket, "S3Key": f"{folder}out/"},
        "LanguageCode": "en",
        **({"KMSKey": place.kms_key} if place.kms_key else {}),
    }


def _translation(rest: str, place: Place, folder: str) -> dict[str, Any]:
    request = json.loads(rest)
    target = request.pop("TargetLanguageCode")
    key = {"EncryptionKey": {"Type": "KMS", "Id": place.kms_key}} if place.kms_key else {}
    root = f"s3://{place.bucket}/{folder}"
    return {
        "InputDataConfig": {"S3Uri": f"{root}in/", "ContentType": "text/plain"},
        "OutputDataConfig": {"S3Uri": f"{root}out/", **key},
        "TargetLanguageCodes": [target],
        **request,
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a stage is about to make: its key in the store, its text, its billable units."""

    kind: Kind
    key: str
    text: str
    units: float

    @property
    def file(self) -> str:
        """The name of its file, from which key and units are read again."""
        return f"{self.key}-{self.units:.0f}.txt"


class Rehearsal:
    """Stands where PaidCalls stands, calls nothing, and notes each request that a job can answer, once.

    What is answered is empty: engines find nothing in it, and ask on.
    """

    def __init__(self, note: Callable[[Asked], None]) -> None:
        self._note = note
        self._noted: set[str] = set()

    def call(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        content: bytes,
        settings: Mapping[str, Any],
        units: float,
        **_: Any,
    ) -> dict[str, Any]:
        """As PaidCalls.call."""
        key = response_key(service, operation, settings, content)
        known = (
            operation in MEDICAL_JOBS if service == MEDICAL else (service, operation) == (TRANSLATE, "TranslateText")
        )
        if known and key not in self._noted:
            self._noted.add(key)
            rest = json.dumps({k: v for k, v in request.items() if k != "Text"}, sort_keys=True)
            self._note(Asked(Kind(service, operation, rest), key, request["Text"], units))
        return {"TranslatedText": request["Text"]} if service == TRANSLATE else {"Entities": []}


Rehearse = Callable[[Rehearsal], None]
"""Has a stage go through its work with a rehearsal in place of its calls; again whenever called."""


@dataclass(frozen=True)
class Batches:
    """When and where batch jobs are run.

    Attributes:
        always: whatever cost and time say.
        deadline_hours: when a stage's answers have to be there.
    """

    calls: PaidCalls
    place: Place
    always: bool = False
    deadline_hours: float = 4.0

    def prefetch(self, name: str, rehearse: Rehearse) -> int:
        """Have jobs answer what a stage is about to ask, where the rule says so; how many answers came into the store.

        What the budget does not cover is left to be asked one by one; likewise what a job failed to answer.

        Args:
            name: of the stage and its day, e.g. 'entities/2026-11-20'. Who calls holds the lease for it.

        Raises:
            ConfigurationError: without a store, where a job is refused, or as PaidCalls.send.
            RunStopError: where a job is still at work after a day, or out of sight: the next run finds it again.
        """
        if self.calls.store is None:
            raise ConfigurationError("a batch needs a response store: set one, or ask one by one")
        folder = f"{self.place.prefix}{name}/"
        with _followed():
            count = sum(self._resumed(folder))
            chosen, dollars = self._within_budget(self._chosen(rehearse))
        try:
            return count + sum(map(self._finished, self._begun(chosen, folder, rehearse)))
        finally:
            self.calls.budget.settle(dollars, 0.0)  # each job's own is settled when its answers are here

    # --- what is to be asked

    def _chosen(self, rehearse: Rehearse) -> dict[Kind, dict[str, float]]:
        """Units by key, by kind, of what the store does not have and the rule gives to a batch.

        The store is looked into only where the rule would choose a batch even if it had nothing.
        """
        wanted: dict[Kind, dict[str, float]] = defaultdict(dict)
        characters: dict[str, int] = {}

        def note(asked: Asked) -> None:
            wanted[asked.kind][asked.key] = asked.units
            characters[asked.key] = len(asked.text)

        rehearse(Rehearsal(note))
        worthwhile = self._worth_a_batch(wanted, characters)
        missing = {kind: self._missing(keys) for kind, keys in worthwhile.items()}
        return self._worth_a_batch(missing, characters)

    def _worth_a_batch(
        self, wanted: Mapping[Kind, dict[str, float]], characters: Mapping[str, int]
    ) -> dict[Kind, dict[str, float]]:
        """Kinds of the operations that are better asked by a job: kinds of an operation share its quota."""
        totals: dict[str, list[int]] = defaultdict(list)
        for kind, keys in wanted.items():
            totals[kind.operation] += map(characters.__getitem__, keys)
        return {kind: keys for kind, keys in wanted.items() if keys and self._is_batch(kind, totals[kind.operation])}

    def _is_batch(self, kind: Kind, lengths: list[int]) -> bool:
        rate = self.calls.rates.per_second(kind.service, kind.operation)
        prices = terms(kind.service, kind.operation, kind.start, rate)
        return self.always or choose_batch(sum(lengths), len(lengths), self.deadline_hours, prices) == "batch"

    def _within_budget(self, chosen: dict[Kind, dict[str, float]]) -> tuple[dict[Kind, dict[str, float]], float]:
        """What the budget covers, a kind whole or not at all; and the dollars that are reserved for it."""
        covered, total = {}, 0.0
        for kind, keys in chosen.items():
            dollars = price(kind.service, kind.start).of(sum(keys.values()))
            with suppress(BudgetReachedError):
                self.calls.budget.reserve(dollars)
                covered[kind], total = keys, total + dollars
        return covered, total

    def _missing(self, keys: Mapping[str, float]) -> dict[str, float]:
        with ThreadPoolExecutor(THREADS) as threads:
            stored = [found for some in _some(keys) for found in threads.map(self._is_stored, some)]
        return {key: units for (key, units), found in zip(keys.items(), stored, strict=True) if not found}

    def _is_stored(self, key: str) -> bool:
        return self._store.get(key) is not None

    @property
    def _store(self) -> ResponseStore:
        assert self.calls.store is not None
        return self.calls.store

    # --- a job, from its files to its answers

    def _begun(self, chosen: Mapping[Kind, Mapping[str, float]], folder: str, rehearse: Rehearse) -> list[str]:
        """Write the texts, note the jobs and start them all; their folders."""
        uploads = {kind: _Upload(self._put_all, folder) for kind in chosen}

        def note(asked: Asked) -> None:
            if asked.key in chosen.get(asked.kind, ()):
                uploads[asked.kind].add(asked)

        try:
            if chosen:
                rehearse(Rehearsal(note))
            for upload in uploads.values():
                upload.flush()
            folders = [(own, kind) for kind, upload in uploads.items() for own in upload.folders]
            for own, kind in folders:
                self._note(own, kind)
        except DocumentError as error:  # S3 is away and nothing started
            _log.warning("no batch: %s", error)
            return []
        for own, kind in folders:
            self._started(own, kind)
        return [own for own, _ in folders]

    def _resumed(self, folder: str) -> Iterator[int]:
        """Answers of the jobs that an earlier run left; what it had only begun to write is removed."""
        found: dict[str, set[str]] = defaultdict(set)
        for key in self._listed(folder):
            own, _, file = key.removeprefix(folder).partition("/")
            found[own].add(file)
        for own, files in found.items():
            if RECORD in files:
                yield self._finished(f"{folder}{own}/")
            else:
                self._remove(f"{folder}{own}/")

    def _finished(self, own: str) -> int:
        """Wait for the job of a folder and keep its answers; how many. The folder goes.

        From the record's being there on, the job may be at work and will be charged, so whatever goes wrong, it is not
        asked one by one as well.
        """
        with _followed():
            kind, job_id = self._noted(own)
            if self._wait(kind, job_id or self._started(own, kind)):
                count = self._stored(kind, own)
            else:
                _log.warning("%s %s failed: what it was to answer is asked one by one", kind.service, kind.start)
                count = 0
            self._remove(own)
        return count

    def _note(self, own: str, kind: Kind, job_id: str = "") -> None:
        self._put(f"{own}{RECORD}", json.dumps([kind.service, kind.operation, kind.rest, job_id]).encode())

    def _noted(self, own: str) -> tuple[Kind, str]:
        service, operation, rest, job_id = json.loads(self._read(f"{own}{RECORD}"))
        return Kind(service, operation, rest), job_id

    def _started(self, own: str, kind: Kind) -> str:
        """The job over a folder, its name being the token: started again, it is the same job."""
        token = own.rstrip("/").rpartition("/")[2]
        with _followed():
            try:
                job_id = str(self.calls.send(kind.service, kind.start, kind.request(self.place, own, token))["JobId"])
            except DocumentError as error:
                if error.reason is Reason.ENGINE_UNAVAILABLE:
                    raise
                self._remove(own)
                raise ConfigurationError(f"{error}: check MEDPIPE_BATCH_ROLE and what it may read and write") from None
            self._note(own, kind, job_id)
        return job_id

    def _wait(self, kind: Kind, job_id: str) -> bool:
        """Whether the job has answers, once it is at its end; a job that the service no longer knows has none."""
        describe = f"Describe{kind.job}"
        try:
            answer = self.calls.poll(
                kind.service, describe, {"JobId": job_id}, status=kind.status, seconds=DAY_SECONDS
            )  # fmt: skip
        except DocumentError as error:
            if error.reason is Reason.ENGINE_REJECTED:
                return False
            raise
        return kind.status(answer) in DONE

    def _stored(self, kind: Kind, own: str) -> int:
        """Put a job's answers into the store, marked as paid for: whoever asks first has the cost."""

        def keep(path: str) -> float:
            file = kind.asked_in(path.rpartition("/")[2])
            if file is None:
                return 0.0
            key, _, units = file.removesuffix(".txt").partition("-")
            if self._is_stored(key):  # by a run that was killed at this
                return 0.0
            self._store.put(key, {**kind.response(self._read(path)), PREPAID: kind.start})
            return float(units)

        with ThreadPoolExecutor(THREADS) as threads:
            units = [u for some in _some(self._listed(f"{own}out/")) for u in threads.map(keep, some)]
        self.calls.budget.settle(0.0, price(kind.service, kind.start).of(sum(units)))
        return sum(map(bool, units))

    # --- S3

    def _put_all(self, files: Mapping[str, bytes]) -> None:
        """Write files at once."""
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(self._put, files, files.values()))

    def _put(self, path: str, body: bytes) -> None:
        key = self.place.kms_key
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self.calls.send("s3", "PutObject", {"Bucket": self.place.bucket, "Key": path, "Body": body, **encryption})

    def _read(self, path: str) -> bytes:
        answer = self.calls.send("s3", "GetObject", {"Bucket": self.place.bucket, "Key": path})
        try:
            content: bytes = answer["Body"].read()
        except BotoCoreError as error:
            raise translated(error, "s3", "GetObject") from None
        return content

    def _listed(self, prefix: str) -> Iterator[str]:
        more: dict[str, str] = {}
        while True:
            answer = self.calls.send("s3", "ListObjectsV2", {"Bucket": self.place.bucket, "Prefix": prefix, **more})
            yield from (found["Key"] for found in answer.get("Contents") or ())
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _remove(self, own: str) -> None:
        """Delete a folder's files, the record last: what is left by a kill is found by it."""
        paths = [path for path in self._listed(own) if path != f"{own}{RECORD}"]
        for some in (*_some(paths), [f"{own}{RECORD}"]):
            named = {"Objects": [{"Key": path} for path in some], "Quiet": True}
            self.calls.send("s3", "DeleteObjects", {"Bucket": self.place.bucket, "Delete": named})


class _Upload:
    """Files of one kind on their way to S3: a job's worth in a folder, few in memory."""

    def __init__(self, put_all: Callable[[Mapping[str, bytes]], None], folder: str) -> None:
        self._put_all, self._folder = put_all, folder
        self._waiting: dict[str, bytes] = {}
        self._bytes = self._files = 0
        self.folders: list[str] = []

    def add(self, asked: Asked) -> None:
        body = asked.text.encode()
        if not self.folders or self._bytes + len(body) > MOST_BYTES or self._files >= MOST_FILES:
            self.folders.append(f"{self._folder}{uuid.uuid4().hex}/")
            self._bytes = self._files = 0
        self._bytes, self._files = self._bytes + len(body), self._files + 1
        self._waiting[f"{self.folders[-1]}in/{asked.file}"] = body
        if len(self._waiting) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        self._put_all(self._waiting)
        self._waiting = {}


@contextmanager
def _followed() -> Iterator[None]:
    """What befalls a job that may be at work, or the look for one, stops the run."""
    try:
        yield
    except DocumentError as error:
        raise RunStopError(f"a batch job cannot be followed ({error}): run again to find it") from None


def _some(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, AT_ONCE)):
        yield some
