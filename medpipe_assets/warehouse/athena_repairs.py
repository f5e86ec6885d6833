"""What becomes of each kind of node on the way from Athena's SQL to DuckDB's: a table of repairs, applied bottom-up.

A repair takes a node whose parts are repaired already, and whose meta `kinds` holds the types of its parts (None where
they are not known), and gives the node that stands in its place.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from medpipe_assets.warehouse import athena_types as types
from medpipe_assets.warehouse.athena_functions import DATE_PARTS, FUNCTIONS, WHITESPACE, call
from medpipe_assets.warehouse.athena_macros import TYPED_NAMES
from medpipe_assets.warehouse.athena_types import T
from medpipe_assets.warehouse.engine import QueryError

Kind = exp.DataType | None


def place(node: exp.Expr) -> str:
    """' at line L, column C' of the first word of a node, or nothing where it is not known."""
    for part in node.walk():
        if "line" in part.meta:
            column = part.meta["col"] - (part.meta["end"] - part.meta["start"])
            return f" at line {part.meta['line']}, column {column}"
    return ""


def rewrite(query: exp.Expr) -> None:
    """Repair every node of a query in place, parts before wholes."""
    for node in reversed(list(query.walk())):
        repair = REPAIRS.get(type(node))
        if repair is None:
            continue
        made = repair(node)
        if made is not node:
            node.replace(made)


def _kinds(node: exp.Expr) -> list[Kind]:
    kinds: list[Kind] = node.meta.get("kinds") or []
    return kinds + [None] * (2 - len(kinds))


# ---- binding: DuckDB 2.0.0 chooses the wrong overload of a macro for aggregates and windows, which are not bound yet,
# ---- and fails ("unordered_map::at") on the columns that a lateral subquery takes from its neighbours


def _over_rows(node: exp.Expr) -> bool:
    parts = node.walk(prune=lambda n: isinstance(n, exp.Query))
    return any(isinstance(part, exp.Window) or part.meta.get("over_rows") for part in parts)


def _let(values: list[exp.Expr], body: Callable[[Sequence[exp.Expr]], exp.Expr]) -> exp.Expr:
    """An expression over values that are bound first: list_transform([row(values)], lambda p: body)[1]."""
    name = exp.to_identifier("_bound")
    items = [_item(name.copy(), i + 1) for i in range(len(values))]
    bound = exp.Array(expressions=[call("row", *values)])
    return _item(call("list_transform", bound, exp.Lambda(this=body(items), expressions=[name])), 1)


def _item(array: exp.Expr, index: int) -> exp.Bracket:
    return exp.Bracket(this=array, expressions=[exp.Literal.number(index)], offset=1)


def typed(function: exp.Expr, node: exp.Expr) -> exp.Expr:
    """A call, in place of a node, of a macro that may be chosen by types: its arguments bound first where need be."""
    arguments = function.expressions
    sideways = node.find_ancestor(exp.Unnest, exp.Lateral) is not None
    if function.name not in TYPED_NAMES or not (sideways or any(_over_rows(a) for a in arguments)):
        return function
    moved = [i for i, a in enumerate(arguments) if not isinstance(a, exp.Literal | exp.Interval)]

    def body(items: Sequence[exp.Expr]) -> exp.Expr:
        by_place = dict(zip(moved, items, strict=True))
        return call(function.name, *[by_place.get(i, a) for i, a in enumerate(arguments)])

    return _let([arguments[i] for i in moved], body)


def _try(argument: exp.Expr) -> exp.Expr:
    """try(x): aggregates and windows cannot stand inside TRY, so they are bound before."""
    outermost: list[exp.Expr] = []
    for part in argument.walk(prune=lambda n: isinstance(n, exp.Query) or _is_over_rows(n)):
        if _is_over_rows(part):
            outermost.append(part)
    if not outermost:
        return call("try", argument)
    if argument in outermost:
        return argument
    values = [part.copy() for part in outermost]

    def body(items: Sequence[exp.Expr]) -> exp.Expr:
        for part, item in zip(outermost, items, strict=True):
            part.replace(item)
        return call("try", argument)

    return _let(values, body)


def _is_over_rows(node: exp.Expr) -> bool:
    return isinstance(node, exp.Window | exp.Filter) or bool(node.meta.get("over_rows"))


# ---- functions


def _function(node: exp.Anonymous) -> exp.Expr:
    name = node.name.lower()
    function = FUNCTIONS.get(name)
    if function is None:
        raise QueryError(f"function {name} is not supported here{place(node)}; write the query without it")
    if len(node.expressions) not in function.arity:
        raise QueryError(f"function {name} with {len(node.expressions)} arguments is not supported here{place(node)}")
    if name == "try":
        return _try(node.expressions[0])
    try:
        made = _by_kind(name, node) or function.build(node.expressions)
    except QueryError as error:
        raise QueryError(f"{error} ({name}{place(node)})") from None
    if function.over_rows:
        made.meta["over_rows"] = True
    return typed(made, node) if isinstance(made, exp.Anonymous) else made


def _by_kind(name: str, node: exp.Anonymous) -> exp.Expr | None:
    """The few functions whose meaning hangs on a type that only the query knows."""
    first, second = _kinds(node)[:2]
    if name == "element_at" and (_is(first, T.MAP) or _is(second, *types.TEXT)):
        return exp.Bracket(this=node.expressions[0], expressions=[node.expressions[1]], offset=1)
    if name == "reverse" and _is(first, T.ARRAY, T.LIST):
        return call("list_reverse", node.expressions[0])
    if name == "cardinality" and _is(first, T.MAP):
        return call("cardinality", node.expressions[0])
    if name == "avg" and first is not None and first.this in types.FLOATS | types.INTEGERS:
        return call("avg", node.expressions[0])
    return None


def _is(kind: Kind, *wanted: exp.DType) -> bool:
    return kind is not None and kind.this in wanted


def _extract(node: exp.Extract) -> exp.Expr:
    name = node.this.name.lower()
    if name not in _WALL_CLOCK:
        raise QueryError(f"EXTRACT({name}) is not supported here{place(node)}; use a date function")
    return typed(FUNCTIONS[name].build([node.expression]), node)


def _inside_out(node: exp.Filter | exp.Window) -> exp.Expr:
    """FILTER and OVER belong to the aggregate itself, not to what a repair has put around it."""
    outer = node.this
    inner = outer.expressions[0] if isinstance(outer, exp.Anonymous) and outer.name == "t_map_of" else None
    if inner is None:
        return node
    node.set("this", inner)
    made = call("t_map_of", node.copy())
    made.meta["over_rows"] = True
    return made


def _ignore_nulls(node: exp.IgnoreNulls) -> exp.Expr:
    """IGNORE NULLS stands among the arguments in DuckDB; sqlglot writes it there for a function that it knows."""
    function = node.this
    known = _NULL_SKIPPING.get(function.name.lower()) if isinstance(function, exp.Anonymous) else None
    if known is None:
        raise QueryError(f"IGNORE NULLS is not supported here{place(node)}; filter the nulls out")
    return exp.IgnoreNulls(this=known(**dict(zip(("this", "offset", "default"), function.expressions, strict=False))))


_NULL_SKIPPING = {
    **{"first_value": exp.FirstValue, "last_value": exp.LastValue, "lag": exp.Lag, "lead": exp.Lead},
}


def trim(node: exp.Trim) -> exp.Trim:
    """trim(x) takes every kind of whitespace away, as it is told here."""
    if node.expression is None:
        node.set("expression", exp.Literal.string(WHITESPACE))
        node.set("position", node.args.get("position") or "BOTH")
    return node


def _substring(node: exp.Substring) -> exp.Expr:
    parts = [node.this, node.args.get("start"), node.args.get("length")]
    return FUNCTIONS["substr"].build([p for p in parts if p is not None])


# ---- operators


def _div(node: exp.Div) -> exp.Expr:
    left, right = _kinds(node)[:2]
    a, b = types.scale_of(left), types.scale_of(right)
    if a is None or b is None or not (_is(left, T.DECIMAL) or _is(right, T.DECIMAL)):
        return typed(call("t_div", node.this, node.expression), node)
    scale = max(a, b)
    up = exp.Literal.number(10 ** (scale - a + b))
    numerator = exp.Mul(this=_unscaled(node.this, a), expression=exp.cast(up, "HUGEINT", dialect="duckdb"))
    whole = call("t_round_div", numerator, _unscaled(node.expression, b))
    if scale == 0:
        return exp.cast(whole, "DECIMAL(38, 0)", dialect="duckdb")
    unit = exp.cast(exp.Literal.string(f"{10**-scale:.{scale}f}"), f"DECIMAL({scale}, {scale})", dialect="duckdb")
    return exp.Paren(this=exp.Mul(this=exp.cast(whole, f"DECIMAL({38 - scale}, 0)", dialect="duckdb"), expression=unit))


def _unscaled(node: exp.Expr, scale: int) -> exp.Expr:
    """A decimal's digits as one integer."""
    return call("t_digits", exp.cast(node, f"DECIMAL(38, {scale})", dialect="duckdb"))


