"""What the chain of nested records costs beside its bare queries, beside pandas, and for one huge line.

    python -m benchmarks.facilities [--quick] [--count N] [--folder DIR]

Facility records, made up (benchmarks.data.facilities), go through the whole chain: raw copy and hash, flat NDJSON, the
typed Iceberg table, five result tables, each checked and published, three of them also as JSON and CSV. Beside it, in
the same run and each in a process of its own, what a script would do: read, keep the last record of each id, flatten to
a table of facilities and one of accreditations in Parquet, count the accredited facilities of each state. Those counts
must be ours.

The same records in one line under `sample_data` show that a file's shape costs time and not memory.
"""

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import steps
from benchmarks.data import facilities as made
from benchmarks.reporting import arguments, figure

COUNT, QUICK_COUNT = 100_000, 5_000
DAY = dt.date(2026, 11, 20)
_TYPES = {
    **{"facility_id": "varchar", "facility_name": "varchar", "employee_count": "varchar", "services": "varchar[]"},
    "location": "struct(address varchar, city varchar, state varchar, zip varchar)",
    "labs": "struct(lab_name varchar, certifications varchar[])[]",
    "accreditations": "struct(accreditation_body varchar, accreditation_id varchar, valid_until varchar)[]",
}
_DATES = "list_transform(accreditations, lambda a: try_cast(a.valid_until as date))"
_FACILITIES = f"""
    select facility_id, facility_name, try_cast(employee_count as bigint) as employee_count, location.address,
        location.city, location.state, location.zip, coalesce(len(services), 0) as services,
        {_DATES}[1] as first_expiry, list_min({_DATES}) as earliest_expiry
    from found"""
_ACCREDITATIONS = """
    select facility_id, a.accreditation_body, a.accreditation_id, try_cast(a.valid_until as date) as valid_until
    from (select facility_id, unnest(accreditations) as a from found)"""
_COUNTS = f"""
    select location.state, count(*) from found where list_max({_DATES}) >= date '{DAY}' group by all"""


def duckdb(source: str, folder: str) -> dict[str, Any]:
    """A step: two tables and the counts in DuckDB."""
    from duckdb import connect

    columns = ", ".join(f"{name}: '{kind}'" for name, kind in _TYPES.items())
    with connect(config={"threads": 2}) as connection:
        connection.execute(
            "create temp table read as "
            f"select * from read_json('{source}', format = 'newline_delimited', columns = {{{columns}}})"
        )
        connection.execute(
            "create temp table found as select * from read "
            "qualify row_number() over (partition by facility_id order by read.rowid desc) = 1"
        )
        for name, sql in (("facilities", _FACILITIES), ("accreditations", _ACCREDITATIONS)):
            connection.execute(f"copy ({sql}) to '{folder}.{name}.parquet' (format parquet, compression snappy)")
        return {"accredited": dict(connection.execute(_COUNTS).fetchall())}


def pandas(source: str, folder: str) -> dict[str, Any]:
    """A step: the same with json_normalize."""
    import json

    import pandas as pd

    with Path(source).open(encoding="utf-8") as lines:
        records = {record["facility_id"]: record for record in map(json.loads, lines)}.values()
    found = pd.json_normalize(list(records))
    for record in records:
        record["accreditations"] = record["accreditations"] or []
    given = pd.json_normalize(list(records), record_path="accreditations", meta=["facility_id"])
    given["valid_until"] = pd.to_datetime(given["valid_until"], format="%Y-%m-%d", errors="coerce")
    by_facility = given.groupby("facility_id")["valid_until"].agg(["first", "min", "max"])
    found = found.merge(by_facility, how="left", left_on="facility_id", right_index=True)
    found["employee_count"] = pd.to_numeric(found["employee_count"], errors="coerce")
    found["services"] = found["services"].str.len()
    found.drop(columns=["labs", "accreditations"]).to_parquet(f"{folder}.facilities.parquet", compression="snappy")
    given.to_parquet(f"{folder}.accreditations.parquet", compression="snappy")
    accredited = found[found["max"] >= pd.Timestamp(DAY)].groupby("location.state").size()
    return {"accredited": {state: int(count) for state, count in accredited.items()}}


def ours(root: str) -> dict[str, Any]:
    """The accredited facilities of each state that our result table has."""
    from medpipe_assets.etlt.tables import open_lake
    from medpipe_assets.lake.location import LakeLocation
    from medpipe_assets.warehouse.lake_tables import lake_warehouse

    warehouse = lake_warehouse(open_lake(LakeLocation.under(Path(root))))
    rows = warehouse.query("SELECT state, accredited_facilities FROM accredited_facilities_by_state").to_pylist()
    return {row["state"]: row["accredited_facilities"] for row in rows if row["accredited_facilities"]}


def _loaded(lake: Path, source: Path) -> steps.Taken:
    return steps.run("benchmarks.load_steps", "chain", "facilities", lake, source, DAY)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, help=f"records ({COUNT}, with --quick {QUICK_COUNT})")
    parser.add_argument("--folder", type=Path, help="where files and lakes are made; the system's temporary one")
    given = parser.parse_args()
    count = given.count or (QUICK_COUNT if given.quick else COUNT)
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="facilities-") as made_folder:
        beside_scripts(Path(made_folder), count)
        if not given.quick:
            in_one_line(Path(made_folder), count)


def beside_scripts(folder: Path, count: int) -> None:
    """The chain and what scripts would do."""
    lines = folder / "lines.ndjson"
    made.write(lines, count)
    chain = _loaded(folder / "lake", lines)
    config = {"records": count, "bytes": chain.told["bytes"], "rows_out": chain.told["rows_out"]}
    figure("facilities_seconds", chain.seconds, "seconds", n=count, config=config)
    figure("facilities_processor_seconds", chain.processor_seconds, "seconds", n=count)
    for part, seconds in chain.told["parts"].items():
        figure(f"facilities_{part}_seconds", seconds, "seconds", n=count)
    figure("facilities_peak_memory", chain.peak_gb, "GB", n=count)
    accredited = ours(str(folder / "lake"))
    for name in ("duckdb", "pandas"):
        peer = steps.run("benchmarks.facilities", name, lines, folder / name)
        counts = {state: n for state, n in peer.told["accredited"].items() if state != "ZZ"}
        if counts != {state: n for state, n in accredited.items() if state != "UNKNOWN"}:
            raise RuntimeError(f"{name} counts other accredited facilities than the chain")
        ratio = chain.seconds / peer.seconds
        figure(f"facilities_seconds_over_{name}", ratio, "ratio", peer={name: peer.seconds}, ratio=ratio, n=count)
        ratio = chain.processor_seconds / peer.processor_seconds
        used = {name: peer.processor_seconds}
        figure(f"facilities_processor_seconds_over_{name}", ratio, "ratio", peer=used, ratio=ratio, n=count)
        figure(f"{name}_peak_memory", peer.peak_gb, "GB", n=count)


def in_one_line(folder: Path, count: int) -> None:
    """The same records in another shape."""
    wrapped = folder / "wrapped.json"
    made.write(wrapped, count, form="wrapped")
    chain = _loaded(folder / "lake_of_one_line", wrapped)
    config = {"bytes": chain.told["bytes"]}
    figure("facilities_in_one_line_seconds", chain.seconds, "seconds", n=count, config=config)
    figure("facilities_in_one_line_peak_memory", chain.peak_gb, "GB", n=count, config=config)


if __name__ == "__main__":
    main()
