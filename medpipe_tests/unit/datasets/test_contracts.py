"""What holds for every dataset: layouts, aliases, headers of the SQL, and that the SQL runs over an empty table."""

import pyarrow as pa
import pytest

from benchmarks.data import cms
from medpipe_assets.etlt.contract import contract_of, contracts, normalised
from medpipe_assets.etlt.result_sql import transforms_of
from medpipe_tests.unit.datasets.rows import answer, transform_of

RESULTS = [(name, transform.name) for name, contract in contracts().items() for transform in transforms_of(contract)]

LAYOUTS = {
    "clinicians": {
        **{kind: kind for kind in ("dac_2019", "dac_2021", "dac_2022", "nppes")},
        "ppef_enrollment_2024_q3": "ppef_2024",
        "ppef_enrollment_2025_q1": "ppef_2025_q1",
        "ppef_enrollment_2025_q3": "ppef_2025_q3",
    },
    "canonical_providers": {
        **{kind: kind for kind in ("dac_2019", "dac_2021", "dac_2022", "nppes")},
        "ppef_enrollment_2025_q3": "ppef_2025_q3",
    },
    "practices": {
        **{kind: kind for kind in ("dac_2019", "dac_2021", "dac_2022")},
        **{kind: kind for kind in cms.KINDS if kind.startswith("ppef") and "enrollment" not in kind},
        "ppef_enrollment_2024_q3": "ppef_enrollment_2024",
    },
    "detail_tables": {
        **{kind: kind for kind in ("dac_2019", "dac_2021", "dac_2022", "nppes")},
        **{kind: kind for kind in cms.KINDS if kind.startswith("ppef") and kind != "ppef_enrollment_2024_q3"},
    },
}
"""Dataset -> the kind of file that CMS publishes -> its layout."""


@pytest.mark.parametrize(("dataset", "kind"), [(name, kind) for name, kinds in LAYOUTS.items() for kind in kinds])
def test_a_file_of_cms_has_its_layout(dataset: str, kind: str) -> None:
    headers = frozenset(map(normalised, cms.KINDS[kind]))
    assert contract_of(dataset).layout_of(headers) == LAYOUTS[dataset][kind]


@pytest.mark.parametrize("dataset", contracts())
def test_no_header_is_two_fields(dataset: str) -> None:
    contract = contract_of(dataset)
    for layout in (*contract.layouts, None):
        taken: dict[str, str] = {}
        for name, field in contract.fields.items():
            for header in set(map(normalised, field.names(name, layout))):
                assert taken.setdefault(header, name) == name, (layout, header)


@pytest.mark.parametrize(("dataset", "name"), RESULTS)
def test_a_result_gives_the_columns_that_its_header_states(dataset: str, name: str) -> None:
    stated = transform_of(dataset, name).table_contract.schema
    given = answer(dataset, name, contract_of(dataset).table_contract.schema.empty_table()).schema
    assert [(field.name, _plain(field.type)) for field in given] == [(f.name, _plain(f.type)) for f in stated]


def _plain(kind: pa.DataType) -> str:
    """A type without the names of list elements."""
    if pa.types.is_list(kind):
        return f"list<{_plain(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name} {_plain(field.type)}' for field in kind)}>"
    return str(kind)


@pytest.mark.parametrize(("dataset", "name"), RESULTS)
def test_checks_are_of_columns_that_are_there(dataset: str, name: str) -> None:
    contract = contract_of(dataset)
    columns = {column.name for column in transform_of(dataset, name).columns}
    of_result = [check for check in contract.checks.values() if check.table == name]
    assert any(check.unique for check in of_result), "a result says what one row of it is"
    for check in of_result:
        assert columns >= {*check.not_null, *check.unique, *check.accepted, *check.references}
        assert all(reference.split(".")[0] == contract.table_name for reference in check.references.values())


IDS = {
    "canonical_providers": {"npi"},
    "clinicians": {"npi"},
    "detail_tables": {"npi", "group_id", "stated_event_id"},
    "facilities": {"facility_id"},
    "practices": {"stated_practice_id", "organization_pac_id", "member_npi"},
}
"""What a record cannot be told without: where it does not fit, the record is rejected."""


@pytest.mark.parametrize("dataset", contracts())
def test_a_value_that_is_no_id_never_costs_its_record(dataset: str) -> None:
    fields = contract_of(dataset).fields.items()
    assert {name for name, field in fields if field.kind != "text" and field.invalid == "reject"} == IDS[dataset]


@pytest.mark.parametrize("dataset", contracts())
def test_checks_name_tables_of_the_dataset(dataset: str) -> None:
    tables = {name for folder, name in RESULTS if folder == dataset} | {""}
    contract = contract_of(dataset)
    assert {check.table for check in contract.checks.values()} <= tables
    own = [check for check in contract.checks.values() if not check.table]
    assert contract.primary_key in [check.unique for check in own]
