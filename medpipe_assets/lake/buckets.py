"""What the buckets of a lake on S3 should be set to, and are not. Buckets are the deployment's: nothing is set here."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.location import ZONES, LakeLocation
from medpipe_assets.lake.objects import fault


def shortcomings(location: LakeLocation, clients: Clients) -> list[str]:
    """What is to be done about the buckets, a sentence each; nothing for a lake in a folder.

    The raw zone's is to keep versions, since what it holds cannot be made again. All are to encrypt with KMS what comes
    without a key of its own, such as the results of a query engine.

    Raises:
        OSError: where S3 cannot be reached.
    """
    if not location.is_remote:
        return []
    raw = _bucket(location.raw)
    return [*_versions(raw, clients), *(s for b in sorted(_buckets(location)) for s in _encryption(b, clients))]


def _bucket(root: str) -> str:
    return root.split("/")[2]


def _buckets(location: LakeLocation) -> set[str]:
    return {_bucket(location.zone(zone)) for zone in ZONES}


def _versions(bucket: str, clients: Clients) -> Iterator[str]:
    try:
        answer = _asked(clients, "get_bucket_versioning", bucket)
    except ConfigurationError as error:
        yield f"{bucket}: whether it keeps versions is not known ({error})"
        return
    if answer.get("Status") != "Enabled":
        yield f"{bucket}: turn versioning on, since the raw zone holds what cannot be made again"


def _encryption(bucket: str, clients: Clients) -> Iterator[str]:
    try:
        answer = _asked(clients, "get_bucket_encryption", bucket)
    except ConfigurationError as error:
        yield f"{bucket}: how it encrypts is not known ({error})"
        return
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    if not any(r["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"].startswith("aws:kms") for r in rules):
        yield f"{bucket}: set its default encryption to SSE-KMS, with the key that MEDPIPE_KMS_KEY names"


def _asked(clients: Clients, method: str, bucket: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = getattr(clients.client("s3"), method)(Bucket=bucket)
    except (ClientError, BotoCoreError) as error:
        failure = fault(error, method)
        if isinstance(failure, FileNotFoundError):  # S3 answers so where nothing is set
            return {}
        raise failure from None
    return answer
