"""Athena's meanings that DuckDB lacks, as DuckDB macros: SQL text and nothing else.

A macro whose parameters have types (TYPED) is chosen by the types of its arguments. DuckDB 2.0.0 does so wrongly when
an argument holds an aggregate or a window function (it took INTEGER for avg(x): avg(x) / 2 became 1), so the caller
binds such arguments first.

What Athena refuses at run time fails here with a marker (see FAILURES) that can be caught by TRY; what this engine
cannot do as Athena would fails with error(), which DuckDB refuses inside TRY: it never turns into a null.
"""

import re

FAILURES = {
    "INVALID_CAST_ARGUMENT": "INVALID_CAST_ARGUMENT: a text does not have the form of the type it is cast to; "
    "use try_cast, or filter such rows out",
    "INVALID_FUNCTION_ARGUMENT": "INVALID_FUNCTION_ARGUMENT: an array index, key or step that Athena refuses "
    "(indexes begin at 1 and end with the array); use element_at",
}
"""What the markers in the macros mean to a person."""

_NO = "error('medpipe!{}')"


def _fail(code: str, argument: str, kind: str) -> str:
    """An expression that fails when it is reached. It hangs on an argument, so that no optimiser runs it early."""
    return f"CAST('medpipe:{code}' || left(CAST({argument} AS VARCHAR), 0) AS {kind})"


def _from_text(name: str, kind: str, form: str, others: tuple[str, ...]) -> list[str]:
    """Macros t_to_<name> and t_try_<name>: text must have the form, other types are cast as they are."""
    same = [f"(x {other}) AS CAST(x AS {kind})" for other in others]
    match = f"CASE WHEN regexp_full_match(x, '{form}') THEN"
    strict = f"(x VARCHAR) AS {match} CAST(x AS {kind}) WHEN x IS NOT NULL THEN "
    strict += _fail("INVALID_CAST_ARGUMENT", "x", kind) + " END"
    lenient = f"(x VARCHAR) AS {match} TRY_CAST(x AS {kind}) END"
    return [f"t_to_{name}" + ", ".join([strict, *same]), f"t_try_{name}" + ", ".join([lenient, *same])]


def _integer(kind: str) -> list[str]:
    """Casts to an integer type: text must be digits; fractions round half away from zero."""
    out = []
    for prefix, cast, bad in (
        ("t_to_", "CAST", f" WHEN x IS NOT NULL THEN {_fail('INVALID_CAST_ARGUMENT', 'x', kind)} END"),
        ("t_try_", "TRY_CAST", " END"),
    ):
        text = f"(x VARCHAR) AS CASE WHEN regexp_full_match(x, '[+-]?[0-9]+') THEN {cast}(x AS {kind}){bad}"
        plain = [f"(x {t}) AS {cast}(x AS {kind})" for t in ("BOOLEAN", "BIGINT", "HUGEINT", "DECIMAL(38, 0)")]
        floats = [f"(x DOUBLE) AS {cast}(round(x) AS {kind})"]
        out.append(f"{prefix}{kind.lower()}" + ", ".join([text, *plain, *floats]))
    return out


_DATE = r"\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}\s*"
_CLOCK = r"( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]+)?)?)?"
_ZONE = r" ?(UTC|Z|[+-][0-9]{2}:?[0-9]{2}|[A-Z][A-Za-z_]+/[A-Za-z_/]+)"

