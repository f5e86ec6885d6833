"""The functions of Athena's SQL that this warehouse knows, and what each becomes in DuckDB: a table.

A function that is not in the table is refused, so nothing is run whose meaning was not looked at, and no function that
reads files, settings or the environment can be reached. Semantics come from Trino's documentation of functions.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from medpipe_assets.warehouse import athena_patterns as patterns
from medpipe_assets.warehouse.engine import QueryError

Arguments = list[exp.Expr]


@dataclass(frozen=True, slots=True)
class Function:
    """A known function.

    Attributes:
        target: the DuckDB function or macro of the same arguments, or what builds an expression from the arguments.
        arity: how many arguments it may have.
        returns: its DuckDB type; or 'first' (that of its first argument), 'last', 'plain' (the first's, unless it is
            a decimal), 'alike' (that of all arguments), 'element', 'array' (both of the first argument), 'sum',
            'transform'; None where nobody asks.
        over_rows: an aggregate or window function.
    """

    target: str | Callable[[Arguments], exp.Expr]
    arity: tuple[int, ...]
    returns: str | None = None
    over_rows: bool = False

    def build(self, arguments: Arguments) -> exp.Expr:
        """The DuckDB expression of a call."""
        return call(self.target, *arguments) if isinstance(self.target, str) else self.target(arguments)


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of a DuckDB function or macro by its name."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def literal(node: exp.Expr, what: str) -> str:
    """The text of a string literal.

    Raises:
        QueryError: it is something else.
    """
    if not (isinstance(node, exp.Literal) and node.is_string):
        raise QueryError(f"{what} must be a literal text here; write it out in quotes")
    return str(node.this)


def _text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


def _number(value: int) -> exp.Expr:
    return exp.Literal.number(value)


def _patterned(
    target: str, translate: Callable[[str], str], what: str, then: str | None = None
) -> Callable[..., exp.Expr]:
    """A call whose second argument is a literal in one of Athena's little languages."""

    def build(arguments: Arguments) -> exp.Expr:
        made = call(target, arguments[0], _text(translate(literal(arguments[1], what))), *arguments[2:])
        return exp.cast(made, then, dialect="duckdb") if then else made

    return build


_INTERVALS = {
    **{"millisecond": ("to_milliseconds", 1), "second": ("to_seconds", 1), "minute": ("to_minutes", 1)},
    **{"hour": ("to_hours", 1), "day": ("to_days", 1), "week": ("to_days", 7), "month": ("to_months", 1)},
    **{"quarter": ("to_months", 3), "year": ("to_years", 1)},
}
"""Units of date_add and date_diff: the DuckDB function that makes an interval, and how many of its units one is."""


def _unit(node: exp.Expr) -> str:
    unit = literal(node, "the unit").lower()
    if unit not in _INTERVALS:
        raise QueryError(f"unit {unit!r} is not one of {', '.join(_INTERVALS)}")
    return unit


def _date_add(arguments: Arguments) -> exp.Expr:
    name, times = _INTERVALS[_unit(arguments[0])]
    count: exp.Expr = exp.cast(arguments[1], "INTEGER", dialect="duckdb")
    return call(
        "t_add", arguments[2], call(name, exp.Mul(this=count, expression=_number(times)) if times > 1 else count)
    )


def _date_diff(arguments: Arguments) -> exp.Expr:
    return call("datesub", _text(_unit(arguments[0])), arguments[1], arguments[2])


def _date_trunc(arguments: Arguments) -> exp.Expr:
    return call("t_date_trunc", _text(_unit(arguments[0])), arguments[1])


def _null_if_any_null(name: str) -> Callable[[Arguments], exp.Expr]:
    """greatest and least: null as soon as one argument is (DuckDB's skip nulls)."""

    def build(arguments: Arguments) -> exp.Expr:
        missing: exp.Expr = exp.or_(*[exp.Is(this=a.copy(), expression=exp.Null()) for a in arguments])
        return exp.Paren(this=exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=call(name, *arguments)))

    return build


def _concat(arguments: Arguments) -> exp.Expr:
    joined = arguments[0]
    for argument in arguments[1:]:
        joined = exp.DPipe(this=joined, expression=argument)
    return exp.Paren(this=joined)


def _matches(reduction: str) -> Callable[[Arguments], exp.Expr]:
    """any_match, all_match: whether the lambda holds, with SQL's three values."""
    return lambda arguments: call(reduction, call("list_transform", *arguments))


def _none_match(arguments: Arguments) -> exp.Expr:
    return exp.Paren(this=exp.Not(this=_matches("t_any")(arguments)))


