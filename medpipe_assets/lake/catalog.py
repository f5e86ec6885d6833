"""Opening the Iceberg catalog of a lake: SQLite beside a local one, Glue for one on S3.

What is done with it is not here.
"""

import os
from typing import Any
from urllib.parse import quote

import sqlalchemy.exc
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table.snapshots import MetadataLogEntry, Snapshot, SnapshotLogEntry

from medpipe_assets.aws.clients import Clients
from medpipe_assets.lake.location import DEFAULT_DATABASE, LakeLocation
from medpipe_assets.lake.objects import S3Objects, fault
from medpipe_assets.privacy import create_private

LOCAL_NAMESPACE = DEFAULT_DATABASE
CATALOG_TRIES = 5
CONNECT_SECONDS, REQUEST_SECONDS = 10, 70
"""Time limits of reading and writing tables on S3, those of the other clients."""


def _itself(value: Any, _: Any) -> Any:
    return value


# pyiceberg copies a table's whole metadata, snapshot by snapshot, a dozen times a commit: 0.2 s where there are a
# thousand of them, and each commit adds one. Nothing changes a snapshot once it is made, so that it may be shared.
for _kind in (Snapshot, SnapshotLogEntry, MetadataLogEntry):
    _kind.__deepcopy__ = _itself


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
    create_private(location.home / "catalog.db")
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
    """Tables' files are put under the lake's key by table_files.py."""
    from pyiceberg.catalog.glue import GlueCatalog

    from medpipe_assets.lake.table_files import OBJECTS

    properties: dict[str, Any] = {
        "warehouse": location.zone("parquet"),
        "py-io-impl": "medpipe_assets.lake.table_files.TableFiles",
        OBJECTS: S3Objects(location.parquet, location.kms_key, clients),
        "s3.region": clients.client("s3").meta.region_name,
        "s3.connect-timeout": str(CONNECT_SECONDS),
        "s3.request-timeout": str(REQUEST_SECONDS),
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        properties["s3.endpoint"] = endpoint
    catalog = GlueCatalog("medpipe", client=clients.client("glue"), **properties)
    try:
        catalog.create_namespace_if_not_exists(location.database)
    except (ClientError, BotoCoreError) as error:
        raise fault(error, "CreateDatabase", "glue") from None
    return catalog
