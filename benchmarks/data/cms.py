"""Files as CMS publishes them about providers, of any size, with nobody real in them.

    python -m benchmarks.data.cms dac_2022 3000000 clinicians.csv [--encoding cp1252] [--clean] [--seed 1]

The headers are CMS's own, year by year; names, numbers and places are drawn. NPIs begin with 2, which no NPI yet does.
Same seed, same rows: every value hangs on the number of its row, person or organisation by DuckDB's hash, so the rows
are made in parallel. What a CSV writer would not write (blank and ragged rows, a header in the middle) is put between
the rows afterwards.
"""

import argparse
import csv
import io
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.draw import STATES, drawing

_LISTS: Mapping[str, list[str]] = {
    "states": STATES,
    "last_names": (
        "ABERNATHY BLACKWOOD CASTELLAN DELACROIX EASTWICK FAIRBURN GALLOWAY HARGROVE IVERSON JESSOP KINGSLEY LOCKHART "
        "MARCHETTI NORTHCOTT OKAFOR PEMBERTON QUILLAN RAVENSCROFT SAITO THORNBURY UNDERHILL VILLALOBOS WHITCOMB XIONG "
        "YARDLEY ZIMMER O'HALLORAN PEÑALVER NÚÑEZ"
    ).split(),
    "first_names": "ADA BRAM CORA DEAN ELLA FINN GWEN HUGO IRIS JUDE KIRA LARS MAYA NOEL OLGA PAUL QUIN ROSA".split(),
    "specialties": [
        *("INTERNAL MEDICINE", "FAMILY PRACTICE", "NURSE PRACTITIONER", "PHYSICIAN ASSISTANT", "DIAGNOSTIC RADIOLOGY"),
        *("ANESTHESIOLOGY", "EMERGENCY MEDICINE", "CARDIOVASCULAR DISEASE (CARDIOLOGY)", "PSYCHOLOGIST, CLINICAL"),
        *("OBSTETRICS/GYNECOLOGY", "CLINICAL SOCIAL WORKER", "OPTOMETRY", "HOSPITALIST", "GENERAL SURGERY"),
    ],
    "credentials": ["MD", "", "DO", "NP", "PA", "", "PT", "CSW", "OD", "CNA", "DC", "DPM", "RN", "M.D."],
    "schools": ["OTHER", "NORTHERN MEDICAL SCHOOL", "COASTAL COLLEGE OF MEDICINE, SOUTH", "INSTITUTE OF HEALTH, BAY"],
    "cities": "ALDERBROOK BIRCHMONT CEDARVALE DUNMORE ELMHAVEN FERNWOOD GLENROCK HAZELTON IVYDALE JUNIPER".split(),
    "streets": ["MAIN ST", "OAK AVE", "N MEDICAL CENTER DR", "HOSPITAL PKWY", "E 5TH ST", "STATE ROUTE 9"],
    "taxonomies": ["207R00000X", "207Q00000X", "363L00000X", "363A00000X", "2085R0202X", "1041C0700X"],
}

_MACROS = """
    create macro npi_of(person) as npi_with_check_digit('2' || lpad((person * 53 % 99999989)::varchar, 8, '0'));
    create macro zip_of(key) as maybe(key, 30, 3, (1001 + draw(key, 31) % 98000)::varchar,
        lpad((501 + draw(key, 31) % 98000)::varchar, 5, '0') || lpad((draw(key, 32) % 10000)::varchar, 4, '0'));
    create macro enrolled(key, kind) as kind || strftime(date '2003-11-01' + (draw(key, 9) % 8000)::int, '%Y%m%d')
        || lpad((1 + draw(key, 10) % 2500)::varchar, 6, '0');
    create macro pac_of(key, salt) as maybe(key, salt, 10, (draw(key, salt + 1) % 900000000 + 1)::varchar,
        lpad(draw(key, salt + 1)::varchar, 10, '7'));
    create macro us_date(key, salt) as strftime(date '2005-05-23' + (draw(key, salt) % 7000)::int, '%m/%d/%Y');
"""

_CHECK_DIGIT = "create macro npi_with_check_digit(nine) as nine || ((10 - (24 + {}) % 10) % 10)::varchar".format(
    " + ".join(
        f"(2 * nine[{place}]::int) // 10 + (2 * nine[{place}]::int) % 10" if place % 2 else f"nine[{place}]::int"
        for place in range(1, 10)
    )
)
"""Luhn over 80840 and nine digits; the prefix adds 24."""

