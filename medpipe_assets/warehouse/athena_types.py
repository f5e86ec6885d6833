"""What type an expression of an Athena query has, as far as the SQL and the tables' schemas tell.

Needed where Athena's meaning hangs on the type and DuckDB cannot choose by itself: UNNEST of an array of rows gives a
column a field, division of decimals keeps a scale, a date must not be compared with text. None means "not known here".
Nothing is rewritten in this module.
"""

from collections.abc import Callable, Mapping

from sqlglot import exp

from medpipe_assets.warehouse.athena_functions import FUNCTIONS

T = exp.DType
Columns = dict[str, exp.DataType | None]
Sources = dict[str, Columns]
Tables = Mapping[str, Mapping[str, exp.DataType]]

NUMBERS = exp.DataType.NUMERIC_TYPES
FLOATS = {T.DOUBLE, T.FLOAT}
INTEGERS = {T.TINYINT, T.SMALLINT, T.INT, T.BIGINT, T.INT128}
TEXT = exp.DataType.TEXT_TYPES
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
BIGINT = exp.DataType(this=T.BIGINT)
DOUBLE = exp.DataType(this=T.DOUBLE)


def decimal(precision: int, scale: int) -> exp.DataType:
    """DECIMAL(precision, scale), the precision at most 38."""
    params = [exp.DataTypeParam(this=exp.Literal.number(n)) for n in (min(38, precision), scale)]
    return exp.DataType(this=T.DECIMAL, expressions=params)


def scale_of(kind: exp.DataType | None) -> int | None:
    """Digits after the point: of a decimal its scale, of an integer 0, else None."""
    if kind is None:
        return None
    if kind.this in INTEGERS:
        return 0
    if kind.this != T.DECIMAL:
        return None
    return int(kind.expressions[1].name) if len(kind.expressions) == 2 else 0


def fields_of(kind: exp.DataType | None) -> Columns | None:
    """Fields of a row type; None of what is none."""
    if kind is None or kind.this != T.STRUCT:
        return None
    return {f.name.lower(): f.args.get("kind") for f in kind.expressions}


def element_of(kind: exp.DataType | None) -> exp.DataType | None:
    """The element type of an array, the value type of a map."""
    if kind is None or kind.this not in (T.ARRAY, T.LIST, T.MAP) or not kind.expressions:
        return None
    element = kind.expressions[-1]
    return element if isinstance(element, exp.DataType) else None


def columns_of(query: exp.Expr, outer: Sources) -> Columns:
    """The columns that a query (SELECT, set operation, VALUES, parenthesised) gives; `outer` knows tables and CTEs."""
    known = with_ctes(query, outer)
    if isinstance(query, exp.Subquery):
        return columns_of(query.this, known)
    if isinstance(query, exp.SetOperation):
        return columns_of(query.this, known)
    if isinstance(query, exp.Values):
        first = query.expressions[0] if query.expressions else exp.Tuple()
        items = first.expressions if isinstance(first, exp.Tuple) else [first]
        return {f"_col{i}": infer(item, {}) for i, item in enumerate(items)}
    columns: Columns = {}
    if isinstance(query, exp.Select):
        sources = sources_of(query, known)
        for i, item in enumerate(query.expressions):
            columns.update(_projection(item, i, sources))
    return columns


NEEDED = (
    *(exp.Div, exp.Add, exp.Sub, exp.Bracket, exp.Anonymous, exp.Unnest, exp.Between, exp.In, exp.Cast, exp.TryCast),
    exp.Ordered,
    *COMPARISONS,
)
"""Nodes whose repair asks for the types of their parts."""


def annotate(query: exp.Expr, tables: Sources) -> None:
    """Write the types of their parts into the meta `kinds` of all NEEDED nodes, as far as they are known."""
    _annotate(query, {}, tables)


def _annotate(node: exp.Expr, scope: Sources, known: Sources) -> None:
    known = with_ctes(node, known)
    if isinstance(node, exp.Select):
        scope = {**scope, **sources_of(node, known)}
    for child in node.iter_expressions():
        _annotate(child, _with_parameters(node, child, scope), known)
    if isinstance(node, exp.Subquery):
        columns = list(columns_of(node, known).values())
        node.meta["kind"] = columns[0] if len(columns) == 1 else None
    if isinstance(node, NEEDED):
        node.meta["kinds"] = [infer(child, scope) for child in node.iter_expressions()]


def _with_parameters(function: exp.Expr, argument: exp.Expr, scope: Sources) -> Sources:
    """`scope` and, inside a lambda over the elements of an array, the lambda's parameter."""
    if not isinstance(argument, exp.Lambda) or len(argument.expressions) != 1:
        return scope
    over = infer(function.expressions[0], scope)
    return {**scope, LAMBDA: {**scope.get(LAMBDA, {}), argument.expressions[0].name.lower(): element_of(over)}}


LAMBDA = "->"
"""Where the parameters of lambdas are among the sources: they come before columns."""


