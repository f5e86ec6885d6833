"""Contracts for tests of the readers and of the intake."""

from medpipe_assets.etlt.contract import Contract, parse

PEOPLE = """
dataset: people
line: people
description: People of a test.
row: a person
source: {record_path: people}
primary_key: [person_id]
layouts:
  old: {has: [nr]}
fields:
  person_id: {description: id, kind: code, required: true, aliases: {old: [nr]}}
  last_name: {description: name, aliases: {old: [surname]}}
  city: {description: town, aliases: {old: [place]}}
"""
NESTED = """
dataset: clinics
line: clinics
description: Clinics of a test.
row: a clinic
source: {format: json, record_path: clinics}
primary_key: [clinic_id]
fields:
  clinic_id: {description: id, required: true, aliases: [id]}
  town: {description: town, aliases: [location.city]}
  beds: {description: beds, kind: integer, invalid: "null"}
  wards: {description: wards, kind: array(varchar)}
"""


def people(**source: object) -> Contract:
    """Three fields, and an older layout with other headers."""
    contract = parse(PEOPLE, "people")
    return contract.model_copy(update={"source": contract.source.model_copy(update=source)})


def clinics() -> Contract:
    """A nested field, a number and a list."""
    return parse(NESTED, "clinics")
