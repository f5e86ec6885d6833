"""Opening the Iceberg catalog of a lake: SQLite beside a local one, Glue for one on S3.

What is done with it is not here.
"""

import os
from urllib.parse import quote

import sqlalchemy.exc
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.sql import SqlCatalog

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.location import DEFAULT_DATABASE, ZONES, LakeLocation
from medpipe_assets.lake.objects import fault

LOCAL_NAMESPACE = DEFAULT_DATABASE
CATALOG_TRIES = 5
CONNECT_SECONDS, REQUEST_SECONDS = 10, 70
"""Time limits of reading and writing tables on S3, those of the other clients."""


def namespace_of(location: LakeLocation) -> str:
    """The namespace of a lake's tables."""
    return location.database if location.is_remote else LOCAL_NAMESPACE


def open_catalog(location: LakeLocation, clients: Clients) -> MetastoreCatalog:
    """The catalog, with its namespace, made where it is absent."""
    return _glue(location, clients) if location.is_remote else _sqlite(location)


def _sqlite(location: LakeLocation) -> SqlCatalog:
    """Several processes may find the catalog absent at once (the web UI, its daemon, a command), and each statement of
    its making fails in all of them but one; whoever fails finds what another has made.
    """
    # A file: URI, since a plain path loses what follows a '?'.
    database = f"sqlite:///file:{quote(str(location.home / 'catalog.db'))}?uri=true"
    tries = 0
    while True:
        try:
            catalog = SqlCatalog("medpipe", uri=database, warehouse=location.zone("parquet"))
            catalog.create_namespace_if_not_exists(LOCAL_NAMESPACE)
            return catalog
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.OperationalError):
            tries += 1
            if tries == CATALOG_TRIES:
                raise


def _glue(location: LakeLocation, clients: Clients) -> MetastoreCatalog:
    """Tables are encrypted by their bucket's default: Arrow's S3 file system cannot name a KMS key."""
    from pyiceberg.catalog.glue import GlueCatalog

    properties = {
        "warehouse": location.zone("parquet"),
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "s3.region": clients.client("s3").meta.region_name,
        "s3.connect-timeout": str(CONNECT_SECONDS),
        "s3.request-timeout": str(REQUEST_SECONDS),
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        properties["s3.endpoint"] = endpoint
    if location.kms_key:
        _require_encryption(location, clients)
    catalog = GlueCatalog("medpipe", client=clients.client("glue"), **properties)
    try:
        catalog.create_namespace_if_not_exists(location.database)
    except (ClientError, BotoCoreError) as error:
        raise fault(error, "CreateDatabase", "glue") from None
    return catalog


def _require_encryption(location: LakeLocation, clients: Clients) -> None:
    """Refuse buckets that would keep tables under S3's own key where one of the installation's is asked for."""
    for bucket in sorted({location.zone(zone).split("/")[2] for zone in ZONES}):
        try:
            answer = clients.client("s3").get_bucket_encryption(Bucket=bucket)
        except (ClientError, BotoCoreError) as error:
            failure = fault(error, "GetBucketEncryption")
            if not isinstance(failure, FileNotFoundError):
                raise failure from None
            answer = {"ServerSideEncryptionConfiguration": {"Rules": []}}
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
        if not any(r["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"].startswith("aws:kms") for r in rules):
            raise ConfigurationError(
                f"the bucket {bucket} does not encrypt with KMS by default, as MEDPIPE_KMS_KEY asks: "
                "set its default encryption to SSE-KMS with that key"
            )