TYPED = [
    *(m for kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT") for m in _integer(kind)),
    *_from_text("date", "DATE", _DATE, ("DATE", "TIMESTAMP", "TIMESTAMPTZ")),
    *_from_text("timestamp", "TIMESTAMP", _DATE.removesuffix(r"\s*") + _CLOCK, ("DATE", "TIMESTAMP", "TIMESTAMPTZ")),
    *_from_text(
        "timestamptz", "TIMESTAMPTZ", _DATE.removesuffix(r"\s*") + _CLOCK + _ZONE, ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
    ),
    *_from_text("boolean", "BOOLEAN", "(?i)t|true|1|f|false|0", ("BOOLEAN", "BIGINT", "DOUBLE")),
    "t_div"
    + ", ".join(f"(a {t}, b {t}) AS a // b" for t in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"))
    + f", (a DECIMAL(38, 0), b DECIMAL(38, 0)) AS {_NO.format('DECIMAL_DIVISION')}"
    + "".join(
        f", (a {t}, b {t}) AS CASE WHEN b = 0 THEN CAST(a * CAST('inf' AS {t}) AS {t}) ELSE a / b END"
        for t in ("FLOAT", "DOUBLE")
    ),
    "t_add(a DATE, b INTERVAL) AS CAST(a + b AS DATE), (a INTERVAL, b DATE) AS CAST(a + b AS DATE), (a, b) AS a + b",
    "t_sub(a DATE, b INTERVAL) AS CAST(a - b AS DATE)"
    + "".join(f", (a {t}, b {t}) AS {_NO.format('DATE_SUBTRACTION')}" for t in ("DATE", "TIMESTAMP", "TIMESTAMPTZ"))
    + ", (a, b) AS a - b",
    "t_date_trunc(u, x DATE) AS CAST(date_trunc(u, x) AS DATE)"
    + "".join(f", (u, x {t}) AS date_trunc(u, x)" for t in ("TIMESTAMP", "TIMESTAMPTZ")),
    *(
        f"t_{f}(x BIGINT) AS x, (x HUGEINT) AS x, (x DECIMAL(38, 18)) AS {f}(x), (x DOUBLE) AS {f}(x)"
        for f in ("ceil", "floor")
    ),
    "t_sequence(a BIGINT, b BIGINT) AS generate_series(a, b, CASE WHEN a <= b THEN 1 ELSE -1 END)"
    ", (a DATE, b DATE) AS list_transform(generate_series(CAST(a AS TIMESTAMP), CAST(b AS TIMESTAMP), "
    "CASE WHEN a <= b THEN to_days(1) ELSE to_days(-1) END), lambda x: CAST(x AS DATE))",
    "t_sequence_by(a BIGINT, b BIGINT, s BIGINT) AS CASE WHEN (b - a) * s >= 0 AND s <> 0 THEN "
    f"generate_series(a, b, s) WHEN s IS NOT NULL THEN [{_fail('INVALID_FUNCTION_ARGUMENT', 's', 'BIGINT')}] END"
    ", (a DATE, b DATE, s INTERVAL) AS list_transform(generate_series(CAST(a AS TIMESTAMP), CAST(b AS TIMESTAMP), s), "
    "lambda x: CAST(x AS DATE)), (a TIMESTAMP, b TIMESTAMP, s INTERVAL) AS generate_series(a, b, s)",
]

_SUBSCRIPT = _fail("INVALID_FUNCTION_ARGUMENT", "k", "INTEGER")

PLAIN = [
    f"t_element_at(a, k) AS CASE WHEN k = 0 AND typeof(a) NOT LIKE 'MAP(%' THEN a[{_SUBSCRIPT}] ELSE a[k] END",
    f"t_array_item(a, k) AS CASE WHEN a IS NULL THEN NULL WHEN k BETWEEN 1 AND len(a) THEN a[k] "
    f"ELSE a[{_SUBSCRIPT}] END",
    "t_map_item(a, k) AS CASE WHEN a IS NULL OR map_contains(a, k) THEN a[k] ELSE "
    f"list_extract(map_values(a), {_SUBSCRIPT}) END",
    "t_varchar(x) AS CASE WHEN typeof(x) IN ('VARCHAR', 'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', "
    "'BOOLEAN', 'DATE', '\"NULL\"') OR typeof(x) LIKE 'DECIMAL%' THEN CAST(x AS VARCHAR) WHEN typeof(x) = 'JSON' THEN "
    f"json_extract_string(CAST(x AS VARCHAR), '$') ELSE {_NO.format('TEXT_OF')} END",
    "t_json(x) AS CASE WHEN typeof(x) LIKE '%STRUCT%' OR typeof(x) LIKE '%TIMESTAMP%' OR typeof(x) LIKE '%DOUBLE%' "
    f"OR typeof(x) LIKE '%FLOAT%' THEN {_NO.format('JSON_OF')} ELSE to_json(x) END",
    f"t_scalar(x) AS CASE WHEN typeof(x) LIKE 'STRUCT%[]' THEN {_NO.format('UNNEST_OF')} ELSE x END",
    f"t_number(x) AS CASE WHEN typeof(x) LIKE 'DECIMAL%' THEN {_NO.format('DECIMAL_AVERAGE')} ELSE x END",
    "t_contains(a, x) AS CASE WHEN list_contains(a, x) THEN true WHEN len(a) > list_count(a) THEN NULL "
    "WHEN x IS NOT NULL THEN list_contains(a, x) END",
    "t_array_max(a) AS CASE WHEN len(a) = list_count(a) THEN list_max(a) END",
    "t_array_min(a) AS CASE WHEN len(a) = list_count(a) THEN list_min(a) END",
    "t_array_position(a, x) AS CASE WHEN x IS NOT NULL AND a IS NOT NULL THEN coalesce(list_position(a, x), 0) END",
    "t_array_remove(a, x) AS list_filter(a, lambda e: e <> x)",
    "t_join_nulls(a, s, n) AS array_to_string(list_transform(a, lambda e: coalesce(CAST(e AS VARCHAR), n)), s)",
    "t_any(a) AS CASE WHEN list_contains(a, true) THEN true WHEN len(a) > list_count(a) THEN NULL "
    "WHEN a IS NOT NULL THEN false END",
    "t_all(a) AS CASE WHEN list_contains(a, false) THEN false WHEN len(a) > list_count(a) THEN NULL "
    "WHEN a IS NOT NULL THEN true END",
    "t_slice(a, s, n) AS CASE WHEN s > 0 THEN list_slice(a, s, s + n - 1) WHEN s < 0 AND -s <= len(a) THEN "
    "list_slice(a, len(a) + s + 1, len(a) + s + n) WHEN s < 0 THEN list_slice(a, 1, 0) "
    f"ELSE a[{_fail('INVALID_FUNCTION_ARGUMENT', 's', 'INTEGER')}:] END",
    "t_map_of(p) AS map_from_entries(list_filter(p, lambda e, i: e._key IS NOT NULL AND "
    "list_position(list_transform(p, lambda x: x._key), e._key) = i))",
    "t_upper(s) AS CASE WHEN contains(s, 'ß') AND NOT contains(s, 'ẞ') THEN replace(upper(s), 'ẞ', 'ß') "
    "ELSE upper(s) END",
    "t_substr(s, b) AS CASE WHEN b = 0 OR -b > length(s) THEN s[1:0] ELSE substr(s, b) END",
    "t_substr_of(s, b, n) AS CASE WHEN b = 0 OR -b > length(s) OR n <= 0 THEN s[1:0] ELSE substr(s, b, n) END",
    "t_split_part(s, d, i) AS CASE WHEN i > 0 THEN string_split(s, d)[i] "
    f"WHEN i IS NOT NULL THEN left(s, {_fail('INVALID_FUNCTION_ARGUMENT', 'i', 'INTEGER')}) END",
    "t_regexp_extract(s, p, g) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END",
    "t_repeat(x, n) AS list_transform(range(n), lambda i: x)",
    "t_json_scalar(j, p) AS CASE WHEN json_valid(CAST(j AS VARCHAR)) AND "
    "json_type(CAST(j AS VARCHAR), p) NOT IN ('OBJECT', 'ARRAY', 'NULL') "
    "THEN json_extract_string(CAST(j AS VARCHAR), p) END",
    "t_json_extract(j, p) AS CASE WHEN json_valid(CAST(j AS VARCHAR)) THEN json_extract(CAST(j AS VARCHAR), p) END",
    "t_json_length(j) AS CASE WHEN json_valid(CAST(j AS VARCHAR)) AND json_type(CAST(j AS VARCHAR)) = 'ARRAY' "
    "THEN CAST(json_array_length(CAST(j AS VARCHAR)) AS BIGINT) END",
    "t_json_parse(j) AS CAST(j AS JSON)",
    "t_from_iso8601(x) AS CASE WHEN regexp_full_match(x, '[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "(T[0-9]{2}(:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?') THEN CAST(x AS TIMESTAMPTZ) "
    f"WHEN x IS NOT NULL THEN {_fail('INVALID_FUNCTION_ARGUMENT', 'x', 'TIMESTAMPTZ')} END",
    "t_width_bucket(x, lo, hi, n) AS CASE WHEN x < lo THEN 0 WHEN x >= hi THEN n + 1 "
    "ELSE CAST(floor((x - lo) * CAST(n AS DOUBLE) / (hi - lo)) AS BIGINT) + 1 END",
    "t_array_distinct(a) AS list_filter(a, lambda e, i: CASE WHEN e IS NULL THEN "
    "len(a[1:i]) - list_count(a[1:i]) = 1 ELSE list_position(a, e) = i END)",
    "t_digits(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)",
    "t_round_div(a, b) AS (abs(a) * 2 + abs(b)) // (abs(b) * 2) * sign(a) * sign(b)",
    "t_millisecond(x) AS millisecond(x) % 1000",
    "t_from_unixtime(x) AS to_timestamp(CAST(x AS DOUBLE))",
    "t_round_ms(x) AS date_trunc('milliseconds', x + to_microseconds(500))",
]


def create_macros(sql: str) -> str:
    """SQL that makes the macros that a translated query names."""
    named = set(re.findall(r"\bt_\w+", sql.lower()))
    return "\n".join(f"CREATE MACRO {body};" for body in PLAIN + TYPED if body.partition("(")[0] in named)


TYPED_NAMES = frozenset(body.partition("(")[0] for body in TYPED)
