"""A dataset of the tests' own, whose result tables step on every trap between the engines; and rows for any dataset.

The rows are made from a table's types and from the words that its SQL names: nulls, empty texts and lists, ties, other
alphabets, days at the edges of months, years and calendars.
"""

import datetime as dt
import random
from typing import Any

import pyarrow as pa
from sqlglot import exp

from medpipe_assets.etlt.contract import Contract, parse
from medpipe_assets.etlt.result_sql import Transform, in_order
from medpipe_assets.etlt.result_sql import parse as parse_sql

CONTRACT = """
dataset: visits
line: tests
description: Visits to clinics.
row: a visit
primary_key: [visit_id]
partition_by: [state]
fields:
  visit_id: {description: its id, required: true}
  state: {description: where}
  note: {description: free text, phi: true}
  number: {kind: bigint, description: a number}
  other: {kind: integer, description: another number}
  score: {kind: double, description: a measure}
  urgent: {kind: boolean, description: whether it is urgent}
  began: {kind: date, description: first day}
  ended: {kind: date, description: last day}
  tags: {kind: array(varchar), description: words}
  parts: {kind: "array(row(name varchar, amount bigint, since date))", description: what was done}
parameters:
  as_of: {type: date, description: the day}
  months: {type: integer, description: how many, default: 6}
  word: {type: varchar, description: a word, default: "it's ñ"}
checks:
  one_row_a_state:
    table: visits_by_state
    not_null: [visits]
    unique: [state]
  few_visits:
    table: visits_by_state
    sql: select state from visits_by_state where visits > 1000
    blocking: false
"""

