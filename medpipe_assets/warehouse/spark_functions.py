"""What each function of Athena's SQL becomes in Spark's (3.5, ANSI mode, UTC): a table of templates.

A template is Spark SQL in which {0}, {1}, ... stand for the arguments. A function that is not in the table is refused,
so that nothing runs on Spark whose meaning was not compared. How many arguments a function takes, and what type it
gives, is said by athena_functions.FUNCTIONS for all engines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.dialects.spark import Spark

from medpipe_assets.warehouse import athena_patterns as patterns
from medpipe_assets.warehouse import athena_types as types
from medpipe_assets.warehouse.athena_functions import WHITESPACE, Arguments, call, literal
from medpipe_assets.warehouse.athena_types import T
from medpipe_assets.warehouse.engine import QueryError

Kind = exp.DataType | None
Kinds = list[Kind]
Build = Callable[[Arguments, Kinds], exp.Expr]
"""Makes Spark's expression of the arguments and their types (None where they are not known)."""


class SparkText(Spark):
    """Spark's SQL as sqlglot reads it, but with functions left as they are written."""

    class Parser(Spark.Parser):  # type: ignore[misc, valid-type]  # sqlglot makes its class at run time
        FUNCTIONS: dict[str, Callable[..., exp.Expr]] = {}  # noqa: RUF012 (sqlglot's own form)
        FUNCTION_PARSERS = {k: v for k, v in Spark.Parser.FUNCTION_PARSERS.items() if k in ("CAST", "TRY_CAST")}  # noqa: RUF012


@cache
def _parsed(template: str, count: int) -> exp.Expr:
    return sqlglot.parse_one(template.format(*(f"_argument{i}" for i in range(count))), read=SparkText)


def fill(template: str, *arguments: exp.Expr) -> exp.Expr:
    """Spark's SQL of a template, its {0}, {1}, ... replaced by expressions."""
    made = exp.Paren(this=_parsed(template, len(arguments)).copy())
    places = {f"_argument{i}": argument for i, argument in enumerate(arguments)}
    for column in list(made.find_all(exp.Column)):
        if column.name in places:
            argument = places[column.name].copy()
            column.replace(argument if isinstance(argument, _ATOMS) else exp.Paren(this=argument))
    return made.this if isinstance(made.this, _ATOMS) else made


_ATOMS = (exp.Column, exp.Literal, exp.Anonymous, exp.Cast, exp.Paren, exp.Null, exp.Lambda, exp.Identifier)


def quoted(text: str) -> str:
    """A text as a literal of Spark's SQL that stands in a template."""
    return exp.Literal.string(text).sql("spark").replace("{", "{{").replace("}", "}}")


def known(kind: Kind, what: str) -> exp.DataType:
    """A type.

    Raises:
        QueryError: it is not known.
    """
    if kind is None or kind.this == T.UNKNOWN:
        raise QueryError(f"the type of {what} is not known here, and Spark's meaning hangs on it: put a cast around it")
    return kind


# ---- functions whose template hangs on types or literals


_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAYS = {"day": 1, "week": 7}
_TIMES = ("hour", "minute", "second", "millisecond")


def _unit(node: exp.Expr) -> str:
    unit = literal(node, "the unit").lower()
    if unit not in (*_MONTHS, *_DAYS, *_TIMES):
        raise QueryError(f"unit {unit!r} is not one of {', '.join((*_MONTHS, *_DAYS, *_TIMES))}")
    return unit


