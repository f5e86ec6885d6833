"""The tables of all datasets beside the lake's own, and a lake that knows them all."""

from collections.abc import Iterator, Mapping
from functools import cache

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.contract import Contract, contracts
from medpipe_assets.etlt.load import history_contract
from medpipe_assets.etlt.result_sql import transforms_of
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import TABLES, TableContract


def tables_of(contract: Contract) -> Iterator[TableContract]:
    """A dataset's tables: the typed one, its history where it keeps one, and a result table a `.sql` file."""
    yield contract.table_contract
    if history := history_contract(contract):
        yield history
    for transform in transforms_of(contract):
        yield transform.table_contract


@cache
def all_tables() -> Mapping[str, TableContract]:
    """Every table that a lake may have, by name.

    Raises:
        ConfigurationError: where two datasets have a table of the same name, or one has one of the lake's own.
    """
    found = dict(TABLES)
    for contract in contracts().values():
        for table in tables_of(contract):
            if table.name in found:
                raise ConfigurationError(f"datasets/{contract.dataset}: there is a table {table.name} already")
            found[table.name] = table
    return found


def open_lake(location: LakeLocation, clients: Clients | None = None) -> Lake:
    """The lake at a place, with the tables of all datasets."""
    return Lake(location, clients, all_tables())
