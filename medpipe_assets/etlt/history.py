"""The table beside a dataset's own: what does not stand in it. How it is written is the load's matter."""

import pyarrow as pa

from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.merge import LOAD_DAY
from medpipe_assets.lake.schemas import Column, TableContract

STANDING = "_pipeline_standing"
SUPERSEDED, REMOVED = "superseded", "removed"


def history_contract(contract: Contract) -> TableContract | None:
    """The table beside a dataset's own of rows and records that do not stand in it; None where it has none.

    With `history` these are all that were ever fine: a row is either in the table or there. A dataset with rules that
    remove needs at least the records that removed rows, so that none that is loaded late brings them back.
    """
    if not contract.history and not any(rule.otherwise == "remove" for rule in contract.rules.values()):
        return None
    table = contract.table_contract
    standing = Column(STANDING, pa.string(), f"'{SUPERSEDED}' by a newer row, or '{REMOVED}' its key", nullable=True)
    return TableContract(
        f"{table.name}_history",
        table.zone,
        f"{table.row} that was superseded, or that removed it",
        (*table.columns, standing),
        (STANDING, LOAD_DAY),
    )
