"""Moto as a server of this process, for S3, SQS, SNS, Secrets Manager, KMS and Glue; it notes what it is asked.

Which permission a request needs is read off the request: of S3 by method and query, of the others by their target.
"""

import io
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from medpipe_tests.aws_double.model import endpoint_variable

MOTO_SERVICES = ("s3", "sqs", "sns", "secretsmanager", "kms", "glue", "sts", "cloudwatch", "logs")
"""Services whose clients are sent to moto."""

ROLE_KEY = "AKIAROLE"
"""The access key of services that act under a role they were handed: what they ask for is the role's permission, not
the caller's, and is not noted."""

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")

_S3_QUERIES: tuple[tuple[str, str, str], ...] = (
    ("POST", "uploads", "PutObject"),
    ("POST", "uploadId", "PutObject"),
    ("PUT", "uploadId", "PutObject"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("GET", "uploadId", "ListMultipartUploadParts"),
    ("GET", "uploads", "ListBucketMultipartUploads"),
    ("POST", "delete", "DeleteObject"),
    ("GET", "versions", "ListBucketVersions"),
    ("PUT", "versioning", "PutBucketVersioning"),
    ("GET", "versioning", "GetBucketVersioning"),
    ("GET", "location", "GetBucketLocation"),
    ("PUT", "tagging", "PutObjectTagging"),
    ("GET", "tagging", "GetObjectTagging"),
    ("PUT", "encryption", "PutEncryptionConfiguration"),
    ("GET", "encryption", "GetEncryptionConfiguration"),
    ("PUT", "notification", "PutBucketNotification"),
    ("GET", "notification", "GetBucketNotification"),
    ("PUT", "lifecycle", "PutLifecycleConfiguration"),
    ("GET", "lifecycle", "GetLifecycleConfiguration"),
    ("PUT", "policy", "PutBucketPolicy"),
    ("PUT", "publicAccessBlock", "PutBucketPublicAccessBlock"),
)
"""Permission by method and a parameter of the query."""

_S3_OBJECT = {
    "GET": "GetObject",
    "HEAD": "GetObject",
    "PUT": "PutObject",
    "POST": "PutObject",
    "DELETE": "DeleteObject",
}
_S3_BUCKET = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_S3_ACCOUNT = "ListAllMyBuckets"
"""Source of these names: Service Authorization Reference, 'Actions, resources, and condition keys for Amazon S3'."""

_BATCHES = frozenset({"sqs", "sns"})
"""Services whose batches need the permission of the single request, and have none of their own. Source: as above."""

_ENCRYPTION = "x-amz-server-side-encryption"
_KMS = {"PUT": "kms:GenerateDataKey", "POST": "kms:GenerateDataKey", "GET": "kms:Decrypt"}
"""What a caller of S3 must also be allowed for objects that a key of KMS encrypts.

Source: Amazon S3 user guide, 'Using server-side encryption with AWS KMS keys', permissions."""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def action_of(service: str, method: str, path: str, query: Mapping[str, Any], target: str, body_action: str) -> str:
    """The permission that a request needs, e.g. 's3:GetObject' or 'sqs:ReceiveMessage'; empty where it tells none.

    Args:
        service: as the signature names it.
        target: the header X-Amz-Target, empty for services without it.
        body_action: `Action` of a form, empty for services without it.
    """
    if service != "s3":
        name = target.rpartition(".")[2] or body_action
        if service in _BATCHES:
            name = name.removesuffix("Batch")
        return f"{service}:{name}" if name else ""
    for of, parameter, name in _S3_QUERIES:
        if method == of and parameter in query:
            return f"s3:{name}"
    bucket, _, key = unquote(path).strip("/").partition("/")
    if not bucket:
        return f"s3:{_S3_ACCOUNT}"
    versioned = {"GetObject": "GetObjectVersion", "DeleteObject": "DeleteObjectVersion"} if "versionId" in query else {}
    name = (_S3_OBJECT if key else _S3_BUCKET).get(method, "")
    return f"s3:{versioned.get(name, name)}" if name else ""


class _Recording:
    """An application that notes each request's action before moto answers it."""

    def __init__(self, application: Application, actions: Counter[str]) -> None:
        self._application = application
        self._actions = actions
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if signed and signed["key"] != ROLE_KEY:
            query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
            form = "" if environ.get("HTTP_X_AMZ_TARGET") or signed["service"] == "s3" else _form_action(environ)
            action = action_of(
                signed["service"],
                environ["REQUEST_METHOD"],
                environ.get("PATH_INFO", "/"),
                query,
                environ.get("HTTP_X_AMZ_TARGET", ""),
                form,
            )
            with self._lock:
                self._actions[action] += bool(action)
            if signed["service"] == "s3":
                return self._application(environ, self._noting_keys(environ["REQUEST_METHOD"], start_response))
        return self._application(environ, start_response)

    def _noting_keys(self, method: str, start_response: Any) -> Any:
        """S3 says in its answer that an object is under a key of KMS."""

        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            encrypted = any(n.lower() == _ENCRYPTION and value.startswith("aws:kms") for n, value in headers)
            if encrypted and method in _KMS:
                with self._lock:
                    self._actions[_KMS[method]] += 1
            return start_response(status, headers, *rest)

        return started


def _form_action(environ: dict[str, Any]) -> str:
    """The Action of a form's body, which is put back for moto to read."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    action: str = parse_qs(body.decode("utf-8", errors="replace")).get("Action", [""])[0]
    return action


class _Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """A line a request helps nobody."""


class MotoServer:
    """Moto on a port of this machine (0 takes a free one). Use it as a context manager; its state goes with it."""

    def __init__(self, port: int = 0) -> None:
        self.actions: Counter[str] = Counter()
        """How often each action was asked for, by 'service:Action'."""
        application = _Recording(DomainDispatcherApplication(create_backend_app), self.actions)
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", port, application, threaded=True, request_handler=_Quiet
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send clients here."""
        return {endpoint_variable(service): self.url for service in MOTO_SERVICES}

    def forget(self) -> None:
        """Drop all buckets, queues and the like, and the actions."""
        moto_api_backend.reset()
        self.actions.clear()

    def __enter__(self) -> "MotoServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.forget()
