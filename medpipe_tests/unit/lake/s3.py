"""S3 and Glue for tests: moto's server, made as strict about concurrent writers as the services are.

Moto looks at a condition and then writes, so two threads may both pass; and its Glue ignores the version that an update
is meant for. Both are mended here, for as long as the server runs.
"""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.exceptions import JsonRESTError
from moto.glue.models import GlueBackend
from moto.glue.responses import GlueResponse
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from medpipe_assets.lake.location import LakeLocation

BUCKET = "medpipe-lake"
REGION = "eu-west-1"
CONFLICTS: list[str] = []
"""Tables of which Glue refused an update, since another came first."""


class ConcurrentModificationException(JsonRESTError):  # noqa: N818 - named as the service's
    code = 400

    def __init__(self) -> None:
        super().__init__("ConcurrentModificationException", "Update table failed due to concurrent modifications.")


@contextmanager
def served() -> Iterator[str]:
    """A server with a bucket, to which the environment's clients are directed; gives its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        _make_strict(patch)
        server.start()
        _, port = server.get_host_and_port()
        url = f"http://127.0.0.1:{port}"
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with suppress(boto3.client("s3").exceptions.BucketAlreadyOwnedByYou):  # moto's state outlives its server
            make_bucket(BUCKET)
        try:
            yield url
        finally:
            server.stop()


def make_bucket(name: str) -> None:
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})


def _make_strict(patch: pytest.MonkeyPatch) -> None:
    one_at_a_time = threading.RLock()
    put_object, update_table = S3Response.put_object, GlueResponse.update_table
    CONFLICTS.clear()

    def put(self: S3Response) -> Any:
        with one_at_a_time:
            return put_object(self)

    def update(self: GlueResponse) -> Any:
        with one_at_a_time:
            backend: GlueBackend = self.glue_backend
            table = backend.get_table(self.parameters["DatabaseName"], self.parameters["TableInput"]["Name"])
            if self.parameters.get("VersionId") not in (None, table.as_dict()["VersionId"]):
                CONFLICTS.append(table.name)
                raise ConcurrentModificationException
            return update_table(self)

    patch.setattr(S3Response, "put_object", put)
    patch.setattr(GlueResponse, "update_table", update)


def fresh_location(home: Path) -> LakeLocation:
    """Where no lake is yet: a prefix and a Glue database of its own on the server."""
    own = uuid.uuid4().hex[:12]
    return replace(LakeLocation.under(f"s3://{BUCKET}/{own}", home), database=f"lake_{own}")
