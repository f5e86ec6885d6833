"""The sample facilities and provider files through the whole chain, and what must come of them."""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.etlt.contract import contract_of
from medpipe_assets.etlt.flatten import flatten
from medpipe_assets.etlt.load import LoadReport, load
from medpipe_assets.etlt.result_sql import transforms_of
from medpipe_assets.etlt.sources import extract, request
from medpipe_assets.etlt.tables import open_lake
from medpipe_assets.etlt.transforms import run_transform
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.warehouse.lake_tables import lake_warehouse

SAMPLES = Path(__file__).parents[3] / "samples"
CORPORA = Path(os.environ.get("MEDPIPE_CORPORA", Path(__file__).parents[3].parent / "shared" / "data"))
REAL_SLICE = CORPORA / "cms" / "dac_2019_slice.csv"
DAY = dt.date(2026, 11, 20)

pytestmark = pytest.mark.slow

Loading = Callable[[str, Path], LoadReport]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    yield open_lake(LakeLocation.under(tmp_path_factory.mktemp("lake")))


@pytest.fixture(scope="module")
def loaded(lake: Lake) -> Loading:
    """Loads a folder, once."""
    reports: dict[str, LoadReport] = {}

    def loading(dataset: str, folder: Path) -> LoadReport:
        if dataset not in reports:
            contract = contract_of(dataset)
            request(lake, contract, [str(folder)], DAY)
            extract(lake, contract, DAY, run_id="run")
            flatten(lake, contract, DAY, run_id="run")
            reports[dataset] = load(lake, contract, DAY, run_id="run")
            for transform in transforms_of(contract):
                assert run_transform(lake, contract, transform, run_id="run").published
        return reports[dataset]

    return loading


