"""What the chain of a flat file costs beside its bare query, beside Spark, and in a lake that grows.

    python -m benchmarks.providers [--quick] [--rows N] [--folder DIR] [--without-spark]

A clinicians file as CMS publishes it, made up (benchmarks.data.cms), is loaded by the whole chain: raw copy and hash,
text Parquet, typed, deduplicated and partitioned Iceberg table, checks. Beside it, in the same run and each in a
process of its own: the transform alone, from the same CSV to the same rows in partitioned Parquet, as one query in
DuckDB and in local Spark, which reads a file with newlines in its values by one thread. Both must come to as many
rows as the chain.

Memory is the most that is resident in all processes of a step. Seconds are by the clock, the work alone; where the
machine has other work, compare processor seconds. `--rows 30000000` needs 25 GB of disk and shows that memory stays.
"""

import contextlib
import csv
import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import steps
from benchmarks.data import cms
from benchmarks.data.draw import STATES
from benchmarks.reporting import arguments, figure

ROWS, QUICK_ROWS = 3_000_000, 60_000
SMALL = 10
"""The small lake has a tenth of the rows of the large one."""
CHANGES = 1000
DAY = dt.date(2026, 11, 20)
KIND = "dac_2022"

_QUERY = r"""
    with cleaned as (
        select
            lpad(split_part(trim({npi}), '.', 1), 10, '0') as npi,
            lpad(trim({pac_id}), 10, '0') as pac_id, trim({enrollment_id}) as enrollment_id,
            trim({last_name}) as last_name, trim({first_name}) as first_name, trim({middle_name}) as middle_name,
            trim({suffix}) as suffix, trim({gender}) as gender, trim({credential}) as credential,
            trim({medical_school}) as medical_school, try_cast({graduation_year} as bigint) as graduation_year,
            trim({primary_specialty}) as primary_specialty, trim({secondary_specialties}) as secondary_specialties,
            case when {telehealth} = 'Y' then true when {telehealth} = 'N' then false end as telehealth,
            trim({facility_name}) as facility_name, lpad(trim({organization_pac_id}), 10, '0') as organization_pac_id,
            try_cast({organization_members} as bigint) as organization_members,
            trim({address_line_1}) as address_line_1, trim({address_line_2}) as address_line_2, trim({city}) as city,
            lpad({zip_code}, case when length({zip_code}) <= 5 then 5 else 9 end, '0') as zip_code,
            trim({phone}) as phone, trim({address_id}) as address_id,
            trim({individual_assignment}) as individual_assignment, trim({group_assignment}) as group_assignment,
            case when {state_code} in (STATES) then {state_code} else 'UNKNOWN' end as state,
            ENROLLMENT_DATE as enrollment_date
        from SOURCE
        where {npi} is not null
    ),
    ranked as (
        select *, row_number() over (partition by npi, state order by
            enrollment_date desc nulls last, enrollment_id desc, organization_pac_id, address_id) as place
        from cleaned
    ),
    newest as (
        select *, cast(npi as bigint) as number, upper(replace(credential, '.', '')) as words
        from ranked
        where place = 1
    )
    select *,
        substr(npi, 1, 1) in ('1', '2') and (24 + LUHN) % 10 = 0 as npi_valid,
        case when MATCHES(words, '\b(MD|DO|MBBS|MBCHB)\b') then 'Physician'
            when MATCHES(words, '\b([A-Z]*NP|NP-?C|PA|PA-?C|RPA-?C|CNS|APRN|ARNP|APN|CNM|CRNA|CNA|AA|CAA)\b')
            then 'Mid-Level'
            when MATCHES(words, '\b(RN|LPN|LVN|BSN|MSN|ADN|DNP|RNFA)\b') then 'Nursing'
            else 'Other' end as credential_group,
        greatest(YEARS, 0) as years_enrolled, primary_specialty is not null as dq_has_specialty,
        credential is not null as dq_has_credential, enrollment_date is not null as dq_has_enrollment_date,
        state <> 'UNKNOWN' as dq_has_state
    from newest"""
"""The transform as one query, in what DuckDB and Spark share; words in capitals stand for what they do not."""