def _add(node: exp.Add) -> exp.Expr:
    return typed(call("t_add", node.this, node.expression), node) if node.find(exp.Interval) else node


def _sub(node: exp.Sub) -> exp.Expr:
    if any(k is not None and k.this in types.NUMBERS for k in _kinds(node)):
        return node
    return typed(call("t_sub", node.this, node.expression), node)


def _bracket(node: exp.Bracket) -> exp.Expr:
    kind = _kinds(node)[0]
    if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Slice):
        raise QueryError(f"a slice in brackets is not supported here{place(node)}; use slice()")
    if _is(kind, T.STRUCT):
        return exp.Bracket(this=node.this, expressions=node.expressions, offset=1)
    return call("t_map_item" if _is(kind, T.MAP) else "t_array_item", node.this, node.expressions[0])


_FAMILIES = (("text", types.TEXT), ("a number", types.NUMBERS), ("a date or time", exp.DataType.TEMPORAL_TYPES))


def _family(kind: Kind) -> str | None:
    return next((name for name, kinds in _FAMILIES if kind is not None and kind.this in kinds), None)


def comparison(node: exp.Expr) -> exp.Expr:
    """Athena refuses to compare text with numbers or dates; DuckDB would cast one of them and answer something."""
    first, *others = [_family(kind) for kind in _kinds(node)]
    for other in others:
        if first and other and first != other:
            fix = "DATE '...' for a date, TIMESTAMP '...' for a time" if "date" in first + other else "CAST"
            raise QueryError(f"{first} is compared with {other}{place(node)}; Athena refuses that: write {fix}")
    return node