_DIRTY_NPI = """
    case draw(person, 5) % 1000 when 0 then npi_of(person)[:9] || ((npi_of(person)[10]::int + 3) % 10)::varchar
    when 1 then npi_of(person) || '.0' when 2 then ' ' || npi_of(person) else npi_of(person) end"""
_LAST_NAME = (
    "pick(last_names(), draw(person, 11)) || maybe(person, 12, 9, '-' || pick(last_names(), draw(person, 13)), '')"
)
_FIRST_NAME = "pick(first_names(), draw(person, 14))"
_MIDDLE_NAME = "maybe(person, 15, 3, '', chr((65 + draw(person, 16) % 26)::int))"
_GENDER = "maybe(person, 17, 2, 'M', 'F')"
_SPECIALTY = "pick(specialties(), draw(person, 18))"
_SECOND_SPECIALTY = "maybe(person, 19, 6, pick(specialties(), draw(person, 20)), '')"
_STATE = "maybe(copied, 21, 2000, 'ZZ', pick(states(), draw(person * 3 + draw(copied, 22) % 5 // 4, 23)))"
_CITY = "pick(cities(), draw(copied, 24))"
_STREET = "(1 + draw(copied, 25) % 9999)::varchar || ' ' || pick(streets(), draw(copied, 26))"
_GROUP = "maybe(copied, 40, 5, '', {})"
_GROUP_NAME = _GROUP.format(
    "'GROUP ' || (draw(copied, 41) % 90000)::varchar || maybe(copied, 42, 2000, e'\\nMEDICAL', ' MEDICAL') || ', LLC'"
)
_ENROLLMENT = "enrolled(person * 4 + draw(copied, 8) % 3, 'I')"
_PHONE = "maybe(copied, 27, 8, '', (2000000000 + draw(copied, 28) * 7)::varchar)"

_PERSON = {
    "NPI": _DIRTY_NPI,
    "Ind_PAC_ID": "pac_of(person, 6)",
    "Ind_enrl_ID": _ENROLLMENT,
    "lst_nm": _LAST_NAME,
    "frst_nm": _FIRST_NAME,
    "mid_nm": _MIDDLE_NAME,
    "suff": "maybe(person, 43, 30, 'JR.', '')",
    "gndr": _GENDER,
    "Cred": "pick(credentials(), draw(person, 44))",
    "Med_sch": "pick(schools(), draw(person, 45))",
    "Grd_yr": "maybe(person, 46, 40, '', (1965 + draw(person, 47) % 58)::varchar)",
    "pri_spec": _SPECIALTY,
    "sec_spec_1": _SECOND_SPECIALTY,
    **{f"sec_spec_{number}": "''" for number in (2, 3, 4)},
    "sec_spec_all": _SECOND_SPECIALTY,
}
_PLACE = {
    "org_nm": _GROUP_NAME,
    "org_pac_id": _GROUP.format("lpad((draw(copied, 41) % 90000 * 100003)::varchar, 10, '2')"),
    "num_org_mem": _GROUP.format("(1 + draw(draw(copied, 41) % 90000, 48) % 900)::varchar"),
    "adr_ln_1": _STREET,
    "adr_ln_2": "maybe(copied, 49, 2, 'STE ' || (draw(copied, 50) % 900)::varchar, '')",
    "ln_2_sprs": "''",
    "cty": _CITY,
    "st": _STATE,
    "zip": "zip_of(copied)",
    "phn_numbr": _PHONE,
}
_ASSIGNMENT = {
    "ind_assgn": "maybe(copied, 51, 20, 'M', 'Y')",
    "grp_assgn": "maybe(copied, 52, 20, 'M', 'Y')",
    "adrs_id": f"{_STATE} || zip_of(copied) || {_CITY}[:2] || (1 + draw(copied, 25) % 9999)::varchar || 'XX'",
}
_HOSPITALS = {
    name: value
    for number in range(1, 6)
    for name, value in (
        (
            f"hosp_afl_{number}",
            f"maybe(copied, {60 + number}, {number + 1}, (10001 + draw(person, 66) % 600000)::varchar, '')",
        ),
        (f"hosp_afl_lbn_{number}", f"maybe(copied, {60 + number}, {number + 1}, 'HOSPITAL OF ' || {_CITY}, '')"),
    )
}
_TELEHEALTH = {"Telehlth": "maybe(person, 53, 3, 'Y', '')"}
_NAMES_OF_2022 = {
    **{"lst_nm": "Provider Last Name", "frst_nm": "Provider First Name", "mid_nm": "Provider Middle Name"},
    **{"org_nm": "Facility Name", "cty": "City/Town", "st": "State", "zip": "ZIP Code"},
    **{"phn_numbr": "Telephone Number"},
}
_DAC_2021 = {**_PERSON, **_TELEHEALTH, **_PLACE, **_ASSIGNMENT}

