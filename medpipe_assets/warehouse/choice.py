"""Which SQL engine an installation asks, of a lake: DuckDB on this machine, or Athena where the lake is on S3."""

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.settings import Settings
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.athena_lake import athena_over
from medpipe_assets.warehouse.lake_tables import WarehouseOver, lake_warehouse

ENGINES = ("duckdb", "athena")


def engine_of(settings: Settings, location: LakeLocation) -> str:
    """The engine that is set, or else the profile's: Athena under `aws` where it can see the lake, DuckDB otherwise.

    Raises:
        ConfigurationError: there is no such engine, or it cannot see the lake.
    """
    engine = settings.sql_engine or ("athena" if settings.profile == "aws" and location.is_remote else "duckdb")
    if engine not in ENGINES:
        raise ConfigurationError(f"there is no SQL engine '{engine}': set MEDPIPE_SQL_ENGINE to {' or '.join(ENGINES)}")
    if engine == "athena" and not location.is_remote:
        raise ConfigurationError(
            "Athena cannot see a lake in a folder: put the lake on S3 (MEDPIPE_LAKE=s3://bucket/prefix), or ask duckdb "
            "(MEDPIPE_SQL_ENGINE)"
        )
    return engine


def warehouse_over(settings: Settings, location: LakeLocation, *, unload: bool = False) -> WarehouseOver:
    """The engine's warehouse, over any part of the lake.

    Args:
        unload: large answers, whose rows may come in any order, are wanted: Athena writes them as Parquet.

    Raises:
        ConfigurationError: as `engine_of`.
    """
    if engine_of(settings, location) == "duckdb":
        return lake_warehouse
    clients = Clients(settings.region, retry_mode="standard")
    return athena_over(
        AthenaWarehouse(
            clients.client("athena"),
            location.database,
            settings.athena_workgroup,
            settings.athena_output or f"{location.zone('staging')}/athena/",
            s3=clients.client("s3"),
            unload=unload,
            kms_key=location.kms_key,
        )
    )