def with_ctes(query: exp.Expr, outer: Sources) -> Sources:
    """`outer` and the named queries of this one."""
    known = dict(outer)
    clause = query.args.get("with_")
    for cte in clause.expressions if clause else []:
        known[cte.alias.lower()] = _renamed(columns_of(cte.this, known), cte.args.get("alias"))
    return known


def _projection(item: exp.Expr, position: int, sources: Sources) -> Columns:
    if isinstance(item, exp.Star):
        return {name: kind for source in sources.values() for name, kind in source.items()}
    if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
        return dict(sources.get(item.table.lower(), {}))
    return {(item.alias_or_name or f"_col{position}").lower(): infer(item, sources)}


def sources_of(select: exp.Select, known: Sources) -> Sources:
    """What FROM and JOIN bring into a SELECT: alias to columns, in order."""
    start = select.args.get("from_")
    items = [start.this] if start else []
    items += [join.this for join in select.args.get("joins") or []]
    sources: Sources = {}
    for number, item in enumerate(items):
        alias = (item.alias_or_name or f"_source{number}").lower()
        sources[alias] = _renamed(_source_columns(item, known, sources), item.args.get("alias"))
        sources.update(_nested_joins(item, known))
    return sources


def _nested_joins(item: exp.Expr, known: Sources) -> Sources:
    """Joins that hang on a table in the tree (parenthesised joins) count as sources of the same SELECT."""
    sources: Sources = {}
    for join in item.args.get("joins") or []:
        sources[join.this.alias_or_name.lower()] = _renamed(
            _source_columns(join.this, known, sources), join.this.args.get("alias")
        )
    return sources


def _source_columns(item: exp.Expr, known: Sources, before: Sources) -> Columns:
    if isinstance(item, exp.Table):
        return dict(known.get(item.name.lower(), {}))
    if isinstance(item, exp.Unnest):
        return unnested(item, before)
    if isinstance(item, exp.Lateral):
        return columns_of(item.this, {**known, **before})
    return columns_of(item, known)


def unnested(unnest: exp.Unnest, sources: Sources) -> Columns:
    """The columns of an UNNEST by the types of its arguments: a row's fields, a map's key and value, or one element."""
    columns: Columns = {}
    for i, argument in enumerate(unnest.expressions):
        kind = infer(argument, sources)
        fields = fields_of(element_of(kind))
        if kind is not None and kind.this == T.MAP:
            fields = {"key": kind.expressions[0], "value": kind.expressions[-1]}
        columns.update({f"{name}_{i}": k for name, k in (fields or {"element": element_of(kind)}).items()})
    if unnest.args.get("offset"):
        columns["ordinality"] = BIGINT
    return columns


def _renamed(columns: Columns, alias: exp.Expr | None) -> Columns:
    names = [c.name.lower() for c in alias.args.get("columns") or []] if alias else []
    return dict(zip(names, columns.values(), strict=False)) if names else columns


def infer(node: exp.Expr | None, sources: Sources) -> exp.DataType | None:
    """The type of an expression, in sqlglot's terms; None where it is not known."""
    if node is None:
        return None
    rule = _RULES.get(type(node))
    return rule(node, sources) if rule else None


def _column(node: exp.Expr, sources: Sources) -> exp.DataType | None:
    name, table = node.name.lower(), node.text("table").lower()
    if not table and name in sources.get(LAMBDA, {}):
        return sources[LAMBDA][name]
    if table in sources:
        return sources[table].get(name)
    if table:
        fields = fields_of(_column(exp.column(table), sources))
        return (fields or {}).get(name)
    found = [columns[name] for columns in sources.values() if name in columns]
    return found[0] if len(found) == 1 else None


def _literal(node: exp.Expr, sources: Sources) -> exp.DataType | None:
    if node.args.get("is_string"):
        return exp.DataType(this=T.VARCHAR)
    if "e" in node.name.lower():
        return DOUBLE
    whole, point, fraction = node.name.partition(".")
    if not point:
        return exp.DataType(this=T.INT if int(whole) < 2**31 else T.BIGINT)
    return decimal(len(whole.lstrip("0")) + len(fraction), len(fraction))


def _arithmetic(node: exp.Expr, sources: Sources) -> exp.DataType | None:
    left, right = infer(node.args["this"], sources), infer(node.args["expression"], sources)
    if left is None or right is None:
        return None
    if left.this in FLOATS or right.this in FLOATS:
        return DOUBLE if {left.this, right.this} <= NUMBERS else None
    a, b = scale_of(left), scale_of(right)
    if a is None or b is None:
        return None
    if left.this in INTEGERS and right.this in INTEGERS:
        return BIGINT
    return decimal(38, a + b if isinstance(node, exp.Mul) else max(a, b))


def _alike(nodes: list[exp.Expr], sources: Sources) -> exp.DataType | None:
    kinds = [infer(n, sources) for n in nodes if not isinstance(n, exp.Null)]
    if {k.this if k else None for k in kinds} <= INTEGERS:
        return max((k for k in kinds if k), key=lambda k: _WIDTHS.index(k.this), default=None)
    same = bool(kinds) and all(k is not None and k == kinds[0] for k in kinds)
    return kinds[0] if same else None


