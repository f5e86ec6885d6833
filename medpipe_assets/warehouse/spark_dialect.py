"""Athena's SQL (Trino) in, Spark's SQL (3.5) out, with Athena's meaning; what cannot keep its meaning is a QueryError.

As in athena_dialect, the query is parsed with every function kept by its own name, and each node is looked up in a
table (spark_functions.FUNCTIONS, REPAIRS); what is in no table is refused. sqlglot's own translation is not used where
the two differ: it divides integers into doubles, loses rows of LEFT JOIN UNNEST, counts ordinality from 0, and takes
array indexes, casts and aggregates as if they meant the same. The settings of spark_job.SETTINGS belong to the output.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from medpipe_assets.warehouse import athena_types as types
from medpipe_assets.warehouse.athena_dialect import name_columns, parse
from medpipe_assets.warehouse.athena_functions import FUNCTIONS as KNOWN
from medpipe_assets.warehouse.athena_functions import call
from medpipe_assets.warehouse.athena_repairs import comparison, place, trim
from medpipe_assets.warehouse.athena_types import T
from medpipe_assets.warehouse.engine import QueryError
from medpipe_assets.warehouse.spark_functions import FUNCTIONS, Kind, cast_to, fill, known, quoted

Schemas = Mapping[str, pa.Schema]
"""Tables' schemas, by name in lower case."""


def to_spark(sql: str, schemas: Schemas | None = None) -> str:
    """Translate a query of Athena's SQL into Spark's.

    Raises:
        QueryError: see `athena_dialect.parse`; or a function, a clause or a meaning that is not known on Spark.
    """
    return translate(parse(sql), schemas)


def translate(query: exp.Expr, schemas: Schemas | None = None) -> str:
    """As `to_spark`, for a parsed query (which it changes)."""
    tables: types.Sources = {
        table: {field.name.lower(): sql_type(field.type) for field in schema}
        for table, schema in (schemas or {}).items()
    }
    name_columns(query)
    _order_by_names(query)
    _take_try_in(query)
    types.annotate(query, tables)
    for node in reversed(list(query.walk())):
        repair = REPAIRS.get(type(node))
        made = node if repair is None else repair(node)
        if made is not node:
            node.replace(made)
    try:
        return query.sql("spark", unsupported_level=ErrorLevel.RAISE, identify=True, comments=False)
    except UnsupportedError as error:
        raise QueryError(f"not supported on Spark: {error}") from None


_TYPES: Mapping[pa.DataType, exp.DType] = {
    **{pa.bool_(): T.BOOLEAN, pa.int8(): T.TINYINT, pa.int16(): T.SMALLINT, pa.int32(): T.INT, pa.int64(): T.BIGINT},
    **{pa.float32(): T.FLOAT, pa.float64(): T.DOUBLE, pa.string(): T.VARCHAR, pa.large_string(): T.VARCHAR},
    **{pa.date32(): T.DATE, pa.binary(): T.BINARY},
}