_IS_GROUP = "draw(person, 70) % 5 = 0"
_ENROLLED_AS = f"case when {_IS_GROUP} then enrolled(person, 'O') else enrolled(person, 'I') end"
_TYPE_CODE = "'14-' || lpad(({} % 14)::varchar, 2, '0')"
_PPEF = {
    "NPI": _DIRTY_NPI,
    "PECOS_ASCT_CNTL_ID": "pac_of(person, 6)",
    "ENRLMT_ID": _ENROLLED_AS,
    "PROVIDER_TYPE_CD": f"case when {_IS_GROUP} then '12-70' else {_TYPE_CODE.format('draw(person, 18)')} end",
    "PROVIDER_TYPE_DESC": f"case when {_IS_GROUP} then 'PART B SUPPLIER - CLINIC/GROUP PRACTICE' "
    f"else 'PRACTITIONER - ' || {_SPECIALTY} end",
    "STATE_CD": _STATE,
    "FIRST_NAME": f"case when {_IS_GROUP} then '' else {_FIRST_NAME} end",
    "MDL_NAME": f"case when {_IS_GROUP} then '' else {_MIDDLE_NAME} end",
    "LAST_NAME": f"case when {_IS_GROUP} then '' else {_LAST_NAME} end",
    "ORG_NAME": f"case when {_IS_GROUP} then 'GROUP ' || person::varchar || ', PC' else '' end",
}
_NPPES_GONE = "draw(person, 71) % 40 = 0"
_NPPES_KEPT = {
    "Entity Type Code": f"case when {_IS_GROUP} then '2' else '1' end",
    "Provider Organization Name (Legal Business Name)": f"case when {_IS_GROUP} then 'GROUP ' || person else '' end",
    "Provider Last Name (Legal Name)": f"case when {_IS_GROUP} then '' else {_LAST_NAME} end",
    "Provider First Name": f"case when {_IS_GROUP} then '' else {_FIRST_NAME} end",
    "Provider Middle Name": f"case when {_IS_GROUP} then '' else {_MIDDLE_NAME} end",
    "Provider Credential Text": f"case when {_IS_GROUP} then '' else pick(credentials(), draw(person, 44)) end",
    "Provider First Line Business Practice Location Address": _STREET,
    "Provider Business Practice Location Address City Name": _CITY,
    "Provider Business Practice Location Address State Name": _STATE,
    "Provider Business Practice Location Address Postal Code": "zip_of(copied)",
    "Provider Business Practice Location Address Telephone Number": _PHONE,
    "Provider Enumeration Date": "us_date(person, 72)",
    "Last Update Date": "us_date(person, 73)",
    "Provider Gender Code": f"case when {_IS_GROUP} then '' else {_GENDER} end",
    "Healthcare Provider Taxonomy Code_1": "pick(taxonomies(), draw(person, 18))",
    "Other Provider Identifier Type Code_1": "maybe(person, 74, 4, '05', '')",
}

KINDS: Mapping[str, Mapping[str, str]] = {
    "dac_2019": {
        name if name == "NPI" else f" {name}": value
        for name, value in {**_PERSON, **_PLACE, **_HOSPITALS, **_ASSIGNMENT}.items()
    },
    "dac_2021": _DAC_2021,
    "dac_2022": {_NAMES_OF_2022.get(name, name): value for name, value in _DAC_2021.items()},
    "ppef_enrollment_2024_q3": {**_PPEF, "GNDR_SW": _GENDER},
    "ppef_enrollment_2025_q1": _PPEF,
    "ppef_enrollment_2025_q3": {"NPI": _PPEF["NPI"], "MULTIPLE_NPI_FLAG": "maybe(person, 75, 50, 'Y', 'N')", **_PPEF},
    "ppef_practice_location": {
        **{"ENRLMT_ID": _ENROLLED_AS, "CITY_NAME": _CITY, "STATE_CD": _STATE, "ZIP_CD": "zip_of(copied)"},
    },
    "ppef_reassignment": {
        "REASGN_BNFT_ENRLMT_ID": "enrolled(person, 'I')",
        "RCV_BNFT_ENRLMT_ID": "enrolled(draw(copied, 76) % people, 'O')",
    },
    "ppef_secondary_specialty": {
        "ENRLMT_ID": "enrolled(person, 'I')",
        "PROVIDER_TYPE_CD": _TYPE_CODE.format("draw(copied, 77)"),
        "PROVIDER_TYPE_DESC": "'PRACTITIONER - ' || pick(specialties(), draw(copied, 77))",
    },
    "nppes": {
        "NPI": "npi_of(person)",
        **{name: f"case when {_NPPES_GONE} then '' else {value} end" for name, value in _NPPES_KEPT.items()},
        "NPI Deactivation Date": f"case when {_NPPES_GONE} then us_date(person, 78) else '' end",
        "NPI Deactivation Reason Code": f"case when {_NPPES_GONE} then maybe(person, 79, 3, 'DT', '') else '' end",
        "NPI Reactivation Date": "''",
    },
}
"""Each kind of file: its headers, in order, and the SQL of their values over `copied` (the row that a row is, or
repeats), `person` and `people`. NPPES has its most used columns of 330."""

