"""A large day as batch jobs: texts become files, a job answers them all, and the answers go into the response store.

A batch fills the store ahead of the stages and replaces nothing: engines then ask as always and find what they would
have been answered, under the same keys. What a batch leaves unanswered they pay for one by one. Whether a day is worth
a batch is decided in aws_batch_choice.py.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medpipe_assets.aws import medical_text
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.metering import Cost, record
from medpipe_assets.aws.prices import price, units_of_text
from medpipe_assets.aws.responses import ResponseStore, response_key
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason

JOBS: Mapping[str, str] = {
    "DetectEntitiesV2": "EntitiesDetectionV2Job",
    "DetectPHI": "PHIDetectionJob",
    "InferICD10CM": "ICD10CMInferenceJob",
    "InferRxNorm": "RxNormInferenceJob",
    "InferSNOMEDCT": "SNOMEDCTInferenceJob",
}
"""Comprehend Medical's jobs by the operation whose answers they give; 'Start' and 'Describe' go before the name."""

DONE = frozenset({"COMPLETED", "PARTIAL_SUCCESS", "COMPLETED_WITH_ERROR"})
"""Statuses of a job with answers, perhaps not to all that was asked."""

DAY_SECONDS = 24 * 3600.0
"""How long a job is waited for."""

MOST_BYTES = 10_000_000_000
"""Of a batch. Source: https://docs.aws.amazon.com/comprehend-medical/latest/dev/textanalysis-batchapi.html"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job's files are, inside the lake, and the role by which the service reaches them.

    Attributes:
        prefix: no double slashes (Comprehend Medical refuses them); ends in a slash.
        kms_key: encrypts what we and the service write; empty for the bucket's own default.
    """

    bucket: str
    prefix: str
    role: str
    kms_key: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that is to be answered by a batch: its key in the store, its text, its billable units."""

    key: str
    text: str
    units: float


@dataclass(frozen=True, slots=True)
class Job:
    """A service's batch job, as far as the services differ.

    Attributes:
        request: makes the starting request of (folder of the input, folder of the output, token).
        status: reads the status out of the describing answer.
        output: the name of a file's output, given its own.
        response: an output's content as the answer that a call would have given.
    """

    service: str
    start: str
    describe: str
    unit: str
    request: Callable[[str, str, str], dict[str, Any]]
    status: Callable[[Mapping[str, Any]], str]
    output: Callable[[str], str]
    response: Callable[[bytes], dict[str, Any]]


def prefetch_medical(
    calls: PaidCalls, operation: str, texts: Iterable[str], place: Place, shared: frozenset[str] = frozenset()
) -> int:
    """Have a batch answer what `medical_text.ask` would ask about these texts.

    Returns:
        How many answers came into the store.

    Raises:
        As `prefetch`.
    """
    parts = {part for text in texts for _, part in medical_text.requests(operation, text, shared)}
    wanted = [
        Wanted(response_key(medical_text.SERVICE, operation, {}, part.encode()), part, units_of_text(len(part)))
        for part in sorted(parts)
    ]
    return prefetch(calls, medical_job(operation, place), wanted, place)


def medical_job(operation: str, place: Place) -> Job:
    """A job of Comprehend Medical."""
    properties = "ComprehendMedicalAsyncJobProperties"
    encryption = {"KMSKey": place.kms_key} if place.kms_key else {}
    return Job(
        service=medical_text.SERVICE,
        start=f"Start{JOBS[operation]}",
        describe=f"Describe{JOBS[operation]}",
        unit=medical_text.UNIT,
        request=lambda inputs, outputs, token: {
            "InputDataConfig": {"S3Bucket": place.bucket, "S3Key": inputs},
            "OutputDataConfig": {"S3Bucket": place.bucket, "S3Key": outputs},
            "DataAccessRoleArn": place.role,
            "ClientRequestToken": token,
            "LanguageCode": "en",
            **encryption,
        },
        status=lambda answer: str(answer[properties]["JobStatus"]),
        output=lambda name: f"{name}.out",
        response=_medical_response,
    )


def translation_job(source: str, place: Place, terminology: Iterable[str] = ()) -> Job:
    """A job of Translate, from one language into English."""
    names = list(terminology)
    key = {"EncryptionKey": {"Type": "KMS", "Id": place.kms_key}} if place.kms_key else {}
    root = f"s3://{place.bucket}/"
    return Job(
        service="translate",
        start="StartTextTranslationJob",
        describe="DescribeTextTranslationJob",
        unit="character",
        request=lambda inputs, outputs, token: {
            "JobName": token,
            "InputDataConfig": {"S3Uri": root + inputs, "ContentType": "text/plain"},
            "OutputDataConfig": {"S3Uri": root + outputs, **key},
            "DataAccessRoleArn": place.role,
            "SourceLanguageCode": source,
            "TargetLanguageCodes": ["en"],
            "ClientToken": token,
            **({"TerminologyNames": names} if names else {}),
        },
        status=lambda answer: str(answer["TextTranslationJobProperties"]["JobStatus"]),
        output=lambda name: f"en.{name}",
        response=lambda content: {
            "TranslatedText": content.decode(),
            "SourceLanguageCode": source,
            "TargetLanguageCode": "en",
        },
    )


def prefetch(calls: PaidCalls, job: Job, wanted: Iterable[Wanted], place: Place) -> int:
    """Start a job over what the store does not have, wait for it, and keep its answers. Files are deleted after.

    Run again after a kill it finds the same job by its token, so that nothing is paid twice.

    Returns:
        How many answers came into the store.

    Raises:
        ConfigurationError: without a store, or as PaidCalls.send.
        DocumentError: too_large, engine_rejected where the job failed, timeout, or as PaidCalls.send.
        BudgetReachedError: the job would exceed the budget; it was not started.
    """
    store = calls.store
    if store is None:
        raise ConfigurationError("a batch needs a response store: set one, or ask one by one")
    all_wanted = {one.key: one for one in wanted}
    missing = {key: one for key, one in all_wanted.items() if store.get(key) is None}
    if not missing:
        return 0
    # Of all that is wanted, so that a repeated run that has some answers already still finds its job.
    token = hashlib.sha256(" ".join([job.start, *sorted(all_wanted)]).encode()).hexdigest()
    if sum(len(w.text.encode()) for w in missing.values()) > MOST_BYTES:
        raise DocumentError(Reason.TOO_LARGE, f"a batch takes {MOST_BYTES} bytes: split the day")
    dollars = price(job.service, job.start)
    reserved = dollars.of(sum(w.units for w in missing.values()))
    calls.budget.reserve(reserved)
    paid = 0.0
    try:
        answered = [missing[key] for key in _answered(calls, store, job, missing, place, token)]
        units = sum(one.units for one in answered)
        paid = dollars.of(units)
        record(Cost(job.service, job.start, units, job.unit, paid))
    finally:
        calls.budget.settle(reserved, paid)
    return len(answered)


def _answered(
    calls: PaidCalls, store: ResponseStore, job: Job, missing: Mapping[str, Wanted], place: Place, token: str
) -> Iterator[str]:
    """The keys of what a job answered, the answers being in the store by then."""
    inputs, outputs = f"{place.prefix}{token}/in/", f"{place.prefix}{token}/out/"
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": place.kms_key} if place.kms_key else {}
    for key, one in missing.items():
        body = one.text.encode()
        calls.send("s3", "PutObject", {**_object(place, f"{inputs}{key}.txt"), "Body": body, **encryption})
    job_id = calls.send(job.service, job.start, job.request(inputs, outputs, token))["JobId"]
    answer = calls.poll(job.service, job.describe, {"JobId": job_id}, status=job.status, seconds=DAY_SECONDS)
    if job.status(answer) not in DONE:
        raise DocumentError(Reason.ENGINE_REJECTED, f"{job.service} {job.start}: {job.status(answer)}")
    names = {job.output(f"{key}.txt"): key for key in missing}
    written = list(_listed(calls, place, outputs))
    for path in written:
        answered = names.get(path.rpartition("/")[2])
        if answered is not None:
            content = calls.send("s3", "GetObject", _object(place, path))["Body"].read()
            store.put(answered, job.response(content))
            yield answered
    for path in (*written, *(f"{inputs}{key}.txt" for key in missing)):
        calls.send("s3", "DeleteObject", _object(place, path))


def _listed(calls: PaidCalls, place: Place, prefix: str) -> Iterator[str]:
    more: dict[str, str] = {}
    while True:
        answer = calls.send("s3", "ListObjectsV2", {"Bucket": place.bucket, "Prefix": prefix, **more})
        yield from (found["Key"] for found in answer.get("Contents") or ())
        if not answer.get("IsTruncated"):
            return
        more = {"ContinuationToken": answer["NextContinuationToken"]}


def _object(place: Place, key: str) -> dict[str, str]:
    return {"Bucket": place.bucket, "Key": key}


def _medical_response(content: bytes) -> dict[str, Any]:
    response: dict[str, Any] = json.loads(content)
    return response
