"""CSV in all its forms comes back as it was written, and what cannot be read is accounted for."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import DocumentError, Reason
from medpipe_tests.unit.etlt.contracts import people
from medpipe_tests.unit.etlt.reading import Read, read

PLAIN = "person_id,last_name,city\n1,Abel,Riga\n2,Berg,Oslo\n"
ROWS = [("1", "Abel", "Riga"), ("2", "Berg", "Oslo")]
LETTERS = "abcXYZ 0189éñÑüß€“”.-'\"\n,;|\t/\\"
QUOTINGS = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


def of(text: str, **source: object) -> Read:
    return read(people(**source), text.encode())


def written(rows: list[tuple[str, ...]], **options: object) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, **options)  # type: ignore[arg-type]
    writer.writerow(["person_id", "last_name", "city"])
    writer.writerows(rows)
    return out.getvalue()


cells = st.text(LETTERS, max_size=12)
tables = st.lists(st.tuples(st.integers(1, 999).map(str), cells, cells), max_size=8)


@settings(max_examples=40)
@given(
    rows=tables,
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from(QUOTINGS),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
)
def test_any_table_comes_back_whatever_its_delimiter_quotes_newlines_and_encoding(
    rows: list[tuple[str, ...]], delimiter: str, quoting: int, newline: str, encoding: str
) -> None:
    text = written(rows, delimiter=delimiter, quoting=quoting, lineterminator=newline)
    found = read(people(), text.encode(encoding))
    assert found.rows == [tuple(cell or None for cell in row) for row in rows]
    assert found.file.records == len(rows)
    assert found.file.delimiter == delimiter
    assert not found.rejects


@settings(max_examples=40)
@given(
    lines=st.lists(
        st.one_of(
            st.tuples(st.just("good"), st.integers(1, 99).map(lambda n: f"{n},Abel,Riga")),
            st.tuples(st.just("good"), st.integers(1, 99).map(lambda n: f'{n},"A\n\nB",Riga')),
            st.tuples(st.just("good"), st.integers(1, 99).map(lambda n: f'{n},5" pipe,Riga')),
            st.tuples(st.just("blank"), st.sampled_from(["", ",,", " , , "])),
            st.tuples(st.just("malformed"), st.sampled_from(["1,x", "1,x,y,z", '1,"x"y,z'])),
            st.tuples(st.just("repeated_header"), st.just("person_id,last_name,city")),
        ),
        max_size=12,
    ),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_every_record_is_a_row_or_a_reject_under_its_own_number(lines: list[tuple[str, str]], newline: str) -> None:
    text = newline.join(["person_id,last_name,city", *(line for _, line in lines)]) + newline
    found = of(text)
    assert len(found.rows) == sum(kind == "good" for kind, _ in lines)
    expected = [(number, kind) for number, (kind, _) in enumerate(lines, 1) if kind != "good"]
    assert [(number, reason) for number, reason, _ in found.rejects] == expected
    assert found.file.records == found.file.rows + sum(found.file.rejected.values()) == len(lines)


def test_a_quote_that_is_never_closed_costs_its_own_line_and_no_other() -> None:
    lines = [f"{number},Abel,Riga" for number in range(1, 20_001)]
    lines[4_999] = '5000,"Abel,Riga'
    lines[11_999] = '12000,"Abel,Riga'
    found = of("\n".join(["person_id,last_name,city", *lines]) + "\n")
    assert found.file.rows == 19_998
    assert found.rejects == [(5000, "malformed", '5000,"Abel,Riga'), (12000, "malformed", '12000,"Abel,Riga')]


def test_newlines_of_several_kinds_in_one_file_end_records_alike() -> None:
    found = of("person_id,last_name,city\r\n1,Abel,Riga\n2,Berg,Oslo\r3,Cruz,Lima\r\n")
    assert found.rows == [*ROWS, ("3", "Cruz", "Lima")]
    assert not found.rejects


def test_headers_are_known_without_case_spaces_and_punctuation() -> None:
    assert of("Person ID, LAST-NAME , City\n1,Abel,Riga\n2,Berg,Oslo\n").rows == ROWS


def test_titles_above_the_header_are_no_records() -> None:
    found = of("Report of today\n\n" + PLAIN)
    assert found.rows == ROWS
    assert found.file.records == 2


def test_the_layout_says_what_a_header_means() -> None:
    found = of("nr,surname,place\n1,Abel,Riga\n2,Berg,Oslo\n")
    assert found.rows == ROWS
    assert found.file.layout == "old"
    assert [(column.name, column.field) for column in found.file.columns][1] == ("surname", "last_name")


def test_a_field_that_the_file_lacks_is_null_and_said_to_be_absent() -> None:
    found = of("person_id,shoe_size\n1,44\n")
    assert found.rows == [("1", None, None)]
    assert found.file.absent == ("last_name", "city")
    assert [(column.name, column.type, column.field) for column in found.file.columns] == [
        ("person_id", "integer", "person_id"),
        ("shoe_size", "integer", None),
    ]


def test_leading_zeros_and_spaces_stay() -> None:
    assert of('person_id,last_name,city\n007," Abel ",00501\n').rows == [("007", " Abel ", "00501")]


def test_a_backslash_before_a_quote_is_an_escape_where_the_file_writes_so() -> None:
    assert of('person_id,last_name,city\n1,"A \\"B\\" C","x, y"\n').rows == [("1", 'A "B" C', "x, y")]


def test_single_quotes_enclose_values_where_the_file_writes_so() -> None:
    assert of("person_id,last_name,city\n1,'Abel, X','Riga'\n2,'Berg','Oslo'\n").rows[0] == ("1", "Abel, X", "Riga")


def test_delimiters_after_the_last_column_are_no_columns() -> None:
    assert of("person_id,last_name,city,,\n1,Abel,Riga\n2,Berg,Oslo\n").rows == ROWS
    assert of("person_id,last_name,city\n1,Abel,Riga,\n2,Berg,Oslo,\n").rows == ROWS


def test_blank_rows_by_the_thousand_are_counted() -> None:
    found = of(PLAIN + ",,\n" * 3000 + "\n" * 2000 + "3,Cruz,Lima\n")
    assert found.rows == [*ROWS, ("3", "Cruz", "Lima")]
    assert found.file.rejected == {"blank": 5000}
    assert found.rejects[0][0] == 3
    assert found.rejects[-1][0] == 5002


def test_a_file_without_a_header_of_the_contracts_is_refused_as_a_whole() -> None:
    with pytest.raises(DocumentError) as refused:
        of("shoe,size\n1,44\n")
    assert refused.value.reason == Reason.INCONSISTENT


def test_a_header_alone_is_a_file_without_records() -> None:
    assert of("person_id,last_name,city").file.records == 0


def test_no_message_quotes_a_value() -> None:
    with pytest.raises(DocumentError) as refused:
        read(people(format="csv"), b"Doe,secret\x00\xff\n" * 3)
    assert "secret" not in str(refused.value)
