"""Amazon Translate: texts, plain documents, batch jobs, custom terminologies. Words are translated by an engine."""

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medpipe_assets.aws.limits import limit
from medpipe_assets.errors import DocumentError
from medpipe_assets.language import UNDETERMINED, identify
from medpipe_tests.aws_double import word_documents
from medpipe_tests.aws_double.double import Call, Charge
from medpipe_tests.aws_double.errors import AwsError
from medpipe_tests.aws_double.jobs import BatchJobs
from medpipe_tests.aws_double.objects import ACCOUNT, Objects, location

LANGUAGES = frozenset(
    (
        "af sq am ar hy az bn bs bg ca zh zh-TW hr cs da fa-AF nl en et fa tl fi fr fr-CA ka de el gu ht ha "
        "he hi hu is id ga it ja kn kk ko lv lt mk ms ml mt mr mn no ps pl pt pt-PT pa ro ru sr si sk sl so "
        "es es-MX sw sv ta te th tr uk ur uz vi cy"
    ).split()
)
"""Source: https://docs.aws.amazon.com/translate/latest/dg/what-is-languages.html"""

REGION_ARN = f"arn:aws:translate:us-east-1:{ACCOUNT}"


class Translate:
    """The service.

    Args:
        translate: a text and its language to English.
        charge: takes what a call costs.
        objects: S3, for batch jobs.
        polls: how often a job is not done yet.
    """

    name = "translate"

    def __init__(
        self,
        translate: Callable[[str, str], str],
        charge: Callable[[Charge], None],
        objects: Objects,
        polls: int = 1,
    ) -> None:
        self._translate = translate
        self._charge = charge
        self._objects = objects
        self._jobs = BatchJobs(
            missing=lambda: AwsError("ResourceNotFoundException", "Job not found"),
            mismatch=lambda: AwsError("InvalidRequestException", "Token was used before"),
            polls=polls,
            times=("SubmittedTime", "EndTime"),
        )
        self._terminologies: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
        self.operations: Mapping[str, Callable[[Call], dict[str, Any]]] = {
            "TranslateText": self._text,
            "ImportTerminology": self._import,
            "GetTerminology": self._get,
            "ListTerminologies": self._list,
            "DeleteTerminology": self._delete,
            "TranslateDocument": self._document,
            "StartTextTranslationJob": self._start,
            "DescribeTextTranslationJob": self._describe,
            "StopTextTranslationJob": self._stop,
            "ListTextTranslationJobs": lambda _: {"TextTranslationJobPropertiesList": self._jobs.all()},
        }

    def _text(self, call: Call) -> dict[str, Any]:
        text = call.request["Text"]
        check_bytes(self.name, call)
        [english], common = self._translated(call, [text])
        return {"TranslatedText": english, **common}

    def _document(self, call: Call) -> dict[str, Any]:
        """Plain text, and Word documents paragraph by paragraph: whose layout stays."""
        document = call.request["Document"]
        content, kind = document["Content"], document["ContentType"]
        if len(content) > limit(self.name, call.operation, "document"):
            raise AwsError("InvalidRequestException", "Document size exceeds limit")
        if kind not in ("text/plain", word_documents.DOCX):
            raise AwsError("InvalidRequestException", "the double translates text/plain and DOCX only")
        option = "docx" if kind == word_documents.DOCX else ""
        try:
            texts = word_documents.paragraphs(content) if option else [content.decode()]
        except ValueError:
            raise AwsError("InvalidRequestException", "Document content is not of its type") from None
        if sum(map(len, texts)) > limit(self.name, call.operation, "characters"):
            raise AwsError("InvalidRequestException", "Document has too many characters")
        english, common = self._translated(call, texts, option)
        of = dict(zip(texts, english, strict=True))
        translated = word_documents.rewritten(content, of.__getitem__) if option else english[0].encode()
        return {"TranslatedDocument": {"Content": translated}, **common}

    def _translated(self, call: Call, texts: Sequence[str], option: str = "") -> tuple[list[str], dict[str, Any]]:
        """English, and what both operations tell besides; charged."""
        together = "\n".join(texts)
        source, target = _pair(call.request["SourceLanguageCode"], call.request["TargetLanguageCode"], together)
        names = call.request.get("TerminologyNames", [])
        terms = {name: self._terminology(name)[1] for name in names}
        words = {k: v for t in terms.values() for k, v in t.items()}
        found = [self.to_english(text, source, words) for text in texts]
        used = {word for _, met in found for word in met}
        self._charge(Charge(self.name, call.operation, sum(map(len, texts)), "character", option))
        applied = [
            {"Name": name, "Terms": [{"SourceText": s, "TargetText": t} for s, t in of.items() if s in used]}
            for name, of in terms.items()
        ]
        more = {
            "AppliedTerminologies": applied if names else None,
            "AppliedSettings": call.request.get("Settings"),
        }
        return [text for text, _ in found], {"SourceLanguageCode": source, "TargetLanguageCode": target, **more}

    def to_english(self, text: str, language: str, terms: Mapping[str, str]) -> tuple[str, set[str]]:
        """A text in English, a terminology's words as it wants them; and those of its words that were met."""
        if not terms:
            return self._to_english(text, language), set()
        pattern = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
        parts = re.split(rf"(?<!\w)({pattern})(?!\w)", text)
        english = [terms[p] if i % 2 else self._to_english(p, language) for i, p in enumerate(parts)]
        return "".join(english), set(parts[1::2])

    def _to_english(self, text: str, language: str) -> str:
        if not text.strip():
            return text
        try:
            return self._translate(text, language.partition("-")[0])
        except DocumentError:
            raise AwsError(
                "UnsupportedLanguagePairException",
                f"Unsupported language pair: {language} to en.",
                members={"SourceLanguageCode": language, "TargetLanguageCode": "en"},
            ) from None

    # --- batch jobs: https://docs.aws.amazon.com/translate/latest/dg/async.html

    def _start(self, call: Call) -> dict[str, Any]:
        request = call.request
        if request["InputDataConfig"]["ContentType"] != "text/plain":
            raise AwsError("InvalidRequestException", "the double translates text/plain only")
        if request["SourceLanguageCode"] != "auto":
            for target in request["TargetLanguageCodes"]:
                _pair(request["SourceLanguageCode"], target, "")
        for name in request.get("TerminologyNames", []):
            self._terminology(name)
        token = request["ClientToken"]
        properties = {k: v for k, v in request.items() if k != "ClientToken"}
        job = self._jobs.start(call.fingerprint, token, properties, lambda job_id: self._work(job_id, request))
        return {"JobId": job, "JobStatus": "SUBMITTED"}

    def _describe(self, call: Call) -> dict[str, Any]:
        return {"TextTranslationJobProperties": self._jobs.described(call.request["JobId"])}

    def _stop(self, call: Call) -> dict[str, Any]:
        stopped = self._jobs.stop(call.request["JobId"])
        return {"JobId": stopped["JobId"], "JobStatus": stopped["JobStatus"]}

    def _work(self, job_id: str, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Translate every file under the prefix into English; a folder of its own takes what comes of it."""
        bucket, prefix = location(request["InputDataConfig"]["S3Uri"])
        out_bucket, out = location(request["OutputDataConfig"]["S3Uri"])
        out = f"{out}{ACCOUNT}-TranslateText-{job_id}/"
        keys = list(self._objects.keys(bucket, prefix))
        details, failed, characters = [], 0, 0
        for key in keys:
            name = key.removeprefix(prefix)
            try:
                text = (self._objects.get(bucket, key) or b"").decode()
                source, _ = _pair(request["SourceLanguageCode"], "en", text)
                terms = [self._terminology(each)[1] for each in request.get("TerminologyNames", [])]
                english, _ = self.to_english(text, source, {k: v for of in terms for k, v in of.items()})
            except (AwsError, UnicodeDecodeError):
                failed += 1
                continue
            characters += len(text)
            self._charge(Charge(self.name, "StartTextTranslationJob", len(text), "character"))
            self._objects.put(out_bucket, f"{out}en.{name}", english.encode())
            details.append({"sourceFile": name, "targetFile": f"en.{name}"})
        summary = {
            "sourceLanguageCode": request["SourceLanguageCode"],
            "targetLanguageCode": "en",
            "charactersTranslated": str(characters),
            "documentCountWithCustomerError": str(failed),
            "documentCountWithServerError": "0",
            "inputDataPrefix": request["InputDataConfig"]["S3Uri"],
            "outputDataPrefix": f"s3://{out_bucket}/{out}",
            "details": details,
        }
        body = json.dumps(summary).encode()
        self._objects.put(out_bucket, f"{out}details/en.auxiliary-translation-details.json", body)
        counts = {
            "TranslatedDocumentsCount": len(details),
            "DocumentsWithErrorsCount": failed,
            "InputDocumentsCount": len(keys),
        }
        status = "FAILED" if not details else "COMPLETED_WITH_ERROR" if failed else "COMPLETED"
        message = {} if details else {"Message": "No input file could be translated"}
        written_to = {"OutputDataConfig": {"S3Uri": f"s3://{out_bucket}/{out}"}}
        return status, {"JobDetails": counts, **message, **written_to}

    # --- terminologies

    def _terminology(self, name: str) -> tuple[dict[str, Any], dict[str, str]]:
        if name not in self._terminologies:
            raise AwsError("ResourceNotFoundException", f"No terminology found with name: {name}")
        return self._terminologies[name]

    def _import(self, call: Call) -> dict[str, Any]:
        name, data = call.request["Name"], call.request["TerminologyData"]
        if data["Format"] != "CSV":
            raise AwsError("InvalidParameterValueException", "the double reads CSV only")
        try:
            header, *rows = list(csv.reader(io.StringIO(data["File"].decode("utf-8-sig"))))
            terms = {row[header.index(header[0])]: row[header.index("en")] for row in rows if row}
        except (ValueError, IndexError):
            raise AwsError("InvalidParameterValueException", "the file needs a header of language codes") from None
        before = self._terminologies.get(name)
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        properties = {
            "Name": name,
            "Arn": f"{REGION_ARN}:terminology/{name}/LATEST",
            "SourceLanguageCode": header[0],
            "TargetLanguageCodes": header[1:],
            "SizeBytes": len(data["File"]),
            "TermCount": len(terms),
            "CreatedAt": before[0]["CreatedAt"] if before else now,
            "LastUpdatedAt": now,
            "Directionality": data.get("Directionality", "UNI"),
            "Format": "CSV",
        }
        self._terminologies[name] = (properties, terms)
        return {"TerminologyProperties": properties}

    def _get(self, call: Call) -> dict[str, Any]:
        return {"TerminologyProperties": self._terminology(call.request["Name"])[0]}

    def _list(self, call: Call) -> dict[str, Any]:
        return {"TerminologyPropertiesList": [properties for properties, _ in self._terminologies.values()]}

    def _delete(self, call: Call) -> dict[str, Any]:
        self._terminology(call.request["Name"])
        del self._terminologies[call.request["Name"]]
        return {}


def _pair(source: str, target: str, text: str) -> tuple[str, str]:
    """The languages of a request, the source told from the text where it is asked for."""
    if source == "auto":
        source = identify(text)
        if source == UNDETERMINED:
            raise AwsError(
                "DetectedLanguageLowConfidenceException",
                "Could not detect the language with confidence",
                members={"DetectedLanguageCode": "en"},
            )
    if not {source, target} <= LANGUAGES or source == target or target != "en":
        # The real service translates into any of them; the engines behind this one know English alone.
        raise AwsError(
            "UnsupportedLanguagePairException",
            f"Unsupported language pair: {source} to {target}.",
            members={"SourceLanguageCode": source, "TargetLanguageCode": target},
        )
    return source, target


def check_bytes(service: str, call: Call) -> None:
    """Refuse a text longer than its operation takes, in bytes of UTF-8."""
    most, size = limit(service, call.operation, "text"), len(call.request["Text"].encode())
    if size > most:
        raise AwsError(
            "TextSizeLimitExceededException",
            f"Input text size exceeds limit. Max length of request text allowed is {most} bytes while in this request "
            f"the text size is {size} bytes",
        )
