"""The clinical facts that documents are made of: conditions, medications and each language's way of putting them.

Read from the tables beside this module: conditions.tsv, medications.tsv and phrasing.yaml. What goes into which
document is decided in notes.py.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "es", "fr", "pt", "it", "de")
_HERE = Path(__file__).parent

COMBINED = tuple(
    frozenset(pair.split("+"))
    for pair in (
        "hypertension+heart_failure",
        "hypertension+chronic_kidney_disease",
        "t2dm+chronic_kidney_disease",
        "t2dm+glaucoma",
        "copd+asthma",
        "copd+pneumonia",
        "copd+acute_bronchitis",
        "copd+influenza",
        "copd+covid",
        "asthma+acute_bronchitis",
        "hypercholesterolemia+hyperlipidemia",
        "anxiety+depression",
        "crohn+ulcerative_colitis",
        "urinary_tract_infection+kidney_stone",
        "pyelonephritis+kidney_stone",
        "nausea+vomiting",
    )
)
"""Pairs that ICD-10-CM wants as one combination code, or that exclude each other: never in the same document."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition or symptom.

    Attributes:
        key: its name in the truth.
        codes: acceptable ICD-10-CM codes.
        roles: letters of a (reason for admission), c (chronic), f (plausible in a relative), h (feared complication),
            n (commonly ruled out), s (symptom).
        sex: 'f', 'm' or '' for both.
        presents_with: keys of symptoms, for role a.
        terms: per language, the words clinicians use, the formal one first.
    """

    key: str
    codes: tuple[str, ...]
    roles: str
    sex: str
    presents_with: tuple[str, ...]
    terms: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug: what it treats, doses as numbers, and units, routes and frequencies as keys of phrasing.yaml."""

    key: str
    treats: tuple[str, ...]
    doses: tuple[str, ...]
    unit: str
    route: str
    frequencies: tuple[str, ...]
    names: Mapping[str, str]


@cache
def conditions() -> tuple[Condition, ...]:
    """All rows of conditions.tsv."""
    return tuple(
        Condition(
            row["key"],
            _parts(row["codes"]),
            row["roles"],
            row["sex"],
            _parts(row["presents_with"]),
            {language: _parts(row[language]) for language in LANGUAGES},
        )
        for row in _rows("conditions.tsv")
    )


@cache
def drugs() -> tuple[Drug, ...]:
    """All rows of medications.tsv."""
    return tuple(
        Drug(
            row["key"],
            _parts(row["treats"]),
            _parts(row["doses"]),
            row["unit"],
            row["route"],
            _parts(row["frequencies"]),
            {language: row[language] for language in LANGUAGES},
        )
        for row in _rows("medications.tsv")
    )


@cache
def phrasing() -> Mapping[str, Mapping[str, Any]]:
    """phrasing.yaml, by language."""
    loaded: Mapping[str, Mapping[str, Any]] = yaml.safe_load((_HERE / "phrasing.yaml").read_text(encoding="utf-8"))
    return loaded


def _rows(name: str) -> list[dict[str, str]]:
    with (_HERE / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(cell.split("|")) if cell else ()