FILES = {
    "visits_by_state": """
-- table: visits_by_state
-- row: a state
-- description: Counts.
-- partition_by: state
-- results: json, csv
-- column state varchar: where
-- column visits bigint: how many
-- column mean_number bigint: a whole number
-- column share double: of the urgent ones
-- column mean_score double: the mean
-- column ratio double: of sums; infinite over nothing
-- column ratio_or_null bigint: as tried
-- column first_day date: the first
-- column numbers array(bigint): in order
-- column tagged array(varchar): whatever order, sorted
-- column latest varchar: id of the latest visit
-- column people array(row(name varchar, visits bigint)): by note
select
    coalesce(state, '?') as state,
    count(*) as visits,
    sum(number) / count(*) as mean_number,
    cast(count_if(urgent) as double) / cast(count(*) as double) as share,
    avg(score) as mean_score,
    sum(score) / count(number) as ratio,
    try(sum(number) / (count(score) - 3)) as ratio_or_null,
    min(began) filter (where urgent) as first_day,
    array_agg(number order by number desc, visit_id) filter (where other is null or other > 0) as numbers,
    array_sort(array_distinct(array_agg(element_at(tags, 1)))) as tagged,
    max_by(visit_id, concat(cast(began as varchar), visit_id)) as latest,
    array_sort(array_agg(cast(row(visit_id, coalesce(number, 0)) as row(name varchar, visits bigint)))) as people
from visits
group by coalesce(state, '?')
""",
    "visit_parts": """
-- table: visit_parts
-- row: a part of a visit, or a visit without parts
-- description: Parts and tags.
-- column visit_id varchar: the visit
-- column place bigint: the part's place, from 1
-- column name varchar: its name
-- column amount bigint: how much
-- column since date: from when
-- column tag varchar: a tag
-- column tag_place bigint: its place, from 1
-- column last_of_parts varchar: name of the last part
select v.visit_id, p.place, p.name, p.amount, p.since, t.tag, t.tag_place, element_at(v.parts, -1).name as last_of_parts
from visits v
left join unnest(v.parts) with ordinality as p (name, amount, since, place) on true
left join unnest(v.tags) with ordinality as t (tag, tag_place) on true
""",
    "visit_order": """
-- table: visit_order
-- row: a visit
-- description: Windows over ties and nulls.
-- column visit_id varchar: the visit
-- column place bigint: by number
-- column rank_of_score bigint: with ties
-- column before varchar: the visit before
-- column days_since bigint: since the visit before
-- column running bigint: sum up to here
-- column share double: of the state's visits
-- column recent bigint: of the last 90 days
-- column known_before bigint: the last number that is known
select
    visit_id,
    row_number() over (partition by state order by number, visit_id) as place,
    dense_rank() over (order by score desc) as rank_of_score,
    lag(visit_id) over (partition by state order by began, visit_id) as before,
    date_diff('day', lag(began) over (partition by state order by began, visit_id), began) as days_since,
    sum(number) over (partition by state order by visit_id rows between unbounded preceding and current row) as running,
    1e0 / count(*) over (partition by state) as share,
    count(*) over (order by began range between interval '90' day preceding and current row) as recent,
    lag(number) ignore nulls over (order by visit_id) as known_before
from visits
where began is not null
""",
    "visit_texts": """
-- table: visit_texts
-- row: a visit
-- description: Texts.
-- column visit_id varchar: the visit
-- column trimmed varchar: without whitespace around
-- column letters varchar: in capitals
-- column small varchar: in small letters
-- column number bigint: the text as a number
-- column day date: the text as a day
-- column yes boolean: the text as a truth
-- column part varchar: second part
-- column found varchar: digits in it
-- column cleaned varchar: without digits
-- column ending varchar: last two letters
-- column padded varchar: to five
-- column long bigint: length in letters
-- column tags varchar: joined
-- column says boolean: whether it is the word
-- column place bigint: of an a
-- column like_it boolean: whether it begins so
-- column shortened varchar: cut off
-- column code varchar: a digest
select
    visit_id,
    trim(note) as trimmed,
    upper(note) as letters,
    lower(note) as small,
    try_cast(note as bigint) as number,
    try_cast(note as date) as day,
    try_cast(note as boolean) as yes,
    split_part(note, '-', 2) as part,
    regexp_extract(note, '(\\d+)', 1) as found,
    regexp_replace(note, '\\d') as cleaned,
    substr(note, -2) as ending,
    lpad(note, 5, '0') as padded,
    length(note) as long,
    array_join(filter(tags, tag -> trim(tag) <> ''), '|') as tags,
    note = :word as says,
    strpos(note, 'a') as place,
    note like '%\\_%' escape '\\' or note like 'a%' as like_it,
    cast(coalesce(note, 'nothing') as varchar(3)) as shortened,
    lower(to_hex(sha256(to_utf8(note)))) as code
from visits
""",
    "visit_days": """
-- table: visit_days
-- row: a visit that is in the table of texts as well
-- description: Days.
-- column as_of date: the day
-- column visit_id varchar: the visit
-- column months bigint: complete months
-- column years bigint: complete years
-- column weeks bigint: complete weeks
-- column until date: so many months on
-- column week_before date: seven days before
-- column month_of date: first of the month
-- column weekday bigint: from Monday
-- column written varchar: as text
-- column last_day date: of the month
-- column stale boolean: long ago
-- column quarter bigint: of the year
-- column rounded double: a score to one digit
-- column whole bigint: a score as a whole number
-- column halved bigint: a number by two
-- column least_of bigint: null beside a null
select
    :as_of as as_of,
    d.visit_id,
    date_diff('month', d.began, d.ended) as months,
    date_diff('year', d.began, :as_of) as years,
    date_diff('week', d.began, d.ended) as weeks,
    date_add('month', :months, d.began) as until,
    d.began - interval '7' day as week_before,
    date_trunc('month', d.began) as month_of,
    day_of_week(d.began) as weekday,
    date_format(d.began, '%Y-%m/%d') as written,
    last_day_of_month(d.began) as last_day,
    d.began < date_add('year', -5, :as_of) as stale,
    quarter(d.began) as quarter,
    round(d.score * 1.1e0, 1) as rounded,
    cast(d.score as bigint) as whole,
    d.other / 2 as halved,
    least(d.number, d.other) as least_of
from visits d
join visit_texts t on t.visit_id = d.visit_id
""",
}