_WALL_CLOCK = {
    name
    for name, function in FUNCTIONS.items()
    if name in ("date", "date_format", "format_datetime")
    or (function.returns == "BIGINT" and function.arity == (1,) and function.target in DATE_PARTS)
}
"""Functions that read a time as the clock on the wall of its zone shows it."""


def _at_time_zone(node: exp.AtTimeZone) -> exp.Expr:
    parent = node.parent
    reads = (
        (isinstance(parent, exp.Anonymous) and parent.name.lower() in _WALL_CLOCK)
        or isinstance(parent, exp.Extract)
        or (isinstance(parent, exp.Cast) and _is(parent.to, T.DATE))
    )
    if not reads:
        raise QueryError(f"AT TIME ZONE is supported here only right inside date(), hour() and the like{place(node)}")
    return exp.AtTimeZone(this=exp.cast(node.this, "TIMESTAMPTZ", dialect="duckdb"), zone=node.args["zone"])


# ---- casts

_WRITTEN = {
    T.DATE: re.compile(r"\d{4}-\d{2}-\d{2}"),
    T.TIMESTAMP: re.compile(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?"),
    T.TIMESTAMPTZ: re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2}(\.\d{1,6})?)? \S+"),
}
"""Literals that both sides read alike; they stay literals, so that files can be skipped by them."""

_CASTS = {
    **{T.TINYINT: "tinyint", T.SMALLINT: "smallint", T.INT: "integer", T.BIGINT: "bigint", T.DATE: "date"},
    **{T.TIMESTAMP: "timestamp", T.TIMESTAMPTZ: "timestamptz", T.BOOLEAN: "boolean"},
}
_PLAIN_CASTS = {T.DOUBLE, T.FLOAT, T.DECIMAL, T.ARRAY, T.LIST, T.MAP, T.STRUCT}


