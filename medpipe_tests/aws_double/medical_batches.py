"""Comprehend Medical's batch jobs: every file under a prefix of S3 is a text; answers go to a folder of the job's own.

Folder, names and manifest are as
https://docs.aws.amazon.com/comprehend-medical/latest/dev/textanalysis-batchapi.html describes them.
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from functools import partial as bound
from typing import Any

from medpipe_tests.aws_double.double import Call, Charge
from medpipe_tests.aws_double.errors import AwsError
from medpipe_tests.aws_double.jobs import BatchJobs
from medpipe_tests.aws_double.objects import ACCOUNT, Objects

KINDS = {
    "EntitiesDetectionV2": ("DetectEntitiesV2", "EntitiesDetection"),
    "PHIDetection": ("DetectPHI", "PHIDetection"),
    "ICD10CMInference": ("InferICD10CM", "ICD10CMInference"),
    "RxNormInference": ("InferRxNorm", "RxNormInference"),
    "SNOMEDCTInference": ("InferSNOMEDCT", "SNOMEDCTInference"),
}
"""Jobs by the middle of their operations' names: what they do with a text, and their type in folder and manifest."""

MOST_CHARACTERS = 20_000
"""Of a file. Source: https://docs.aws.amazon.com/comprehend-medical/latest/dev/ontologies-batchapi.html"""

KEPT = dt.timedelta(days=120)
"""How long a job can be asked for."""

Answer = Callable[[str, str], dict[str, Any]]


def units(text: str) -> int:
    """Billable units: hundreds of characters begun, at least one."""
    return max(1, math.ceil(len(text) / 100))


class MedicalBatches:
    """The operations Start, Describe, Stop and List of every kind of job.

    Args:
        answer: operation and text to its answer.
        charge: takes what a text costs.
        objects: S3.
        polls: how often a job is not done yet.
    """

    def __init__(self, answer: Answer, charge: Callable[[Charge], None], objects: Objects, polls: int) -> None:
        self._answer = answer
        self._charge = charge
        self._objects = objects
        self.operations: dict[str, Callable[[Call], dict[str, Any]]] = {}
        for kind in KINDS:
            jobs = BatchJobs(
                missing=lambda: AwsError("ResourceNotFoundException", "Job not found"),
                mismatch=lambda: AwsError("InvalidRequestException", "Token was used before"),
                polls=polls,
                times=("SubmitTime", "EndTime"),
            )
            self.operations |= {
                f"Start{kind}Job": bound(self._start, kind, jobs),
                f"Describe{kind}Job": bound(_describe, jobs),
                f"Stop{kind}Job": bound(_stop, jobs),
                f"List{kind}Jobs": bound(_list, jobs),
            }

    def _start(self, kind: str, jobs: BatchJobs, call: Call) -> dict[str, Any]:
        request = call.request
        for place in (request["InputDataConfig"], request["OutputDataConfig"]):
            if "//" in place.get("S3Key", ""):
                raise AwsError("InvalidRequestException", "A path may not have two slashes in a row")
            if not self._objects.has_bucket(place["S3Bucket"]):
                raise AwsError("InvalidRequestException", "The bucket cannot be accessed")
        properties = {k: v for k, v in request.items() if k != "ClientRequestToken"}
        token = request.get("ClientRequestToken")
        properties["ExpirationTime"] = dt.datetime.now(dt.UTC) + KEPT
        job = jobs.start(call.fingerprint, token, properties, lambda job_id: self._work(kind, job_id, request))
        return {"JobId": job}

    def _work(self, kind: str, job_id: str, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer every file, then tell of all of them in the manifest."""
        operation, job_type = KINDS[kind]
        source, target = request["InputDataConfig"], request["OutputDataConfig"]
        prefix = source.get("S3Key", "")
        above = target.get("S3Key", "").rstrip("/")
        folder = f"{above}/" * bool(above) + f"{ACCOUNT}-{job_type}-{job_id}/"
        done: list[dict[str, Any]] = []
        failed: list[dict[str, str]] = []
        metered = 0
        for key in self._objects.keys(source["S3Bucket"], prefix):
            name = key.removeprefix(prefix).lstrip("/") or key.rpartition("/")[2]
            data = self._objects.get(source["S3Bucket"], key) or b""
            problem = _problem(data)
            if problem:
                failed.append({"Input": name, **problem})
                continue
            text = data.decode()
            metered += len(text)
            self._charge(Charge("comprehendmedical", f"Start{kind}Job", units(text), "100 characters"))
            body = json.dumps(self._answer(operation, text)).encode()
            self._objects.put(target["S3Bucket"], f"{folder}{name}.out", body)
            done.append({"Input": name, "Output": f"{name}.out", "InputSize": len(data)})
        status = "FAILED" if not done else "PARTIAL_SUCCESS" if failed else "COMPLETED"
        summary: dict[str, Any] = {
            "Status": status,
            "JobType": job_type,
            "InputDataConfiguration": {"Bucket": source["S3Bucket"], "Path": prefix},
            "OutputDataConfiguration": {"Bucket": target["S3Bucket"], "Path": folder},
            "InputFileCount": len(done) + len(failed),
            "TotalMeteredCharacters": metered,
            "UnprocessedFilesCount": len(failed),
            "SuccessFilesCount": len(done),
            "TotalDurationSeconds": 1,
            "SuccessfulFilesListLocation": f"{folder}Manifest_{ACCOUNT}-{job_type}-{job_id}/success",
            "UnprocessedFilesListLocation": f"{folder}Manifest_{ACCOUNT}-{job_type}-{job_id}/failed",
        }
        for key, content in (
            (f"{folder}Manifest", {"Summary": summary}),
            (summary["SuccessfulFilesListLocation"], {"Files": done}),
            (summary["UnprocessedFilesListLocation"], {"Files": failed}),
        ):
            self._objects.put(target["S3Bucket"], str(key), json.dumps(content).encode())
        return status, {
            "OutputDataConfig": {"S3Bucket": target["S3Bucket"], "S3Key": folder},
            "ManifestFilePath": f"{folder}Manifest",
            **({} if done else {"Message": "No file could be processed"}),
        }


def _problem(data: bytes) -> dict[str, str]:
    """Why a file is not processed; empty where it is."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"ErrorCode": "INVALID_ENCODING", "ErrorMessage": "The file is not UTF-8"}
    if not text:
        return {"ErrorCode": "EMPTY_FILE", "ErrorMessage": "The file is empty"}
    if len(text) > MOST_CHARACTERS:
        return {"ErrorCode": "FILE_SIZE_LIMIT_EXCEEDED", "ErrorMessage": "The file is too large"}
    return {}


def _describe(jobs: BatchJobs, call: Call) -> dict[str, Any]:
    return {"ComprehendMedicalAsyncJobProperties": jobs.described(call.request["JobId"])}


def _stop(jobs: BatchJobs, call: Call) -> dict[str, Any]:
    return {"JobId": jobs.stop(call.request["JobId"])["JobId"]}


def _list(jobs: BatchJobs, call: Call) -> dict[str, Any]:
    wanted = call.request.get("Filter", {})
    listed = [
        job
        for job in jobs.all()
        if wanted.get("JobName", job.get("JobName")) == job.get("JobName")
        and wanted.get("JobStatus", job["JobStatus"]) == job["JobStatus"]
    ]
    return {"ComprehendMedicalAsyncJobPropertiesList": listed}