def sql_type(kind: pa.DataType) -> exp.DataType:
    """An Arrow type in sqlglot's terms.

    Raises:
        QueryError: for a type that no table of the lake has.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return exp.DataType(this=T.ARRAY, expressions=[sql_type(kind.value_type)], nested=True)
    if pa.types.is_map(kind):
        parts = [sql_type(kind.key_type), sql_type(kind.item_type)]
        return exp.DataType(this=T.MAP, expressions=parts, nested=True)
    if pa.types.is_struct(kind):
        fields = [exp.ColumnDef(this=exp.to_identifier(f.name, quoted=True), kind=sql_type(f.type)) for f in kind]
        return exp.DataType(this=T.STRUCT, expressions=fields, nested=True)
    if pa.types.is_decimal(kind):
        return types.decimal(kind.precision, kind.scale)
    if pa.types.is_timestamp(kind):
        return exp.DataType(this=T.TIMESTAMPTZ if kind.tz else T.TIMESTAMP)
    if kind not in _TYPES:
        raise QueryError(f"a column of type {kind} cannot be read on Spark")
    return exp.DataType(this=_TYPES[kind])


def spark_type(kind: pa.DataType) -> str:
    """Spark's name of an Arrow type, as in a schema; every time is an instant there (the session's zone is UTC)."""
    return str(sql_type(kind).sql("spark")).replace("TIMESTAMP_NTZ", "TIMESTAMP").replace("TIMESTAMP_LTZ", "TIMESTAMP")


def _kinds(node: exp.Expr) -> list[Kind]:
    kinds: list[Kind] = node.meta.get("kinds") or []
    return kinds + [None] * (3 - len(kinds))


def _order_by_names(query: exp.Expr) -> None:
    """What is ordered by and selected as well goes by its name: Spark does not find an aggregate again after HAVING."""
    for select in query.find_all(exp.Select):
        order = select.args.get("order")
        named = [item for item in select.expressions if isinstance(item, exp.Alias)]
        for ordered in order.expressions if order else []:
            for item in named:
                if ordered.this == item.this and not isinstance(item.this, exp.Literal):
                    ordered.set("this", exp.column(item.alias, quoted=True))


# ---- try()

_CAN_FAIL = (exp.Div, exp.Mod, exp.Bracket, exp.Cast)


def _take_try_in(query: exp.Expr) -> None:
    """try() around one operation that can fail: the operation gives null by itself. Spark has no try() of its own."""
    for node in list(query.find_all(exp.Anonymous)):
        if node.name.lower() != "try" or len(node.expressions) != 1:
            continue
        inner = node.expressions[0].unnest()
        parts = [part for part in inner.walk() if part is not inner and isinstance(part, _CAN_FAIL)]
        if [part for part in parts if not isinstance(part, exp.TryCast)] or not isinstance(inner, exp.Div | exp.Cast):
            raise QueryError(f"try() is supported on Spark right around one division or one cast only{place(node)}")
        if isinstance(inner, exp.Cast):
            inner = exp.TryCast(this=inner.this, to=inner.to)
        else:
            inner.meta["try"] = True
        node.replace(inner)


# ---- functions and aggregates


def _function(node: exp.Anonymous) -> exp.Expr:
    name = node.name.lower()
    function = FUNCTIONS.get(name)
    if name == "array_agg" and len(node.expressions) == 1:
        return _around(node, *_collected(node.expressions[0]))
    if function is None or name not in KNOWN or len(node.expressions) not in KNOWN[name].arity:
        raise QueryError(f"function {name} is not supported on Spark{place(node)}; write the query without it")
    try:
        made = function.of(node.expressions, _kinds(node))
    except QueryError as error:
        raise QueryError(f"{error} ({name}{place(node)})") from None
    return _around(node, made, function.around)


def _around(node: exp.Expr, made: exp.Expr, around: str) -> exp.Expr:
    """Put a template around a call that stands in place of a node; FILTER and OVER belong to the call itself."""
    if around and isinstance(node.parent, exp.Filter | exp.Window):
        made.meta["around"] = around
        return made
    return fill(around, made) if around else made


def _inside_out(node: exp.Filter | exp.Window) -> exp.Expr:
    around = node.this.meta.pop("around", "")
    return _around(node, node.copy() if around else node, around)


def _collected(argument: exp.Expr) -> tuple[exp.Expr, str]:
    """array_agg(x ORDER BY ...): nulls are kept, no row gives null, and the order is the one asked for.

    Spark's collect_list drops nulls and knows no order: rows are collected, sorted and taken apart again.
    """
    order: list[exp.Expr] = []
    if isinstance(argument, exp.Order):
        argument, order = argument.this, argument.expressions
    distinct = isinstance(argument, exp.Distinct)
    value = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
    items = [exp.Literal.string("v"), value.copy()]
    for i, ordered in enumerate(order):
        items += [exp.Literal.string(f"k{i}"), ordered.this.copy()]
    rows = "{0}"
    if order:
        rows = f"array_sort({{0}}, (_l, _r) -> {_compared(order, 0)})"
    made = call("collect_set" if distinct else "collect_list", call("named_struct", *items))
    return made, f"CASE WHEN size({{0}}) > 0 THEN transform({rows}, _e -> _e.v) END"


def _compared(order: list[exp.Expr], i: int) -> str:
    if i == len(order):
        return "0"
    less = "1" if order[i].args.get("desc") else "-1"
    null = "-1" if order[i].args.get("nulls_first") else "1"
    return (
        f"CASE WHEN _l.k{i} <=> _r.k{i} THEN {_compared(order, i + 1)} WHEN _l.k{i} IS NULL THEN {null} "
        f"WHEN _r.k{i} IS NULL THEN -({null}) WHEN _l.k{i} < _r.k{i} THEN {less} ELSE -({less}) END"
    )


def _listagg(node: exp.GroupConcat) -> exp.Expr:
    made, rows = _collected(node.this)
    separator = node.args.get("separator") or exp.Literal.string("")
    if not isinstance(separator, exp.Literal):
        raise QueryError(f"listagg: the separator must be a literal text here{place(node)}")
    texts = f"filter({rows}, _t -> _t IS NOT NULL)"
    joined = f"array_join({texts}, {quoted(separator.name)})"
    return _around(node, made, f"CASE WHEN size({texts}) > 0 THEN {joined} END")


# ---- operators


def _div(node: exp.Div) -> exp.Expr:
    left, right = _kinds(node)[:2]
    parts = (node.this, node.expression)
    lenient = "WHEN {1} = 0 THEN NULL " if node.meta.get("try") else ""
    if _any_float(left, right):
        return fill(
            "CASE WHEN {1} = 0 THEN CAST({0} AS DOUBLE) * CAST('Infinity' AS DOUBLE) ELSE {0} / {1} END", *parts
        )
    try:
        a, b = known(left, "the dividend"), known(right, "the divisor")
    except QueryError as error:
        raise QueryError(f"{error}{place(node)}") from None
    if not {a.this, b.this} <= types.INTEGERS:
        raise QueryError(f"a division of decimals is not supported on Spark{place(node)}; cast a side to double")
    wide = "BIGINT" if T.BIGINT in (a.this, b.this) else "INT"
    whole = f"CAST({{0}} DIV {{1}} AS {wide})"
    return fill(f"CASE {lenient}ELSE {whole} END" if lenient else whole, *parts)


def _any_float(*kinds: Kind) -> bool:
    return any(kind is not None and kind.this in types.FLOATS for kind in kinds)


def _arithmetic(node: exp.Add | exp.Sub) -> exp.Expr:
    temporal = [kind is not None and kind.this in exp.DataType.TEMPORAL_TYPES for kind in _kinds(node)[:2]]
    if any(temporal) and not node.find(exp.Interval):
        raise QueryError(f"a date is added to or subtracted from{place(node)}; use date_add and date_diff")
    return node


def _bracket(node: exp.Bracket) -> exp.Expr:
    kind = known(_kinds(node)[0], "what is looked into by []")
    if len(node.expressions) != 1 or kind.this == T.STRUCT:
        raise QueryError(f"these brackets are not supported on Spark{place(node)}; use slice(), or name the field")
    index = node.expressions[0]
    if kind.this == T.MAP:
        item = "CASE WHEN map_contains_key({0}, {1}) THEN try_element_at({0}, {1})"
        missing = "WHEN {0} IS NOT NULL AND {1} IS NOT NULL THEN raise_error('INVALID_FUNCTION_ARGUMENT')"
        return fill(f"{item} {missing} END", node.this, index)
    if isinstance(index, exp.Literal):
        return call("element_at", node.this, index)
    return fill("element_at({0}, CASE WHEN {1} < 1 THEN 0 ELSE CAST({1} AS INT) END)", node.this, index)


def _like(node: exp.Like) -> exp.Expr:
    """Athena's LIKE has no escape but the one that is named; Spark's has the backslash."""
    if isinstance(node.parent, exp.Escape):
        return node
    if not isinstance(node.expression, exp.Literal):
        raise QueryError(f"LIKE with a pattern that is no literal needs an ESCAPE on Spark{place(node)}")
    node.set("expression", exp.Literal.string(node.expression.name.replace("\\", "\\\\")))
    return node


def _cast(node: exp.Cast) -> exp.Expr:
    if _written(node):
        return exp.Cast(this=node.this, to=exp.DataType(this=T.DATE if node.to.this == T.DATE else T.TIMESTAMPLTZ))
    try:
        return cast_to(node.this, _kinds(node)[0], node.to, isinstance(node, exp.TryCast))
    except QueryError as error:
        raise QueryError(f"{error}{place(node)}") from None


def _written(node: exp.Cast) -> bool:
    """Whether it is a date or time written in full: both sides read it alike, and files can be skipped by it."""
    if isinstance(node, exp.TryCast) or not (isinstance(node.this, exp.Literal) and node.this.is_string):
        return False
    pattern = {T.DATE: r"\d{4}-\d\d-\d\d"}.get(node.to.this, r"\d{4}-\d\d-\d\d .*")
    temporal = node.to.this in (T.DATE, T.TIMESTAMP, T.TIMESTAMPTZ)
    return temporal and re.fullmatch(pattern, node.this.name) is not None


def _substring(node: exp.Substring) -> exp.Expr:
    parts = [node.this, node.args.get("start"), node.args.get("length")]
    return FUNCTIONS["substr"].of([p for p in parts if p is not None], [])


def _position(node: exp.StrPosition) -> exp.Expr:
    return fill("CAST(instr({0}, {1}) AS BIGINT)", node.this, node.args["substr"])


def _extract(node: exp.Extract) -> exp.Expr:
    name = node.this.name.lower()
    if name not in FUNCTIONS or KNOWN[name].arity != (1,) or KNOWN[name].returns != "BIGINT":
        raise QueryError(f"EXTRACT({name}) is not supported on Spark{place(node)}; use a date function")
    return FUNCTIONS[name].of([node.expression], [])


def _frame(node: exp.WindowSpec) -> exp.Expr:
    """A range of days around a day is told in numbers on Spark, and in intervals in Athena."""
    order = node.parent.args.get("order") if node.parent else None
    kind = _kinds(order.expressions[0])[0] if order else None
    if kind is not None and kind.this == T.DATE:
        for end in ("start", "end"):
            interval = node.args.get(end)
            days = _days(interval) if isinstance(interval, exp.Interval) else None
            node.set(end, interval if days is None else exp.Literal.number(days))
    return node


def _days(interval: exp.Interval) -> int | None:
    """How many days an interval has; None where that is no fixed number."""
    times = {"day": 1, "week": 7}.get(interval.text("unit").lower())
    return None if times is None or interval.this is None else times * int(interval.this.name)


def _refuse(node: exp.Expr) -> exp.Expr:
    raise QueryError(f"{type(node).__name__} is not supported on Spark{place(node)}; write the query without it")


# ---- UNNEST


def _unnest(node: exp.Unnest) -> exp.Expr:
    """UNNEST as a lateral subquery: rows without elements stay in a LEFT JOIN, and ordinality counts from 1."""
    kinds = _kinds(node)[: len(node.expressions)]
    columns = _zipped(node, kinds) if len(node.expressions) > 1 else _one(kinds[0])
    offset = node.args.get("offset")
    alias = node.args.get("alias")
    names = [c.name for c in alias.args.get("columns") or []] if alias else []
    if offset:
        names += [offset.name] if isinstance(offset, exp.Identifier) else []
        columns.append(("ordinality", "CAST(_i + 1 AS BIGINT)"))
    if names and len(names) != len(columns):
        raise QueryError(
            f"UNNEST gives {len(columns)} columns, but {len(names)} are named{place(node)}: an array of rows gives a "
            "column a field, a map two; where the type is not known here, cast it to array(row(...))"
        )
    taken = names or [name for name, _ in columns]
    items = [
        exp.alias_(fill(text, *node.expressions), n, quoted=True) for n, (_, text) in zip(taken, columns, strict=True)
    ]
    select = exp.Select(expressions=items).from_(_exploded(node, kinds))
    table = exp.TableAlias(this=alias.this) if alias and alias.this else None
    subquery = exp.Subquery(this=select, alias=None if isinstance(node.parent, exp.Join) else table)
    return exp.Lateral(this=subquery, alias=table) if isinstance(node.parent, exp.Join) else subquery


def _exploded(node: exp.Unnest, kinds: list[Kind]) -> exp.Table:
    """The generator: one row an element, `_i` its place from 0."""
    names = ["_i", "_key", "_value"] if kinds[0] is not None and kinds[0].this == T.MAP else ["_i", "_e"]
    array: exp.Expr = node.expressions[0].copy()
    if len(node.expressions) > 1:
        sizes = call("greatest", *[call("size", a.copy()) for a in node.expressions])
        array = fill("CASE WHEN {0} > 0 THEN sequence(1, {0}) END", sizes)
    columns = [exp.to_identifier(name) for name in names]
    alias = exp.TableAlias(this=exp.to_identifier("_elements"), columns=columns)
    return exp.Table(this=call("posexplode", array), alias=alias)


def _one(kind: Kind) -> list[tuple[str, str]]:
    if kind is not None and kind.this == T.MAP:
        return [("key", "_key"), ("value", "_value")]
    fields = types.fields_of(types.element_of(kind))
    return [(name, f"_e.`{name}`") for name in fields] if fields else [("element", "_e")]


def _zipped(node: exp.Unnest, kinds: list[Kind]) -> list[tuple[str, str]]:
    """Several arrays side by side; the shorter ones end in nulls."""
    columns: list[tuple[str, str]] = []
    for i, kind in enumerate(kinds):
        if kind is not None and kind.this == T.MAP:
            raise QueryError(f"UNNEST of a map beside others is not supported on Spark{place(node)}")
        item = f"try_element_at({{{i}}}, _i + 1)"
        fields = types.fields_of(types.element_of(kind))
        columns += [(name, f"{item}.`{name}`") for name in fields] if fields else [(f"element_{i}", item)]
    return columns


REPAIRS: dict[type[exp.Expr], Callable[[Any], exp.Expr]] = {
    exp.Anonymous: _function,
    exp.GroupConcat: _listagg,
    exp.Filter: _inside_out,
    exp.Window: _inside_out,
    exp.WindowSpec: _frame,
    exp.Extract: _extract,
    exp.Substring: _substring,
    exp.StrPosition: _position,
    exp.Trim: trim,
    exp.Div: _div,
    exp.Add: _arithmetic,
    exp.Sub: _arithmetic,
    exp.Bracket: _bracket,
    exp.Like: _like,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Unnest: _unnest,
    exp.Between: comparison,
    exp.In: comparison,
    **{kind: comparison for kind in types.COMPARISONS},
    **{kind: _refuse for kind in (exp.AtTimeZone, exp.Fetch, exp.All, exp.Any, exp.Localtimestamp)},
}