def _reduce(arguments: Arguments) -> exp.Expr:
    """reduce(array, start, step, result): DuckDB's takes the step before the start and has no result function."""
    array, start, step, result = arguments
    folded = call("list_reduce", array, step, start)
    if isinstance(result, exp.Lambda) and result.this == result.expressions[0]:
        return folded
    return exp.Bracket(
        this=call("list_transform", exp.Array(expressions=[folded]), result), expressions=[_number(1)], offset=1
    )


def _regexp_extract(arguments: Arguments) -> exp.Expr:
    text, pattern = arguments[0], arguments[1]
    group = arguments[2] if len(arguments) > 2 else _number(0)
    if not group.is_int:
        raise QueryError("regexp_extract: the group must be a literal number here")
    found = call("t_regexp_extract", text, pattern, group)
    if group.name != "0" and patterns.group_may_be_missing(literal(pattern, "the pattern"), int(group.name)):
        return call("nullif", found, _text(""))
    return found


def _regexp_replace(arguments: Arguments) -> exp.Expr:
    new = literal(arguments[2], "regexp_replace: the replacement") if len(arguments) > 2 else ""
    return call("regexp_replace", *arguments[:2], _text(patterns.re2_replacement(new)), _text("g"))


def _map_agg(arguments: Arguments) -> exp.Expr:
    pairs = exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier(name), expression=value)
            for name, value in zip(("_key", "_value"), arguments, strict=True)
        ]
    )
    return call("t_map_of", call("list", pairs))


def _array_sort(arguments: Arguments) -> exp.Expr:
    return call("list_sort", arguments[0], _text("ASC"), _text("NULLS LAST"))


def _integer(target: str) -> Callable[[Arguments], exp.Expr]:
    """A function that gives BIGINT in Athena and another integer type here."""
    return lambda arguments: exp.cast(call(target, *arguments), "BIGINT", dialect="duckdb")


def _as(kind: str) -> Callable[[Arguments], exp.Expr]:
    return lambda arguments: call(f"t_to_{kind}", arguments[0])


def _json(target: str) -> Callable[..., exp.Expr]:
    return _patterned(target, patterns.duckdb_json_path, "the JSON path")


WHITESPACE = " \t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a" + (
    "\u2028\u2029\u205f\u3000"
)
"""What trim() takes away in Athena (Java's Character.isWhitespace); DuckDB's and Spark's know spaces only."""


def _trim(name: str) -> Callable[[Arguments], exp.Expr]:
    return lambda arguments: call(name, arguments[0], _text(WHITESPACE))


def _digest(name: str) -> Callable[[Arguments], exp.Expr]:
    """md5, sha1, sha256 give bytes in Athena and their hexadecimal text here."""
    return lambda arguments: call("unhex", call(name, *arguments))


def _many(names: str, arity: tuple[int, ...], returns: str | None, over_rows: bool = False) -> dict[str, Function]:
    """Functions that DuckDB has under the same name with the same meaning."""
    return {name: Function(name, arity, returns, over_rows) for name in names.split()}


ANY = tuple(range(1, 255))

DATE_PARTS = frozenset(
    {
        *("year", "quarter", "month", "day", "hour", "minute", "second"),
        *("isodow", "dayofyear", "weekofyear", "isoyear", "t_millisecond"),
    }
)
"""DuckDB's functions that give a part of a date or time."""