def _date_add(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    unit, count, moment = _unit(arguments[0]), arguments[1], arguments[2]
    is_date = known(kinds[2], "what date_add is given").this == T.DATE
    if unit in _MONTHS:
        return fill(f"{{1}} + make_ym_interval(0, CAST({{0}} AS INT) * {_MONTHS[unit]})", count, moment)
    if is_date and unit in _DAYS:
        return fill(f"date_add({{1}}, CAST({{0}} AS INT) * {_DAYS[unit]})", count, moment)
    if is_date:
        raise QueryError(f"date_add of {unit}s to a date is refused by Athena too; cast the date to timestamp")
    return call("timestampadd", exp.var(unit.upper()), exp.cast(count, "INT", dialect="spark"), moment)


# Spark's own count of months ends one early where the last day of a month is shorter: 31 January to 28 February is
# no month to it and one to Athena. Complete months are those that can be added without passing the later moment.
_MONTHS_UP = (
    "CASE WHEN {a} + make_ym_interval(0, CAST((year({b}) - year({a})) * 12 + month({b}) - month({a}) AS INT)) > {b} "
    "THEN (year({b}) - year({a})) * 12 + month({b}) - month({a}) - 1 "
    "ELSE (year({b}) - year({a})) * 12 + month({b}) - month({a}) END"
)
_MONTHS_BETWEEN = (
    f"CASE WHEN {{1}} >= {{0}} THEN {_MONTHS_UP.format(a='{0}', b='{1}')} "
    f"WHEN {{1}} < {{0}} THEN -({_MONTHS_UP.format(a='{1}', b='{0}')}) END"
)


def _date_diff(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    unit = _unit(arguments[0])
    if unit in _MONTHS:
        return fill(f"CAST(({_MONTHS_BETWEEN}) AS BIGINT) DIV {_MONTHS[unit]}", *arguments[1:])
    return call("timestampdiff", exp.var(unit.upper()), *arguments[1:])


def _date_trunc(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    unit = quoted(_unit(arguments[0]))
    is_date = known(kinds[1], "what date_trunc is given").this == T.DATE
    made = f"date_trunc({unit}, {{0}})"
    return fill(f"CAST({made} AS DATE)" if is_date else made, arguments[1])


def _round(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    """Spark rounds the decimal text of a double, Athena the double: round(1.005, 2) is 1.01 and 1.0."""
    kind = known(kinds[0], "what is rounded")
    if len(arguments) == 1 or kind.this not in types.FLOATS:
        return call("round", *arguments)
    return fill("round({0} * power(1e1, {1})) / power(1e1, {1})", *arguments)


def _whole(name: str) -> Build:
    """floor and ceil give the type that they are given; Spark's give BIGINT, which a large double does not fit."""

    def build(arguments: Arguments, kinds: Kinds) -> exp.Expr:
        if known(kinds[0], f"what {name} is given").this not in types.FLOATS:
            return call(name, *arguments)
        return fill(f"CASE WHEN abs({{0}}) < 9e15 THEN CAST({name}({{0}}) AS DOUBLE) ELSE {{0}} END", arguments[0])

    return build


def _truncate(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    known_double = known(kinds[0], "what is truncated").this in types.FLOATS
    if not known_double:
        raise QueryError("truncate is known on Spark for doubles only; cast to double")
    whole = "CASE WHEN {0} < 0e0 THEN ceil({0}) ELSE floor({0}) END"
    return fill(f"CASE WHEN abs({{0}}) < 9e15 THEN CAST({whole} AS DOUBLE) ELSE {{0}} END", arguments[0])


def _avg(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    if known(kinds[0], "what is averaged").this not in types.FLOATS | types.INTEGERS:
        raise QueryError("avg of a decimal is not supported here; cast it to double")
    return call("avg", *arguments)


def _null_if_any_null(name: str) -> Build:
    """greatest and least: null as soon as one argument is (Spark's skip nulls)."""

    def build(arguments: Arguments, kinds: Kinds) -> exp.Expr:
        missing = exp.or_(*[exp.Is(this=a.copy(), expression=exp.Null()) for a in arguments])
        return exp.Paren(this=exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=call(name, *arguments)))

    return build


def _substr(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    start = arguments[1]
    if isinstance(start, exp.Literal) and int(start.name) > 0:
        return call("substring", *arguments)
    length = ", {2}" if len(arguments) == 3 else ""
    return fill(
        "CASE WHEN {1} = 0 OR -{1} > length({0}) THEN substring({0}, 1, 0) "
        f"ELSE substring({{0}}, {{1}}{length}) END",
        *arguments,
    )


def _literal_delimiter(template: str) -> Build:
    """A template whose {1} is a text; Spark's is a regular expression."""

    def build(arguments: Arguments, kinds: Kinds) -> exp.Expr:
        text = literal(arguments[1], "the delimiter")
        if not text or "\\E" in text:
            raise QueryError("this delimiter is not supported here; give one of at least one character")
        return fill(template.replace("{1}", quoted(f"\\Q{text}\\E")), *arguments)

    return build


def _regexp_extract(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    group = arguments[2] if len(arguments) > 2 else exp.Literal.number(0)
    if not group.is_int:
        raise QueryError("regexp_extract: the group must be a literal number here")
    found = fill("CASE WHEN {0} RLIKE {1} THEN regexp_extract({0}, {1}, {2}) END", arguments[0], arguments[1], group)
    if group.name != "0" and patterns.group_may_be_missing(literal(arguments[1], "the pattern"), int(group.name)):
        return call("nullif", found, exp.Literal.string(""))
    return found


def _element_at(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    key = "{1}" if known(kinds[0], "what element_at looks into").this == T.MAP else "CAST({1} AS INT)"
    return fill(f"try_element_at({{0}}, {key})", *arguments)


def _array_join(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    element = known(types.element_of(kinds[0]), "the elements that array_join is given")
    if element.this in types.TEXT:
        return call("array_join", *arguments)
    if element.this not in types.INTEGERS | {T.DATE, T.BOOLEAN}:
        raise QueryError(f"array_join of {element.sql('athena').lower()} is not supported here; make it text first")
    return call("array_join", fill("transform({0}, _e -> CAST(_e AS STRING))", arguments[0]), *arguments[1:])


_DATE_LETTERS = {
    **{"Y": "yyyy", "y": "yy", "m": "MM", "c": "M", "d": "dd", "e": "d", "H": "HH", "k": "H", "h": "hh", "I": "hh"},
    **{"l": "h", "i": "mm", "s": "ss", "S": "ss", "j": "DDD", "b": "MMM", "M": "MMMM", "a": "EEE", "W": "EEEE"},
    **{"p": "a", "T": "HH:mm:ss", "%": "%"},
}
"""MySQL's specifiers, as Trino documents them for date_format, in the letters of Spark's date_format."""


def _date_format(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    pattern, out, at = literal(arguments[1], "the date pattern"), "", 0
    while at < len(pattern):
        if pattern[at] == "%":
            letter = pattern[at + 1 : at + 2]
            if letter not in _DATE_LETTERS:
                raise QueryError(f"date pattern specifier %{letter} is not supported on Spark; use another specifier")
            out += _DATE_LETTERS[letter]
            at += 2
        else:
            out += f"'{pattern[at]}'" if pattern[at].isalpha() else pattern[at].replace("'", "''")
            at += 1
    return call("date_format", arguments[0], exp.Literal.string(out))


def _upper_or_lower(name: str) -> Build:
    """Letter by letter: Java would write two letters for one ('ß'), or look at the neighbours (a last sigma)."""
    # 'İ' is the one letter of which Java makes two small ones.
    one = f"_c -> CASE WHEN length({name}(_c)) = 1 THEN {name}(_c) ELSE {'_c' if name == 'upper' else quoted('i')} END"
    letters = f"array_join(transform(split({{0}}, ''), {one}), '')"
    ascii_only = quoted("\\A\\p{ASCII}*\\z")
    return lambda arguments, kinds: fill(
        f"CASE WHEN {{0}} RLIKE {ascii_only} THEN {name}({{0}}) ELSE {letters} END", arguments[0]
    )


def _trimmed(side: str) -> Build:
    word = side.upper()
    return lambda arguments, kinds: fill(
        f"trim({word} {quoted(WHITESPACE)} FROM {{0}})" if len(arguments) == 1 else f"trim({word} {{1}} FROM {{0}})",
        *arguments,
    )


# ---- casts

_FORMS = {
    T.DATE: r"\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}\s*",
    T.TIMESTAMP: r"\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}([.][0-9]+)?)?)?",
    T.BOOLEAN: "(?i)t|true|1|f|false|0",
    T.DOUBLE: r"\s*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\s*|NaN|[+-]?Infinity",
    **dict.fromkeys(types.INTEGERS, "[+-]?[0-9]+"),
}
"""What a text must look like to be cast; Spark takes more ('2026', ' 12 ', 'yes', '1d')."""
_WHOLE = {T.TINYINT: "TINYINT", T.SMALLINT: "SMALLINT", T.INT: "INT", T.BIGINT: "BIGINT"}
_SCALARS = {**_WHOLE, T.DATE: "DATE", T.TIMESTAMP: "TIMESTAMP", T.BOOLEAN: "BOOLEAN", T.DOUBLE: "DOUBLE"}
_WRITTEN = types.INTEGERS | {T.BOOLEAN, T.DATE, T.DECIMAL}
"""Types that Spark writes as text as Athena does."""
INVALID_CAST = "INVALID_CAST_ARGUMENT"


def cast_to(node: exp.Expr, kind: Kind, to: exp.DataType, lenient: bool) -> exp.Expr:
    """A cast with Athena's meaning.

    Args:
        node: what is cast, Spark's expression already.
        kind: its type.
        lenient: null where it cannot be cast, instead of a failure.

    Raises:
        QueryError: the type is not known, or the cast has another meaning on Spark.
    """
    if to.this in (T.VARCHAR, T.TEXT):
        return _to_text(node, kind, to)
    target = T.TIMESTAMP if to.this == T.TIMESTAMPTZ else to.this
    if target in _SCALARS:
        made = _to_scalar(node, known(kind, "what is cast"), target, lenient)
        return _milliseconds(made, to) if target == T.TIMESTAMP else made
    if target not in (T.DECIMAL, T.FLOAT, T.ARRAY, T.LIST, T.STRUCT):
        raise QueryError(f"a cast to {to.sql('athena').lower()} is not supported on Spark; cast to another type")
    parts = node.meta.get("row")
    if target == T.STRUCT and parts:
        return _row(node, parts, to, lenient)
    element, wanted = types.element_of(kind), types.element_of(to)
    if element is not None and wanted is not None and (element.this in types.TEXT) != (wanted.this in types.TEXT):
        raise QueryError("a cast of an array's elements is not supported on Spark; use transform")
    return (exp.TryCast if lenient else exp.Cast)(this=node, to=to)


def _to_scalar(node: exp.Expr, kind: exp.DataType, target: exp.DType, lenient: bool) -> exp.Expr:
    cast = f"{'TRY_CAST' if lenient else 'CAST'}({{0}} AS {_SCALARS[target]})"
    if kind.this in types.TEXT:
        otherwise = "" if lenient else f"WHEN {{0}} IS NOT NULL THEN raise_error('{INVALID_CAST}') "
        form = quoted(rf"\A(?:{_FORMS[target]})\z")
        return fill(f"CASE WHEN {{0}} RLIKE {form} THEN {cast} {otherwise}END", node)
    if target in _WHOLE and kind.this in types.FLOATS | {T.DECIMAL}:  # Spark's cuts the fraction off
        return fill(cast.replace("{0}", "round({0})"), node)
    return fill(cast, node)


def _to_text(node: exp.Expr, kind: Kind, to: exp.DataType) -> exp.Expr:
    is_text = known(kind, "what is cast to varchar").this in types.TEXT
    if not is_text and known(kind, "").this not in _WRITTEN:
        raise QueryError(
            "a cast of a double, a timestamp or an array to varchar is not supported here (each engine writes them "
            "otherwise); use date_format, or cast to decimal(p, s) first"
        )
    made = node if is_text else fill("CAST({0} AS STRING)", node)
    return fill(f"substring({{0}}, 1, {to.expressions[0].this.name})", made) if to.expressions else made


def _milliseconds(made: exp.Expr, to: exp.DataType) -> exp.Expr:
    """timestamp is timestamp(3) in Athena: a cast rounds to milliseconds; timestamp(6) keeps what there is."""
    precision = to.expressions[0].name if to.expressions else "3"
    if precision not in ("3", "6"):
        raise QueryError(f"timestamp({precision}) is not supported here; use timestamp(3) or timestamp(6)")
    return made if precision == "6" else fill("date_trunc('MILLISECOND', {0} + INTERVAL '500' MICROSECOND)", made)


def _row(node: exp.Expr, kinds: Kinds, to: exp.DataType, lenient: bool) -> exp.Expr:
    """row(...) as a row type: each part cast by itself, so that text is read as it is elsewhere."""
    if len(kinds) != len(to.expressions):
        raise QueryError("a row is cast to a type with another number of fields")
    items: list[exp.Expr] = []
    for part, kind, field in zip(node.expressions, kinds, to.expressions, strict=True):
        wanted = field.args["kind"]
        same = kind is not None and (kind == wanted or {kind.this, wanted.this} <= types.TEXT)
        items += [exp.Literal.string(field.name), part.copy() if same else cast_to(part.copy(), kind, wanted, lenient)]
    return call("named_struct", *items)


def _as_date(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    return cast_to(arguments[0], kinds[0], exp.DataType(this=T.DATE), False)


def _rows(arguments: Arguments, kinds: Kinds) -> exp.Expr:
    made = call("struct", *arguments)
    made.meta["row"] = kinds[: len(arguments)]
    return made


# ---- the table


@dataclass(frozen=True, slots=True)
class SparkFunction:
    """A function as Spark has it.

    Attributes:
        build: a template, or what makes the expression.
        around: a template for what stands around the call, with FILTER and OVER inside of it.
    """

    build: str | Build
    around: str = ""

    def of(self, arguments: Arguments, kinds: Kinds) -> exp.Expr:
        """Spark's expression of a call, without what stands around it."""
        return fill(self.build, *arguments) if isinstance(self.build, str) else self.build(arguments, kinds)


def _same(names: str, around: str = "") -> dict[str, SparkFunction]:
    """Functions of the same name and meaning."""

    def of(name: str) -> Build:
        return lambda arguments, kinds: call(name, *arguments)

    return {name: SparkFunction(of(name), around) for name in names.split()}


def _named(target: str, around: str = "") -> SparkFunction:
    return SparkFunction(lambda arguments, kinds: call(target, *arguments), around)


_BIGINT = "CAST({0} AS BIGINT)"

FUNCTIONS: Mapping[str, SparkFunction] = {
    # conditions
    **_same("coalesce nullif"),
    "greatest": SparkFunction(_null_if_any_null("greatest")),
    "least": SparkFunction(_null_if_any_null("least")),
    # aggregates
    **_same("count count_if min max max_by min_by bool_and bool_or stddev stddev_samp stddev_pop variance var_samp"),
    **_same("var_pop corr covar_samp covar_pop"),
    "every": _named("bool_and"),
    "sum": _named("sum"),
    "avg": SparkFunction(_avg),
    "any_value": SparkFunction("any_value({0}, true)"),
    "arbitrary": SparkFunction("any_value({0}, true)"),
    "grouping": _named("grouping_id", _BIGINT),
    # window functions
    **_same("row_number rank dense_rank ntile", _BIGINT),
    **_same("percent_rank cume_dist lag lead first_value last_value nth_value"),
    # numbers
    **_same("abs sqrt cbrt exp ln log2 log10 sin cos tan asin acos atan atan2 degrees radians pi log"),
    "power": SparkFunction("power(CAST({0} AS DOUBLE), CAST({1} AS DOUBLE))"),
    "pow": SparkFunction("power(CAST({0} AS DOUBLE), CAST({1} AS DOUBLE))"),
    "round": SparkFunction(_round),
    "floor": SparkFunction(_whole("floor")),
    "ceil": SparkFunction(_whole("ceil")),
    "ceiling": SparkFunction(_whole("ceil")),
    "truncate": SparkFunction(_truncate),
    "mod": SparkFunction("{0} % {1}"),
    "is_nan": SparkFunction("isnan({0})"),
    # text
    "length": SparkFunction("CAST(length({0}) AS BIGINT)"),
    "upper": SparkFunction(_upper_or_lower("upper")),
    "lower": SparkFunction(_upper_or_lower("lower")),
    "trim": SparkFunction(_trimmed("both")),
    "ltrim": SparkFunction(_trimmed("leading")),
    "rtrim": SparkFunction(_trimmed("trailing")),
    "substr": SparkFunction(_substr),
    "substring": SparkFunction(_substr),
    "replace": SparkFunction(lambda a, kinds: call("replace", *a, *([] if len(a) == 3 else [exp.Literal.string("")]))),
    "strpos": SparkFunction("CAST(instr({0}, {1}) AS BIGINT)"),
    "split": SparkFunction(_literal_delimiter("split({0}, {1}, -1)")),
    "split_part": SparkFunction(_literal_delimiter("try_element_at(split({0}, {1}, -1), {2})")),
    "concat": _named("concat"),
    **_same("concat_ws lpad rpad translate reverse"),
    "starts_with": _named("startswith"),
    "ends_with": _named("endswith"),
    "levenshtein_distance": SparkFunction("CAST(levenshtein({0}, {1}) AS BIGINT)"),
    "regexp_like": SparkFunction("{0} RLIKE {1}"),
    "regexp_extract": SparkFunction(_regexp_extract),
    "regexp_replace": SparkFunction(
        lambda a, kinds: call("regexp_replace", *a, *([] if len(a) == 3 else [exp.Literal.string("")]))
    ),
    "regexp_split": SparkFunction("split({0}, {1}, -1)"),
    "to_utf8": SparkFunction("encode({0}, 'UTF-8')"),
    "from_utf8": SparkFunction("decode({0}, 'UTF-8')"),
    "to_hex": _named("hex"),
    "from_hex": _named("unhex"),
    "md5": SparkFunction("unhex(md5({0}))"),
    "sha1": SparkFunction("unhex(sha1({0}))"),
    "sha256": SparkFunction("unhex(sha2({0}, 256))"),
    # dates
    **{
        name: SparkFunction(f"CAST({name}({{0}}) AS BIGINT)")
        for name in ("year", "quarter", "month", "day", "hour", "minute", "second")
    },
    "day_of_month": SparkFunction("CAST(day({0}) AS BIGINT)"),
    **{name: SparkFunction("CAST(weekday({0}) + 1 AS BIGINT)") for name in ("day_of_week", "dow")},
    **{name: SparkFunction("CAST(dayofyear({0}) AS BIGINT)") for name in ("day_of_year", "doy")},
    **{name: SparkFunction("CAST(weekofyear({0}) AS BIGINT)") for name in ("week", "week_of_year")},
    **{name: SparkFunction("CAST(date_part('YEAROFWEEK', {0}) AS BIGINT)") for name in ("year_of_week", "yow")},
    "millisecond": SparkFunction("CAST(unix_millis({0}) % 1000 AS BIGINT)"),
    "last_day_of_month": _named("last_day"),
    "date": SparkFunction(_as_date),
    "from_iso8601_date": SparkFunction(_as_date),
    "from_unixtime": SparkFunction("timestamp_seconds({0})"),
    "to_unixtime": SparkFunction("unix_micros({0}) / 1e6"),
    "now": _named("current_timestamp"),
    "date_add": SparkFunction(_date_add),
    "date_diff": SparkFunction(_date_diff),
    "date_trunc": SparkFunction(_date_trunc),
    "date_format": SparkFunction(_date_format),
    # arrays, maps, rows
    "row": SparkFunction(_rows),
    "cardinality": SparkFunction("CAST(size({0}) AS BIGINT)"),
    "contains": _named("array_contains"),
    "element_at": SparkFunction(_element_at),
    "array_distinct": _named("array_distinct"),
    "array_join": SparkFunction(_array_join),
    "array_max": SparkFunction("CASE WHEN NOT exists({0}, _e -> _e IS NULL) THEN array_max({0}) END"),
    "array_min": SparkFunction("CASE WHEN NOT exists({0}, _e -> _e IS NULL) THEN array_min({0}) END"),
    "array_position": SparkFunction("array_position({0}, {1})"),
    "array_sort": _named("array_sort"),
    "flatten": SparkFunction("flatten(filter({0}, _e -> _e IS NOT NULL))"),
    "slice": SparkFunction("slice({0}, CAST({1} AS INT), CAST({2} AS INT))"),
    "repeat": SparkFunction("array_repeat({0}, CAST({1} AS INT))"),
    "sequence": _named("sequence"),
    "filter": _named("filter"),
    "transform": _named("transform"),
    "reduce": _named("aggregate"),
    "any_match": _named("exists"),
    "all_match": _named("forall"),
    "none_match": SparkFunction("NOT exists({0}, {1})"),
    "map": _named("map_from_arrays"),
    **_same("map_keys map_values map_entries"),
}
