"""Objects in S3 as the other services see them: fetched, listed, written, through an ordinary client."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
"""The account that moto plays."""


def location(uri: str) -> tuple[str, str]:
    """Bucket and prefix (empty, or ending in a slash) of an s3:// location of a folder."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""


class Objects:
    """S3 through a client that is made on first use (of the fake S3 that the test runs)."""

    def __init__(self, make_client: Callable[[], Any]) -> None:
        self._make_client = make_client

    @cached_property
    def _client(self) -> Any:
        return self._make_client()

    def get(self, bucket: str, key: str, version: str | None = None) -> bytes | None:
        """An object's bytes; None where there is none, or no permission."""
        extra = {"VersionId": version} if version else {}
        try:
            body: bytes = self._client.get_object(Bucket=bucket, Key=key, **extra)["Body"].read()
        except ClientError:
            return None
        return body

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self._client.put_object(Bucket=bucket, Key=key, Body=body)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Keys under a prefix, in order."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (item["Key"] for item in page.get("Contents", ()))

    def has_bucket(self, bucket: str) -> bool:
        try:
            self._client.head_bucket(Bucket=bucket)
        except ClientError:
            return False
        return True

    def is_located(self, bucket: str) -> bool:
        """As `has_bucket`, for services that ask where it is."""
        try:
            self._client.get_bucket_location(Bucket=bucket)
        except ClientError:
            return False
        return True
