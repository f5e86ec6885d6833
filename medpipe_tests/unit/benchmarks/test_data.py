"""Made-up files: the same for the same seed, and with the dirt that they say they have."""

import csv
import json
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.data import cms, facilities


@pytest.mark.parametrize("kind", cms.KINDS)
def test_a_file_of_cms_has_its_header_its_rows_and_its_dirt(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    dirt = cms.write(kind, path, 500, threads=1)
    with path.open(encoding="utf-8", newline="") as source:
        header, *rows = csv.reader(source)
    assert header == list(cms.KINDS[kind])
    assert sum(not any(row) for row in rows) == dirt.blank
    assert sum(row == header for row in rows) == dirt.repeated_headers
    assert sum(len(row) != len(header) for row in rows) == dirt.ragged
    assert len(rows) == 500 + dirt.blank + dirt.repeated_headers + dirt.ragged


def test_no_made_up_npi_can_be_anyones(tmp_path: Path) -> None:
    cms.write("dac_2022", tmp_path / "file.csv", 500, dirty=False, threads=1)
    with (tmp_path / "file.csv").open(encoding="utf-8", newline="") as source:
        assert {row["NPI"].strip()[0] for row in csv.DictReader(source)} == {"2"}


def test_the_same_seed_makes_the_same_file(tmp_path: Path) -> None:
    made = []
    for name, seed, threads in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        cms.write("dac_2021", tmp_path / name, 300, seed=seed, threads=threads)
        facilities.write(tmp_path / f"{name}.json", 300, seed=seed, threads=threads)
        made.append(((tmp_path / name).read_bytes(), (tmp_path / f"{name}.json").read_bytes()))
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]
    assert made[0][1] != made[2][1]


def test_another_encoding_is_the_same_text(tmp_path: Path) -> None:
    for encoding in ("utf-8", "cp1252"):
        cms.write("dac_2022", tmp_path / encoding, 300, encoding=encoding, threads=1)
    texts = [(tmp_path / encoding).read_text(encoding=encoding) for encoding in ("utf-8", "cp1252")]
    assert texts[0] == texts[1]
    assert not texts[0].isascii()


@pytest.mark.parametrize("form", get_args(facilities.Form))
def test_facilities_are_json_in_every_form(form: facilities.Form, tmp_path: Path) -> None:
    path = tmp_path / "facilities.json"
    facilities.write(path, 250, form=form, threads=1)
    text = path.read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()] if form == "lines" else json.loads(text)["sample_data"]
    assert len(records) == 250
    assert len({record["facility_id"] for record in records}) < 250
    assert any(not record.get("labs", True) for record in records)
