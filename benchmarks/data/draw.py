"""What made-up files are drawn with: DuckDB macros that give one value for one number, and lists to pick from.

What a file consists of is the matter of the module that writes it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import duckdb

_CODES = (
    "CA NY TX FL PA IL OH MI NC NJ MA GA VA WA MN TN MO MD IN WI AZ CO CT OR LA KY SC AL OK IA KS AR UT NE NM NV ME WV "
    "NH ID MS RI MT DE HI SD ND VT AK WY DC PR GU VI MP AS"
).split()
STATES = [code for place, code in enumerate(_CODES) for _ in range(max(1, 300 // (place + 3)))]
"""States and territories, each about as often as people live there."""

_MACROS = """
    create macro draw(number, salt) as (hash(number * 7919 + salt * 104729) % 1000000007)::bigint;
    create macro pick(list, number) as list[1 + (number % len(list))::int];
    create macro maybe(number, salt, one_in, yes, no) as case when draw(number, salt) % one_in = 0 then yes else no end;
"""


@contextlib.contextmanager
def drawing(lists: Mapping[str, Sequence[str]], threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the macros and each list as a macro of its name; rows keep their order."""
    with duckdb.connect(config={"threads": threads, "preserve_insertion_order": True}) as connection:
        connection.execute(_MACROS)
        for name, values in lists.items():
            texts = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
            connection.execute(f"create macro {name}() as [{texts}]")
        yield connection