_HEADERS = {
    **{"npi": "NPI", "pac_id": "Ind_PAC_ID", "enrollment_id": "Ind_enrl_ID", "last_name": "Provider Last Name"},
    **{"first_name": "Provider First Name", "middle_name": "Provider Middle Name", "suffix": "suff", "gender": "gndr"},
    **{"credential": "Cred", "medical_school": "Med_sch", "graduation_year": "Grd_yr", "telehealth": "Telehlth"},
    **{"primary_specialty": "pri_spec", "secondary_specialties": "sec_spec_all", "facility_name": "Facility Name"},
    **{"organization_pac_id": "org_pac_id", "organization_members": "num_org_mem", "address_line_1": "adr_ln_1"},
    **{"address_line_2": "adr_ln_2", "city": "City/Town", "state_code": "State", "zip_code": "ZIP Code"},
    **{"phone": "Telephone Number", "address_id": "adrs_id"},
    **{"individual_assignment": "ind_assgn", "group_assignment": "grp_assgn"},
}
_HELPERS = ("number", "place", "words")
"""Columns of the query that are no columns of the table."""


def _query(names: Mapping[str, str], divide: str, **parts: str) -> str:
    """The query of an engine.

    Args:
        names: field -> column of the source.
        divide: the operator of integer division.
        parts: what stands for the words in capitals.
    """
    luhn = []
    for place in range(10):
        digit = f"((number {divide} {10**place}) % 10)"
        luhn.append(f"2 * {digit} + ((number {divide} {5 * 10**place}) % 2)" if place % 2 else digit)
    sql = _QUERY.format(**names)
    states = ", ".join(f"'{state}'" for state in sorted(set(STATES)))
    for word, part in {"STATES": states, "LUHN": " + ".join(luhn), **parts}.items():
        sql = sql.replace(word, part)
    return sql


def bare(source: str, folder: str) -> dict[str, Any]:
    """A step: the query in DuckDB, from CSV to a folder of Parquet by state."""
    import duckdb

    quoted = {name: f'"{header}"' for name, header in _HEADERS.items()}
    csv_options = "all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"', ignore_errors = true"
    sql = _query(
        quoted,
        "//",
        SOURCE=f"(from read_csv('{source}', {csv_options}) where \"NPI\" <> 'NPI')",
        ENROLLMENT_DATE="cast(try_strptime(substr(trim(\"Ind_enrl_ID\"), 2, 8), '%Y%m%d') as date)",
        MATCHES="regexp_matches",
        YEARS=f"datesub('year', enrollment_date, date '{DAY}')",
    )
    options = "format parquet, compression snappy, partition_by (state)"
    with duckdb.connect(config={"threads": 2, "temp_directory": f"{folder}.spill"}) as connection:
        connection.execute("set preserve_insertion_order = false")
        shown = f"select * exclude ({', '.join(_HELPERS)}) from ({sql})"
        connection.execute(f"copy ({shown}) to '{folder}' ({options})")
        return {"rows_out": _rows_in(folder)}


def spark(source: str, folder: str) -> dict[str, Any]:
    """A step: the query in local Spark, from CSV to a folder of Parquet by state."""
    from pyspark.sql import SparkSession

    settings = {
        **{"spark.driver.memory": "4g", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "8"},
        # Else a ragged row is not told from others where a query does not ask for all columns.
        "spark.sql.csv.parser.columnPruning.enabled": "false",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    reader = session.read.options(header=True, multiLine=True, escape='"', mode="DROPMALFORMED")
    reader.csv(source).createOrReplaceTempView("clinicians")
    sql = _query(
        {name: f"`{header}`" for name, header in _HEADERS.items()},
        "div",
        SOURCE="(select * from clinicians where NPI <> 'NPI')",
        ENROLLMENT_DATE="to_date(substr(trim(Ind_enrl_ID), 2, 8), 'yyyyMMdd')",
        MATCHES="regexp_like",
        YEARS=f"cast(floor(months_between(date '{DAY}', enrollment_date) / 12) as bigint)",
    ).replace("\\", "\\\\")
    rows = session.sql(sql).drop(*_HELPERS)
    # Without this every task writes a file of its own into every state.
    rows.repartition("state").write.partitionBy("state").option("compression", "snappy").parquet(folder)
    session.stop()
    return {"rows_out": _rows_in(folder)}


def _rows_in(folder: str) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in Path(folder).glob("*/*.parquet"))