def _cast(node: exp.Cast) -> exp.Expr:
    to = node.to.this
    written = None if isinstance(node, exp.TryCast) else _WRITTEN.get(to)
    if written and isinstance(node.this, exp.Literal) and written.fullmatch(node.this.name):
        return exp.Cast(this=node.this, to=exp.DataType(this=to))
    if to in _CASTS:
        prefix = "t_try_" if isinstance(node, exp.TryCast) else "t_to_"
        return _precise(node, typed(call(prefix + _CASTS[to], node.this), node))
    if to in (T.VARCHAR, T.TEXT):
        return _cast_to_text(node)
    if to == T.JSON:
        return call("t_json", node.this)
    if to not in _PLAIN_CASTS:
        raise QueryError(f"a cast to {to.value.lower()} is not supported here{place(node)}; cast to another type")
    return node


def _cast_to_text(node: exp.Cast) -> exp.Expr:
    made = call("t_varchar", node.this)
    return call("left", made, node.to.expressions[0].this) if node.to.expressions else made


def _precise(node: exp.Cast, made: exp.Expr) -> exp.Expr:
    """timestamp is timestamp(3) in Athena: a cast rounds to milliseconds; timestamp(6) keeps what there is."""
    if node.to.this not in (T.TIMESTAMP, T.TIMESTAMPTZ):
        return made
    precision = node.to.expressions[0].name if node.to.expressions else "3"
    if precision not in ("3", "6"):
        raise QueryError(f"timestamp({precision}) is not supported here{place(node)}; use timestamp(3) or timestamp(6)")
    return call("t_round_ms", made) if precision == "3" else made


# ---- UNNEST


def _unnest(node: exp.Unnest) -> exp.Expr:
    """UNNEST as a subquery: arrays of rows give a column a field, maps two, other arrays one."""
    columns: list[tuple[str, exp.Expr]] = []
    for argument, kind in zip(node.expressions, _kinds(node), strict=False):
        columns += _unnested(argument, kind)
    alias = node.args.get("alias")
    names = [c.name for c in alias.args.get("columns") or []] if alias else []
    offset = node.args.get("offset")
    if offset:
        names += [offset.name] if isinstance(offset, exp.Identifier) else []
        columns.append(("ordinality", _ordinality(node)))
    if names and len(names) != len(columns):
        raise QueryError(
            f"UNNEST gives {len(columns)} columns, but {len(names)} are named{place(node)}: an array of rows gives a "
            "column a field, a map two; where the type is not known here, cast it to array(row(...))"
        )
    taken = names or [name for name, _ in columns]
    select = exp.Select(expressions=[exp.alias_(e, n, quoted=True) for n, (_, e) in zip(taken, columns, strict=True)])
    table = exp.TableAlias(this=alias.this) if alias and alias.this else None
    return exp.Subquery(this=select, alias=table)


def _unnested(argument: exp.Expr, kind: Kind) -> list[tuple[str, exp.Expr]]:
    fields = types.fields_of(types.element_of(kind))
    if _is(kind, T.MAP):
        pairs: list[tuple[str, exp.Expr]] = [
            ("key", call("map_keys", argument)),
            ("value", call("map_values", argument.copy())),
        ]
    elif fields:
        pairs = [(name, call("list_transform", argument.copy(), _field(name))) for name in fields]
    else:
        pairs = [("element", argument if kind is not None else call("t_scalar", argument))]
    return [(name, call("unnest", array)) for name, array in pairs]


def _field(name: str) -> exp.Lambda:
    element = exp.to_identifier("_element")
    return exp.Lambda(this=exp.Dot(this=element, expression=exp.to_identifier(name)), expressions=[element.copy()])


def _ordinality(node: exp.Unnest) -> exp.Expr:
    longest = call("greatest", *[call("len", a.copy()) for a in node.expressions])
    one = exp.Literal.number(1)
    return call("unnest", call("range", one, exp.Add(this=longest, expression=one.copy())))


REPAIRS: dict[type[exp.Expr], Callable[[Any], exp.Expr]] = {
    exp.Anonymous: _function,
    exp.Extract: _extract,
    exp.IgnoreNulls: _ignore_nulls,
    exp.Substring: _substring,
    exp.Trim: trim,
    exp.Filter: _inside_out,
    exp.Window: _inside_out,
    exp.Div: _div,
    exp.Add: _add,
    exp.Sub: _sub,
    exp.Bracket: _bracket,
    exp.AtTimeZone: _at_time_zone,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Unnest: _unnest,
    exp.Between: comparison,
    exp.In: comparison,
    **{kind: comparison for kind in types.COMPARISONS},
}
