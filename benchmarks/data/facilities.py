"""Facility records as JSON, of any number, none of them real.

    python -m benchmarks.data.facilities 100000 facilities.ndjson [--form lines|wrapped|pretty] [--clean] [--seed 1]

Lists of every length, null and missing ones, dates that are none, words where numbers belong, unknown states, ids that
come twice. Same seed, same records: every value hangs on the record's number by DuckDB's hash.
"""

import argparse
import json
from pathlib import Path
from typing import Literal, get_args

from benchmarks.data.draw import STATES, drawing

Form = Literal["lines", "wrapped", "pretty"]
"""One object a line; all under `sample_data` in one line; the same, indented as people do."""

_SERVICES = (
    "Emergency Care,Radiology,Cardiology,Oncology,Pediatrics,Orthopedics,Maternity,Surgery,Laboratory,Pharmacy,Dialysis"
)
_BODIES = "Joint Commission,NCQA,DNV,CAP,COLA,URAC"
_DATE = "(date '2024-01-01' + (draw(i * 8 + k, 12) % 1800)::int)::varchar"
_DIRTY_DATE = f"case draw(i * 8 + k, 13) % 200 when 0 then '' when 1 then '2026-02-30' else {_DATE} end"

_RECORD = """
    json_object(
        'facility_id', 'FAC' || lpad(id::varchar, 8, '0'),
        'facility_name', pick(['City', 'Saint Anna', 'County', 'Regional'], draw(i, 2)) || ' Hospital ' || id,
        'location', json_object('address', (1 + draw(i, 3) % 9999) || ' Main St',
            'city', pick(['Alderbrook', 'Birchmont', 'Cedarvale', 'Dunmore'], draw(i, 4)), 'state', {state},
            'zip', lpad((501 + draw(i, 6) % 99000)::varchar, 5, '0')),
        'employee_count', {employees},
        'services', list_transform(range(draw(i, 8) % 10), lambda k: pick(services(), draw(i, 9) + k)),
        'labs', list_transform(range(draw(i, 10) % 4), lambda k: json_object('lab_name', 'Lab ' || k,
            'certifications', ['CLIA', 'CAP', 'ISO 15189'][1:(draw(i * 4 + k, 11) % 4)::int])),
        'accreditations', list_transform(range(draw(i, 14) % 5), lambda k: json_object(
            'accreditation_body', pick(bodies(), draw(i * 8 + k, 15)),
            'accreditation_id', 'A' || draw(i * 8 + k, 16), 'valid_until', {date}))
    )::varchar"""
_LOST = """
    case draw(i, 17) % 100 when 0 then regexp_replace(record, '"labs":\\[.*\\],"accreditations"', '"accreditations"')
    when 1 then regexp_replace(record, '"accreditations":\\[.*\\]}$', '"accreditations":null}') else record end"""
_CLEAN = {"state": "pick(states(), draw(i, 5))", "employees": "5 + draw(i, 7) % 9000", "date": _DATE}
_DIRTY = {
    "state": "case when draw(i, 18) % 500 = 0 then 'ZZ' else pick(states(), draw(i, 5)) end",
    "employees": "case when draw(i, 19) % 500 = 0 then to_json('250 staff') else to_json(5 + draw(i, 7) % 9000) end",
    "date": _DIRTY_DATE,
}
_AGAIN = "case when draw(i, 20) % 100 = 0 and i > {begin} then i - 1 else i end"
"""Every hundredth record has the id of the one before it."""

_SQL = """
    copy (
        with numbered as (select i, {id} as id from range({begin}, {begin} + {count}) numbers(i)),
        made as (select i, {record} as record from numbered)
        select {text} from made
    ) to '{path}' (format csv, header false, quote '', escape '', delimiter '\t')"""


def write(path: Path, count: int, *, form: Form = "lines", dirty: bool = True, seed: int = 0, threads: int = 2) -> None:
    """Write a file of so many records."""
    lists = {"states": STATES, "services": _SERVICES.split(","), "bodies": _BODIES.split(",")}
    begin = seed * 1_000_003
    with drawing(lists, threads) as connection:
        lines = path if form == "lines" else path.with_name(path.name + ".lines")
        sql = _SQL.format(
            record=_RECORD.format(**(_DIRTY if dirty else _CLEAN)),
            id=_AGAIN.format(begin=begin) if dirty else "i",
            text=_LOST if dirty else "record",
            begin=begin,
            count=count,
            path=lines,
        )
        connection.execute(sql)
    if form == "lines":
        return
    with lines.open(encoding="utf-8") as source, path.open("w", encoding="utf-8") as target:
        target.write('{"sample_data": [')
        for number, line in enumerate(source):
            record = line.rstrip("\n") if form == "wrapped" else "\n" + json.dumps(json.loads(line), indent=4)
            target.write(("," if number else "") + record)
        target.write("]}\n")
    lines.unlink()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--form", choices=get_args(Form), default="lines")
    parser.add_argument("--clean", action="store_true", help="no missing lists, impossible dates, repeated ids")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.path, given.count, form=given.form, dirty=not given.clean, seed=given.seed)
    print(f"{given.path}: {given.count} records, {given.path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