def contract() -> Contract:
    """The dataset."""
    return parse(CONTRACT, "visits")


def transforms() -> tuple[Transform, ...]:
    """Its result tables."""
    return in_order([parse_sql(sql.lstrip("\n"), f"{name}.sql", contract()) for name, sql in FILES.items()])


_TEXTS = (
    *(
        "",
        " ",
        "a",
        "A",
        "a",
        "b-c-d",
        "-",
        "12",
        " 12",
        "+7",
        "1.5",
        "12x",
        "true",
        "T",
        "yes",
        "0",
        "it's ñ",
        "a_b",
        "a\\b",
    ),
    *("ñandú", "straße", "ΟΔΟΣ", "İstanbul", "\u2003wide\t", "two\nlines", "日本", "😀x", "e\u0301", "%", "2026-02-28"),
    *("2026-2-8", "2026-02-30", "2026-01-05T10:00:00", "1234567890", "1679576722", "CA", "NY", "UNKNOWN"),
)
_DAYS = (
    *(dt.date(1582, 10, 4), dt.date(1899, 12, 31), dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(2000, 2, 29)),
    *(dt.date(2024, 2, 29), dt.date(2025, 2, 28), dt.date(2026, 1, 31), dt.date(2026, 2, 28), dt.date(2026, 11, 19)),
    *(dt.date(2026, 11, 20), dt.date(2026, 11, 21), dt.date(2026, 12, 31), dt.date(2099, 12, 31)),
)
_NUMBERS = (0, 1, 1, 2, 3, 5, 7, -1, -7, 100, 2**31 - 1)
_MEASURES = (0.0, 0.5, 1.5, 2.5, -2.5, 2.25, 1e9, 3.0)


def rows(table: pa.Schema, key: tuple[str, ...], sql: list[exp.Query], count: int = 60, seed: int = 0) -> pa.Table:
    """Rows of a table, no two of them of the same key, with the words that the SQL names among its texts."""
    draw = random.Random(seed)
    words = sorted({node.name for query in sql for node in query.find_all(exp.Literal) if node.is_string})
    texts = (*_TEXTS, *words)
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number in range(count * 3):
        row = {field.name: _value(field.type, texts, draw) for field in table}
        row |= _provenance(row, draw)
        row[key[-1]] = row[key[-1]] if len(key) > 1 and row[key[-1]] else f"{number:03d}"
        if all(row[name] is not None for name in key) and len(made) < count:
            made.setdefault(tuple(row[name] for name in key), row)
    return pa.Table.from_pylist(list(made.values()), schema=table)


def _provenance(row: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """Where rows came from: a run has one time."""
    run = draw.choice(range(3))
    given = {
        "_pipeline_execution_id": f"run {run}",
        "_pipeline_ingested_at": dt.datetime(2026, 11, run + 1, 12, 30, 15, 123456, tzinfo=dt.UTC),
    }
    return {name: value for name, value in given.items() if name in row}


def _value(kind: pa.DataType, texts: tuple[str, ...], draw: random.Random) -> Any:
    if draw.random() < 0.15:
        return None
    if pa.types.is_list(kind):
        return [_value(kind.value_type, texts, draw) for _ in range(draw.choice((0, 1, 1, 2, 3)))]
    if pa.types.is_struct(kind):
        return {field.name: _value(field.type, texts, draw) for field in kind}
    if pa.types.is_timestamp(kind):
        return dt.datetime.combine(draw.choice(_DAYS), dt.time(23, 59, 59, 999999), dt.UTC)
    pools = {pa.date32(): _DAYS, pa.bool_(): (True, False), pa.float64(): _MEASURES, pa.string(): texts}
    return draw.choice(pools.get(kind, _NUMBERS))