def changes(source: Path, target: Path, *, new: bool) -> None:
    """A file of a thousand rows of California: of clinicians that a file has, or of others."""
    with source.open(encoding="utf-8", newline="") as rows, target.open("w", encoding="utf-8", newline="") as changed:
        reader = csv.DictReader(rows)
        writer = csv.DictWriter(changed, list(reader.fieldnames or ()), extrasaction="ignore")
        writer.writeheader()
        written = 0
        for row in reader:
            if row["State"] != "CA" or not (row["NPI"] or "").isdigit():
                continue
            rng = Random(row["NPI"])
            # No made-up file has 2 000 000 people: from there on the numbers are free.
            npi = str(2_900_000_000 + rng.randrange(99_999_999)) if new else row["NPI"]
            writer.writerow({**row, "NPI": npi, "Ind_enrl_ID": "I20261101000001"})
            written += 1
            if written == CHANGES:
                return


def _loaded(lake: Path, source: Path, day: dt.date = DAY) -> steps.Taken:
    return steps.run("benchmarks.load_steps", "chain", "clinicians", lake, source, day)


def _beside(name: str, ours: steps.Taken, peer: steps.Taken, rows: int) -> None:
    """Our chain beside a peer: seconds, processor seconds, and the same rows."""
    if peer.told["rows_out"] != ours.told["rows_out"]:
        raise RuntimeError(f"{name} has {peer.told['rows_out']} rows, the chain {ours.told['rows_out']}")
    pairs = (
        ("seconds", ours.seconds, peer.seconds),
        ("processor_seconds", ours.processor_seconds, peer.processor_seconds),
    )
    for what, mine, theirs in pairs:
        figure(
            f"clinicians_{what}_over_{name}", mine / theirs, "ratio", peer={name: theirs}, ratio=mine / theirs, n=rows
        )


def whole_chain(folder: Path, rows: int, with_spark: bool) -> None:
    """A large file through the chain, the bare query and Spark."""
    source, lake = folder / "clinicians.csv", folder / "lake"
    cms.write(KIND, source, rows)
    ours = _loaded(lake, source)
    config = {"rows": rows, "bytes": ours.told["bytes"], "rows_out": ours.told["rows_out"]}
    figure("clinicians_seconds", ours.seconds, "seconds", n=rows, config=config)
    figure("clinicians_processor_seconds", ours.processor_seconds, "seconds", n=rows)
    for part, seconds in ours.told["parts"].items():
        figure(f"clinicians_{part}_seconds", seconds, "seconds", n=rows)
    figure("clinicians_peak_memory", ours.peak_gb, "GB", n=rows)
    peer = steps.run("benchmarks.providers", "bare", source, folder / "bare")
    figure("duckdb_peak_memory", peer.peak_gb, "GB", n=rows)
    _beside("duckdb", ours, peer, rows)
    if with_spark:
        peer = steps.run("benchmarks.providers", "spark", source, folder / "spark")
        figure("spark_peak_memory", peer.peak_gb, "GB", n=rows)
        _beside("spark", ours, peer, rows)


def growth(folder: Path, rows: int, kinds: Sequence[str]) -> None:
    """The same few rows, 'new' or 'changed' ones, loaded into a small lake and a large one."""
    small = folder / "small.csv"
    cms.write(KIND, small, rows // SMALL)
    _loaded(folder / "small_lake", small)
    for number, name in enumerate(kinds, 1):
        few = folder / f"{name}.csv"
        changes(small, few, new=name == "new")
        day = DAY + dt.timedelta(number)
        taken = {size: _loaded(folder / lake, few, day) for size, lake in (("small", "small_lake"), ("large", "lake"))}
        seconds = {size: load.seconds for size, load in taken.items()}
        config = {"rows_loaded": CHANGES, "lake": f"{rows // SMALL} and {rows} rows"}
        ratio = seconds["large"] / seconds["small"]
        figure(f"load_of_{name}_rows_by_lake", ratio, "ratio", peer=seconds, ratio=ratio, n=CHANGES, config=config)


@contextlib.contextmanager
def _working(folder: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder, prefix="providers-") as made:
        yield Path(made)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, help=f"clinician rows ({ROWS}, with --quick {QUICK_ROWS})")
    parser.add_argument("--folder", type=Path, help="where files and lakes are made; the system's temporary one")
    parser.add_argument("--without-spark", action="store_true", help="Spark is left out, as it is with --quick")
    given = parser.parse_args()
    rows = given.rows or (QUICK_ROWS if given.quick else ROWS)
    with _working(given.folder) as folder:
        whole_chain(folder, rows, with_spark=not (given.without_spark or given.quick))
        growth(folder, rows, ("new",) if given.quick else ("new", "changed"))


if __name__ == "__main__":
    main()