_SQL = """
    copy (
        with rows as (
            select case when draw(i, 1) % 50 = 0 and i > 0 then i - 1 - draw(i, 2) % least(i, 1000) else i end as copied
            from range({begin}, {begin} + {rows}) numbered(i)
        ),
        drawn as (select copied, draw(copied, 3) % {people} as person, {people} as people from rows)
        select {values} from drawn
    ) to '{path}' (format csv, header false)"""

_CHUNK = 16 << 20
_BLANK_RUN = 2000
_ROW_BEGINS = re.compile(rb"\n(?=[0-9 IO][0-9]{5})")
"""A newline after which a row begins, and not one inside quotes."""


@dataclass(frozen=True, slots=True)
class Dirt:
    """What stands between the rows of a file: how many records of each kind."""

    blank: int = 0
    repeated_headers: int = 0
    ragged: int = 0


def write(
    kind: str, path: Path, rows: int, *, encoding: str = "utf-8", dirty: bool = True, seed: int = 0, threads: int = 2
) -> Dirt:
    """Write a file; a fiftieth of the rows repeat another, 47 % as many people as rows, a group for four of five.

    Args:
        kind: one of KINDS.
        dirty: put blank rows by the thousand, a second header and rows with too few or too many values between them.

    Returns:
        How many records it has besides `rows`.
    """
    columns = KINDS[kind]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        plain = Path(folder, "rows.csv")
        with drawing(_LISTS, threads) as connection:
            connection.execute(_CHECK_DIGIT)
            connection.execute(_MACROS)
            values_sql = ", ".join(f"nullif({sql}, '') as c{place}" for place, sql in enumerate(columns.values()))
            connection.execute(
                _SQL.format(
                    begin=seed * 1_000_003, rows=rows, people=max(1, rows * 47 // 100), values=values_sql, path=plain
                )
            )
        header = _line(list(columns))
        with plain.open("rb") as source, path.open("wb") as target:
            target.write(header)
            return _pour(_pieces(source), target, len(columns), header, dirty, encoding)


def _pour(
    pieces: Iterator[bytes], target: io.BufferedWriter, width: int, header: bytes, dirty: bool, encoding: str
) -> Dirt:
    """Write the rows, and dirt after the first piece; a blank row after each."""
    blank_row = b"," * (width - 1) + b"\n"
    number = 0
    for number, piece in enumerate(pieces, 1):
        target.write(piece if encoding == "utf-8" else piece.decode().encode(encoding))
        if dirty:
            target.write(blank_row)
        if dirty and number == 1:
            target.write(_BLANK_RUN * blank_row + header)
            target.write(b"2000000002\n2000000002" + b",EXTRA" * (width + 3) + b"\n")
    return Dirt(blank=number + _BLANK_RUN, repeated_headers=1, ragged=2) if dirty else Dirt()


def _pieces(source: io.BufferedReader) -> Iterator[bytes]:
    """The file in pieces of whole rows."""
    rest = b""
    while read := source.read(_CHUNK):
        rest += read
        ends = [found.end() for found in _ROW_BEGINS.finditer(rest, max(0, len(rest) - 4096))]
        if ends:
            yield rest[: ends[-1]]
            rest = rest[ends[-1] :]
    if rest:
        yield rest


def _line(values: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("rows", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--encoding", default="utf-8")
    parser.add_argument("--clean", action="store_true", help="no blank or ragged rows, no second header")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dirt = write(given.kind, given.path, given.rows, encoding=given.encoding, dirty=not given.clean, seed=given.seed)
    print(f"{given.path}: {given.rows} rows, {given.path.stat().st_size} bytes, {dirt}")


if __name__ == "__main__":
    main()
