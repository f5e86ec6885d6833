"""JSON in all its shapes gives the same records, and what is broken is accounted for."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.etlt import json_text
from medpipe_tests.unit.etlt.contracts import clinics
from medpipe_tests.unit.etlt.reading import Read, read

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
records = st.lists(
    st.fixed_dictionaries(
        {"clinic_id": st.integers(1, 999).map(str)},
        optional={
            "location": st.one_of(st.none(), texts, st.fixed_dictionaries({}, optional={"city": texts, "zip": texts})),
            "beds": st.one_of(st.none(), st.integers(-(10**6), 10**6), st.just("20 beds")),
            "wards": st.one_of(st.none(), st.lists(texts, max_size=3)),
            "other": st.one_of(texts, st.lists(st.booleans(), max_size=2)),
        },
    ),
    min_size=1,
    max_size=8,
)
SHAPES = {
    "lines": lambda found: "\n".join(map(json.dumps, found)) + "\n",
    "lines without ASCII": lambda found: "\r\n".join(json.dumps(one, ensure_ascii=False) for one in found),
    "array": json.dumps,
    "pretty array": lambda found: json.dumps(found, indent=4),
    "wrapper": lambda found: json.dumps({"made": {"by": ["x", {"y": 1}]}, "clinics": found, "count": len(found)}),
    "pretty wrapper": lambda found: json.dumps({"clinics": found, "next": None}, indent=2, ensure_ascii=False),
    "one after another": lambda found: "".join(map(json.dumps, found)),
    "pretty, one after another": lambda found: "\n".join(json.dumps(one, indent=1) for one in found),
}


def of(text: str) -> Read:
    return read(clinics(), text.encode("utf-8", "surrogatepass"))


def expected(record: dict[str, Any]) -> tuple[str | None, ...]:
    location = record.get("location")
    town = location.get("city") if isinstance(location, dict) else None
    beds, wards = record.get("beds"), record.get("wards")
    return (record["clinic_id"], town or None, None if beds is None else str(beds), wards)


def seen(row: tuple[str | None, ...]) -> tuple[Any, ...]:
    *texts_, wards = row
    return (*texts_, None if wards is None else json.loads(wards))


@settings(max_examples=30)
@given(found=records, shape=st.sampled_from(sorted(SHAPES)))
def test_every_shape_gives_the_same_records(found: list[dict[str, Any]], shape: str) -> None:
    answer = of(SHAPES[shape](found))
    assert [seen(row) for row in answer.rows] == [expected(record) for record in found]
    assert answer.numbers == list(range(1, len(found) + 1))
    assert not answer.rejects


@settings(max_examples=20)
@given(
    lines=st.lists(
        st.one_of(
            st.tuples(st.just("good"), st.sampled_from(['{"clinic_id": "1"}', ' {"ID": 2, "x": {"y": []}} '])),
            st.tuples(st.just("blank"), st.sampled_from(["", "  "])),
            st.tuples(st.just("malformed"), st.sampled_from(['{"id": ', "[1]", "5", "x", '"x"', '{"id": 1, "id": 2}'])),
        ),
        max_size=10,
    )
)
def test_every_line_is_a_row_or_a_reject_under_its_own_number(lines: list[tuple[str, str]]) -> None:
    answer = of("\n".join(['{"clinic_id": "0"}', *(line for _, line in lines)]) + "\n")
    kinds = dict(enumerate(["good", *(kind for kind, _ in lines)], 1))
    assert answer.numbers == [number for number, kind in kinds.items() if kind == "good"]
    assert [(number, kind) for number, kind, _ in answer.rejects] == [
        (number, kind) for number, kind in kinds.items() if kind != "good"
    ]


@settings(max_examples=20)
@given(
    found=records, head=st.sampled_from(["[", '{"clinics": [', '{"made": {"by": [1]}, "clinics": [ ']), data=st.data()
)
def test_of_a_truncated_file_the_complete_records_are_kept_and_the_rest_is_one_reject(
    found: list[dict[str, Any]], head: str, data: st.DataObject
) -> None:
    texts_of = [json.dumps(record, indent=1) for record in found]
    text = head + ",\n".join(texts_of)
    ends = [len(head) + len(",\n".join(texts_of[: number + 1])) for number in range(len(found))]
    cut = data.draw(st.integers(ends[0], len(text)))
    answer = of(text[:cut])
    whole = [record for record, end in zip(found, ends, strict=True) if end <= cut]
    assert [seen(row) for row in answer.rows] == list(map(expected, whole))
    begun = text[ends[len(whole) - 1] : cut].strip(",\n")
    assert [(number, reason) for number, reason, _ in answer.rejects] == [(len(whole) + 1, "malformed")] * bool(begun)


def test_keys_in_other_cases_and_other_names_are_the_same_field() -> None:
    answer = of('[{"CLINIC ID": "1", "Location": {"CITY": "Riga"}}, {"id": "2", "location": {"city": "Oslo"}}]')
    assert [row[:2] for row in answer.rows] == [("1", "Riga"), ("2", "Oslo")]


def test_a_key_that_only_the_last_of_many_records_has_is_found() -> None:
    many = [{"clinic_id": str(number)} for number in range(2000)]
    answer = of(SHAPES["lines"]([*many, {"clinic_id": "x", "LOCATION": {"City": "Riga"}}]))
    assert answer.rows[-1][:2] == ("x", "Riga")


def test_a_record_with_a_key_twice_does_not_say_which_value_holds() -> None:
    answer = of('{"id": "1"}\n{"id": "2", "location": {"city": "Riga", "city": "Oslo"}}\n')
    assert [row[0] for row in answer.rows] == ["1"]
    assert answer.rejects[0][:2] == (2, "malformed")


def test_a_broken_record_costs_itself_and_not_those_after_it() -> None:
    answer = of('{"clinics": [{"id": "1"}, {"id": "2",, "beds": ["}"]}, {"id": "3"}], "of": 3}')
    assert [row[0] for row in answer.rows] == ["1", "3"]
    assert answer.file.rejected == {"malformed": 1}
    assert answer.rejects[0][2] is not None


DAMAGE = {
    "a bracket that closes nothing": lambda text: text.replace("]", "", 1),
    "an object that nothing closes": lambda text: text[:-1],
    "a bracket too much": lambda text: text.replace("]", "]]", 1),
    "a quote that nothing closes": lambda text: text.replace('ward"', "ward", 1),
    "a quote that nothing opens": lambda text: text.replace('"ward', "ward", 1),
    "a comma that is missing": lambda text: text.replace(",", "", 1),
    "a key without a value": lambda text: text.replace('"20"', "", 1),
}


@pytest.mark.parametrize("damage", sorted(DAMAGE))
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(("opening", "between", "closing"), [("[", ",\n", "]"), ("", "\n", "\n"), ("[", ", ", "]")])
def test_whatever_breaks_a_record_it_costs_itself(
    damage: str, indent: int | None, opening: str, between: str, closing: str
) -> None:
    found = [
        {"clinic_id": str(n), "location": {"city": "X"}, "wards": ["a", "ward"], "beds": "20", "rooms": [{"a": 1}, {}]}
        for n in range(9)
    ]
    texts_ = [json.dumps(one, indent=indent) for one in found]
    texts_[4] = DAMAGE[damage](texts_[4])
    answer = of(opening + between.join(texts_) + closing)
    assert [row[0] for row in answer.rows] == ["0", "1", "2", "3", "5", "6", "7", "8"]
    assert answer.rejects


def test_numbers_keep_their_digits() -> None:
    assert of('[{"id": 12345678901234567890123, "beds": 250.0}]').rows[0][:3] == (
        "12345678901234567890123",
        None,
        "250.0",
    )


def test_columns_are_told_with_paths_and_types() -> None:
    answer = of('[{"id": "1", "location": {"city": "Riga", "geo": {"lat": 1.5}}, "wards": ["x"], "open": true}]')
    assert [(column.name, column.type, column.field) for column in answer.file.columns] == [
        ("id", "integer", "clinic_id"),
        ("location", "object", None),
        ("location.city", "text", "town"),
        ("location.geo", "object", None),
        ("location.geo.lat", "double", None),
        ("wards", "array", "wards"),
        ("open", "boolean", None),
    ]


def test_an_empty_list_is_a_file_without_records() -> None:
    assert of("[]").file.records == 0


@pytest.mark.parametrize("text", ["hello", "", '{"shoe": 1}', "<xml/>"])
def test_what_is_no_json_of_the_contracts_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(DocumentError) as refused:
        of(text)
    assert refused.value.reason in (Reason.CORRUPT, Reason.INCONSISTENT, Reason.EMPTY)


def test_records_are_found_in_as_much_memory_as_one_of_them_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With parts of 64 characters, records lie across the parts' borders in every way."""
    monkeypatch.setattr(json_text, "CHUNK", 64)
    found = [{"clinic_id": str(number), "name": "é" * (number % 50), "x": ["\\", '"', "}"]} for number in range(200)]
    held = 0
    more = json_text._Text.more

    def watched(text: json_text._Text) -> bool:
        nonlocal held
        went_on = more(text)
        held = max(held, len(text.seen))
        return went_on

    monkeypatch.setattr(json_text._Text, "more", watched)
    source = tmp_path / "one_line.json"
    source.write_text(json.dumps({"clinics": found}, ensure_ascii=False), encoding="utf-8")
    lines = json_text.part(source, ["clinics"], tmp_path / "lines").read_text(encoding="utf-8").splitlines()
    assert list(map(json.loads, lines)) == found
    assert held < 500