_WIDTHS = (T.TINYINT, T.SMALLINT, T.INT, T.BIGINT, T.INT128)


def _function(node: exp.Expr, sources: Sources) -> exp.DataType | None:
    function = FUNCTIONS.get(node.name.lower())
    arguments = [a.this if isinstance(a, exp.Order | exp.Distinct) and a.this else a for a in node.expressions]
    if function is None or function.returns is None or (function.returns in _BY_ARGUMENT and not arguments):
        return None
    if function.returns in _BY_ARGUMENT:
        return _BY_ARGUMENT[function.returns](arguments, sources)
    return exp.DataType.build(function.returns, dialect="duckdb")


def _sum(arguments: list[exp.Expr], sources: Sources) -> exp.DataType | None:
    kind = infer(arguments[0], sources)
    scale = scale_of(kind)
    if kind is not None and kind.this in FLOATS | INTEGERS:
        return kind if kind.this in FLOATS else BIGINT
    return None if scale is None else decimal(38, scale)


def _transformed(arguments: list[exp.Expr], sources: Sources) -> exp.DataType | None:
    """The type of transform(array, x -> ...)."""
    body = arguments[1]
    if not isinstance(body, exp.Lambda) or len(body.expressions) != 1:
        return None
    over = {body.expressions[0].name.lower(): element_of(infer(arguments[0], sources))}
    return _array_of([body.this], {**sources, LAMBDA: {**sources.get(LAMBDA, {}), **over}})


def _plain(kind: exp.DataType | None) -> exp.DataType | None:
    """The type, but for decimals, whose scale a function may change."""
    return kind if kind is not None and kind.this in FLOATS | INTEGERS else None


def _array_of(arguments: list[exp.Expr], sources: Sources) -> exp.DataType | None:
    kind = infer(arguments[0], sources)
    return exp.DataType(this=T.ARRAY, expressions=[kind.copy()], nested=True) if kind else None


def _map_of(kinds: list[exp.DataType | None]) -> exp.DataType:
    """The type of a map of keys and values; they may be unknown."""
    parts = [kind.copy() if kind else exp.DataType(this=T.UNKNOWN) for kind in kinds]
    return exp.DataType(this=T.MAP, expressions=parts, nested=True)


_BY_ARGUMENT: dict[str, Callable[[list[exp.Expr], Sources], exp.DataType | None]] = {
    "first": lambda arguments, sources: infer(arguments[0], sources),
    "last": lambda arguments, sources: infer(arguments[-1], sources),
    "transform": _transformed,
    "plain": lambda arguments, sources: _plain(infer(arguments[0], sources)),
    "alike": _alike,
    "sum": _sum,
    "element": lambda arguments, sources: element_of(infer(arguments[0], sources)),
    "array": _array_of,
    "map": lambda arguments, sources: _map_of([element_of(infer(a, sources)) for a in arguments]),
    "map_agg": lambda arguments, sources: _map_of([infer(a, sources) for a in arguments]),
}

_RULES: dict[type[exp.Expr], Callable[[exp.Expr, Sources], exp.DataType | None]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Cast: lambda node, sources: node.args["to"],
    exp.TryCast: lambda node, sources: node.args["to"],
    exp.Dot: lambda node, sources: (fields_of(infer(node.args["this"], sources)) or {}).get(
        node.args["expression"].name.lower()
    ),
    exp.Bracket: lambda node, sources: element_of(infer(node.args["this"], sources)),
    exp.Anonymous: _function,
    exp.Array: lambda node, sources: _array_of(node.expressions, sources) if node.expressions else None,
    exp.Subquery: lambda node, sources: node.meta.get("kind"),
    exp.Window: lambda node, sources: infer(node.args["this"], sources),
    exp.Filter: lambda node, sources: infer(node.args["this"], sources),
    exp.IgnoreNulls: lambda node, sources: infer(node.args["this"], sources),
    exp.DPipe: lambda node, sources: infer(node.args["this"], sources) or infer(node.args["expression"], sources),
    exp.CurrentDate: lambda node, sources: exp.DataType(this=T.DATE),
    exp.Case: lambda node, sources: _alike(
        [i.args["true"] for i in node.args["ifs"]] + [d for d in [node.args.get("default")] if d], sources
    ),
    exp.If: lambda node, sources: _alike(
        [b for b in (node.args.get("true"), node.args.get("false")) if b is not None], sources
    ),
    **{kind: _arithmetic for kind in (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)},
    **{kind: (lambda node, sources: infer(node.args["this"], sources)) for kind in (exp.Alias, exp.Paren, exp.Neg)},
    **{
        kind: (lambda node, sources: exp.DataType(this=T.BOOLEAN))
        for kind in (*COMPARISONS, exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.Like, exp.Boolean)
    },
    **{
        kind: (lambda node, sources: exp.DataType(this=T.VARCHAR))
        for kind in (exp.Trim, exp.Substring, exp.GroupConcat)
    },
    **{kind: (lambda node, sources: BIGINT) for kind in (exp.Extract, exp.StrPosition)},
}
