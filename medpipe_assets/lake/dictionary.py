"""Writes docs/data_dictionary.md from the table contracts: `python -m medpipe_assets.lake.dictionary`."""

from collections.abc import Iterator

import pyarrow as pa

from medpipe_assets.lake.schemas import TABLES, TableContract


def type_name(kind: pa.DataType) -> str:
    """An Arrow type as Athena would name it."""
    if pa.types.is_list(kind):
        return f"array({type_name(kind.value_type)})"
    if pa.types.is_struct(kind):
        return f"row({', '.join(f'{field.name} {type_name(field.type)}' for field in kind)})"
    names = {"string": "varchar", "bool": "boolean", "int32": "integer", "int64": "bigint", "date32[day]": "date"}
    names |= {"float": "real", "double": "double", "timestamp[us, tz=UTC]": "timestamp"}
    return names[str(kind)]


def _table(contract: TableContract) -> Iterator[str]:
    yield f"## {contract.name}"
    yield ""
    partitions = ", ".join(contract.partition_by)
    yield f"One row is {contract.row}. Zone `{contract.zone}`, partitioned by {partitions}."
    if contract.stage:
        yield f"Written by the stage `{contract.stage}`; a row counts while stage_status vouches for it."
    yield ""
    yield "| column | type | null | patient data | meaning |"
    yield "|---|---|---|---|---|"
    for c in contract.columns:
        null, phi = ("yes" if c.nullable else ""), ("yes" if c.phi else "")
        yield f"| {c.name} | {type_name(c.type)} | {null} | {phi} | {c.description} |"
    yield ""


def markdown() -> str:
    """The whole data dictionary."""
    lines = ["# Data dictionary", "", "Generated from `medpipe_assets/lake/schemas.py` by `make docs`.", ""]
    for contract in TABLES.values():
        lines += _table(contract)
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(), end="")