FUNCTIONS: dict[str, Function] = {
    # conditions
    "coalesce": Function("coalesce", ANY, "alike"),
    "nullif": Function("nullif", (2,), "first"),
    "try": Function("try", (1,), "first"),
    "greatest": Function(_null_if_any_null("greatest"), ANY, "alike"),
    "least": Function(_null_if_any_null("least"), ANY, "alike"),
    # aggregates
    "count": Function("count", (0, 1), "BIGINT", True),
    "count_if": Function(
        lambda a: call("count", exp.Case(ifs=[exp.If(this=a[0], true=_number(1))])), (1,), "BIGINT", True
    ),
    "sum": Function("sum", (1,), "sum", True),
    "avg": Function(lambda a: call("avg", _averaged(a[0])), (1,), "DOUBLE", True),
    **_many("min max any_value", (1,), "first", True),
    "arbitrary": Function("any_value", (1,), "first", True),
    "max_by": Function("arg_max_null", (2,), "first", True),
    "min_by": Function("arg_min_null", (2,), "first", True),
    **_many("bool_and bool_or", (1,), "BOOLEAN", True),
    "every": Function("bool_and", (1,), "BOOLEAN", True),
    "approx_distinct": Function("approx_count_distinct", (1, 2), "BIGINT", True),
    "approx_percentile": Function("approx_quantile", (2,), "first", True),
    "array_agg": Function("list", (1,), "array", True),
    "map_agg": Function(_map_agg, (2,), "map_agg", True),
    **_many("stddev stddev_samp stddev_pop variance var_samp var_pop", (1,), "DOUBLE", True),
    **_many("corr covar_samp covar_pop", (2,), "DOUBLE", True),
    "grouping": Function("grouping", ANY, "BIGINT", True),
    # window functions
    **_many("row_number rank dense_rank", (0,), "BIGINT", True),
    **_many("percent_rank cume_dist", (0,), "DOUBLE", True),
    **_many("ntile", (1,), "BIGINT", True),
    **_many("lag lead", (1, 2, 3), "first", True),
    **_many("first_value last_value", (1,), "first", True),
    **_many("nth_value", (2,), "first", True),
    # numbers
    **_many("abs", (1,), "first"),
    "ceil": Function("t_ceil", (1,), "plain"),
    "ceiling": Function("t_ceil", (1,), "plain"),
    "floor": Function("t_floor", (1,), "plain"),
    **_many("round", (1, 2), "plain"),
    "truncate": Function("trunc", (1,), "plain"),
    "mod": Function(
        lambda a: exp.Paren(this=exp.Mod(this=exp.Paren(this=a[0]), expression=exp.Paren(this=a[1]))), (2,)
    ),
    "pow": Function("power", (2,), "DOUBLE"),
    **_many("power log", (2,), "DOUBLE"),
    **_many("sqrt cbrt exp ln log2 log10 sin cos tan asin acos atan degrees radians", (1,), "DOUBLE"),
    **_many("atan2", (2,), "DOUBLE"),
    **_many("pi", (0,), "DOUBLE"),
    "is_nan": Function("isnan", (1,), "BOOLEAN"),
    "is_finite": Function("isfinite", (1,), "BOOLEAN"),
    "is_infinite": Function("isinf", (1,), "BOOLEAN"),
    "infinity": Function(lambda a: exp.cast(_text("inf"), "DOUBLE"), (0,), "DOUBLE"),
    "nan": Function(lambda a: exp.cast(_text("nan"), "DOUBLE"), (0,), "DOUBLE"),
    "width_bucket": Function("t_width_bucket", (4,), "BIGINT"),
    # text
    "length": Function("length", (1,), "BIGINT"),
    "lower": Function("lower", (1,), "VARCHAR"),
    "upper": Function("t_upper", (1,), "VARCHAR"),
    **{name: Function(_trim(name), (1,), "VARCHAR") for name in ("trim", "ltrim", "rtrim")},
    "substr": Function(lambda a: call("t_substr" if len(a) == 2 else "t_substr_of", *a), (2, 3), "VARCHAR"),
    "substring": Function(lambda a: call("t_substr" if len(a) == 2 else "t_substr_of", *a), (2, 3), "VARCHAR"),
    "replace": Function(lambda a: call("replace", *a, *([] if len(a) == 3 else [_text("")])), (2, 3), "VARCHAR"),
    "strpos": Function("strpos", (2,), "BIGINT"),
    "split": Function("string_split", (2,), "VARCHAR[]"),
    "split_part": Function("t_split_part", (3,), "VARCHAR"),
    "concat": Function(_concat, tuple(range(2, 255)), "first"),
    "concat_ws": Function("concat_ws", tuple(range(2, 255)), "VARCHAR"),
    **_many("lpad rpad translate", (3,), "VARCHAR"),
    **_many("starts_with ends_with", (2,), "BOOLEAN"),
    "chr": Function("chr", (1,), "VARCHAR"),
    "codepoint": Function("unicode", (1,), "INTEGER"),
    "levenshtein_distance": Function("levenshtein", (2,), "BIGINT"),
    "to_utf8": Function("encode", (1,), "BLOB"),
    "from_utf8": Function("decode", (1,), "VARCHAR"),
    "to_hex": Function("hex", (1,), "VARCHAR"),
    "from_hex": Function("unhex", (1,), "BLOB"),
    **{name: Function(_digest(name), (1,), "BLOB") for name in ("md5", "sha1", "sha256")},
    "regexp_like": Function("regexp_matches", (2,), "BOOLEAN"),
    "regexp_extract": Function(_regexp_extract, (2, 3), "VARCHAR"),
    "regexp_replace": Function(_regexp_replace, (2, 3), "VARCHAR"),
    "regexp_split": Function("regexp_split_to_array", (2,), "VARCHAR[]"),
    # dates
    "now": Function("now", (0,), "TIMESTAMPTZ"),
    "date": Function(_as("date"), (1,), "DATE"),
    "date_add": Function(_date_add, (3,), "last"),
    "date_diff": Function(_date_diff, (3,), "BIGINT"),
    "date_trunc": Function(_date_trunc, (2,), "last"),
    **_many("year quarter month day hour minute second", (1,), "BIGINT"),
    "day_of_month": Function("day", (1,), "BIGINT"),
    **{name: Function("isodow", (1,), "BIGINT") for name in ("day_of_week", "dow")},
    **{name: Function("dayofyear", (1,), "BIGINT") for name in ("day_of_year", "doy")},
    **{name: Function("weekofyear", (1,), "BIGINT") for name in ("week", "week_of_year")},
    **{name: Function("isoyear", (1,), "BIGINT") for name in ("year_of_week", "yow")},
    "millisecond": Function("t_millisecond", (1,), "BIGINT"),
    "last_day_of_month": Function("last_day", (1,), "DATE"),
    "from_iso8601_date": Function(_as("date"), (1,), "DATE"),
    "from_iso8601_timestamp": Function("t_from_iso8601", (1,), "TIMESTAMPTZ"),
    "from_unixtime": Function("t_from_unixtime", (1,), "TIMESTAMPTZ"),
    "to_unixtime": Function("epoch", (1,), "DOUBLE"),
    "date_format": Function(_patterned("strftime", patterns.strftime_of_mysql, "the date pattern"), (2,), "VARCHAR"),
    "date_parse": Function(_patterned("strptime", patterns.strftime_of_mysql, "the date pattern"), (2,), "TIMESTAMP"),
    "format_datetime": Function(_patterned("strftime", patterns.strftime_of_joda, "the date pattern"), (2,), "VARCHAR"),
    "parse_datetime": Function(
        _patterned("strptime", patterns.strftime_of_joda, "the date pattern", "TIMESTAMPTZ"), (2,), "TIMESTAMPTZ"
    ),
    "sequence": Function(lambda a: call("t_sequence" if len(a) == 2 else "t_sequence_by", *a), (2, 3)),
    # JSON
    "json_extract": Function(_json("t_json_extract"), (2,), "JSON"),
    "json_extract_scalar": Function(_json("t_json_scalar"), (2,), "VARCHAR"),
    "json_array_length": Function("t_json_length", (1,), "BIGINT"),
    "json_parse": Function("t_json_parse", (1,), "JSON"),
    "json_format": Function(lambda a: exp.cast(a[0], "VARCHAR", dialect="duckdb"), (1,), "VARCHAR"),
    # arrays and maps
    "cardinality": Function(_integer("len"), (1,), "BIGINT"),
    "contains": Function("t_contains", (2,), "BOOLEAN"),
    "element_at": Function("t_element_at", (2,), "element"),
    "array_distinct": Function("t_array_distinct", (1,), "first"),
    "array_join": Function(lambda a: call("array_to_string" if len(a) == 2 else "t_join_nulls", *a), (2, 3), "VARCHAR"),
    "array_max": Function("t_array_max", (1,), "element"),
    "array_min": Function("t_array_min", (1,), "element"),
    "array_position": Function(_integer("t_array_position"), (2,), "BIGINT"),
    "array_remove": Function("t_array_remove", (2,), "first"),
    "array_sort": Function(_array_sort, (1,), "first"),
    "flatten": Function("flatten", (1,), "element"),
    "slice": Function("t_slice", (3,), "first"),
    "reverse": Function("reverse", (1,), "first"),
    "repeat": Function("t_repeat", (2,), "array"),
    "filter": Function("list_filter", (2,), "first"),
    "transform": Function("list_transform", (2,), "transform"),
    "reduce": Function(_reduce, (4,)),
    "any_match": Function(_matches("t_any"), (2,), "BOOLEAN"),
    "all_match": Function(_matches("t_all"), (2,), "BOOLEAN"),
    "none_match": Function(_none_match, (2,), "BOOLEAN"),
    "map": Function("map", (2,), "map"),
    **_many("map_keys map_values map_entries", (1,), None),
    "row": Function("row", ANY),
}


def _averaged(argument: exp.Expr) -> exp.Expr:
    """avg of a decimal is a decimal in Athena and a double in DuckDB: a guard around what is averaged."""
    if isinstance(argument, exp.Distinct):
        return exp.Distinct(expressions=[call("t_number", e) for e in argument.expressions])
    return call("t_number", argument)