def rows(lake: Lake, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake_warehouse(lake).query(sql).to_pylist()
    return found


def test_facilities(lake: Lake, loaded: Loading) -> None:
    report = loaded("facilities", SAMPLES / "facilities")
    assert report.published
    assert (report.rows_in, report.rows_out, report.duplicates) == (13, 9, 1)
    assert report.rejected_by_reason == {"malformed": 2, "missing": 1}
    assert report.warned == {"employees_are_not_negative": 1}
    assert report.partitions == ("NH", "OK", "TX", "UNKNOWN", "VT")
    counted = rows(lake, "SELECT state, facilities, accredited_facilities FROM accredited_facilities_by_state")
    states = {row["state"]: (row["facilities"], row["accredited_facilities"]) for row in counted}
    assert states.pop("TX")[0] == 3
    assert states == {"NH": (2, 1), "OK": (2, 1), "UNKNOWN": (1, 0), "VT": (1, 0)}


def test_keys_in_other_cases_are_the_same_keys(lake: Lake, loaded: Loading) -> None:
    loaded("facilities", SAMPLES / "facilities")
    (metrics,) = rows(lake, "SELECT * FROM facility_metrics WHERE facility_id = 'TX-302'")
    assert (metrics["facility_name"], metrics["employee_count"]) == ("Bluebonnet Rehabilitation", 120)
    assert metrics["expiry_date_of_first_accreditation"] == dt.date(2027, 6, 30)


def test_the_latest_upload_of_a_facility_wins_and_the_one_before_is_kept(lake: Lake, loaded: Loading) -> None:
    loaded("facilities", SAMPLES / "facilities")
    for table, employees in (("facilities", 38), ("facilities_history", 31)):
        found = rows(lake, f"SELECT employee_count FROM {table} WHERE facility_id = 'TX-300'")
        assert found == [{"employee_count": employees}]


def test_clinicians(lake: Lake, loaded: Loading) -> None:
    report = loaded("clinicians", SAMPLES / "providers" / "clinicians")
    assert report.published
    assert (report.rows_in, report.rows_out, report.duplicates) == (23, 13, 2)
    expected = {"blank": 3, "repeated_header": 1, "malformed": 1, "invalid": 1, "is_active": 1, "is_a_person": 1}
    assert report.rejected_by_reason == expected
    found = rows(lake, "SELECT npi, state, last_name, zip_code, enrollment_id, _pipeline_layout FROM clinicians")
    by_key = {(row["npi"], row["state"]): row for row in found}
    assert by_key["2000000010", "NH"]["enrollment_id"] == "I20150302000456"
    assert by_key["2000000010", "ME"]["zip_code"] == "03904"
    assert by_key["2000000036", "NH"]["last_name"] == "PEÑALVER"
    assert by_key["2000000069", "NH"]["zip_code"] == "034310303"
    layouts = {row["_pipeline_layout"] for row in found}
    assert layouts == {"dac_2019", "dac_2021", "dac_2022", "ppef_2024", "plain"}


def test_practices(lake: Lake, loaded: Loading) -> None:
    report = loaded("practices", SAMPLES / "providers" / "practices")
    assert (report.rows_in, report.rows_out, report.duplicates) == (19, 16, 1)
    found = rows(lake, "SELECT practice_id, practice_size_category, census_region FROM practices")
    assert {row["practice_id"]: (row["practice_size_category"], row["census_region"]) for row in found} == {
        "0042200001": ("Medium", "Northeast"),
        "9133465529": ("Solo", "Northeast"),
        "I20200530000380": ("Solo", "Northeast"),
        "O20180530000378": ("Small", "Northeast"),
        "PR-1": ("Enterprise", "South"),
        "PR-2": ("Large", "South"),
        "PR-4": ("Small", "Territories"),
        "PR-5": (None, None),
    }


def test_canonical_providers(lake: Lake, loaded: Loading) -> None:
    report = loaded("canonical_providers", SAMPLES / "providers" / "canonical_providers")
    assert (report.rows_in, report.rows_out, report.duplicates) == (23, 16, 1)
    found = rows(lake, "SELECT npi, display_name, participation_tier, sources, is_active FROM canonical_providers")
    by_npi = {row.pop("npi"): tuple(row.values()) for row in found}
    assert len(by_npi) == 14
    assert by_npi["2000000051"] == ("HUGO HENRY OKAFOR, CRNA", "Full", "DAC+NPPES", True)
    assert by_npi["2000000143"] == ("CASTELLAN FAMILY HEALTH PC", "Limited", "NPPES+PPEF", True)
    assert by_npi["2000000176"] == ("NPI 2000000176", "None", "NPPES", False)
    assert by_npi["2000000192"] == ("Dean Lockhart", "Full", "OTHER", True)
    assert by_npi["2000000226"] == ("Ella Marchetti", "None", "OTHER", False)


def test_detail_tables(lake: Lake, loaded: Loading) -> None:
    report = loaded("detail_tables", SAMPLES / "providers" / "detail_tables")
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (17, 17, 0)
    assert report.warned == {"ends_after_it_begins": 1}
    found = rows(lake, "SELECT status, count(*) AS events FROM detail_tables GROUP BY status")
    assert {row["status"]: row["events"] for row in found} == {
        "Active": 12,
        "Deactivated": 2,
        "Revoked": 1,
        "Terminated": 2,
    }


@pytest.mark.corpora
def test_a_real_slice_of_the_clinicians_file_of_2019(tmp_path: Path) -> None:
    if not REAL_SLICE.exists():
        pytest.skip(f"no {REAL_SLICE}: set MEDPIPE_CORPORA")
    lake, contract = open_lake(LakeLocation.under(tmp_path)), contract_of("clinicians")
    request(lake, contract, [str(REAL_SLICE)], DAY)
    extract(lake, contract, DAY, run_id="run")
    flatten(lake, contract, DAY, run_id="run")
    report = load(lake, contract, DAY, run_id="run")
    assert (report.rows_in, report.rows_rejected) == (386, 0)
    (counted,) = rows(
        lake,
        "SELECT count_if(npi_valid) AS valid, count(enrollment_date) AS dated, count(zip_code) AS placed, "
        "min(_pipeline_layout) AS layout FROM clinicians",
    )
    assert counted == {**dict.fromkeys(("valid", "dated", "placed"), report.rows_out), "layout": "dac_2019"}
