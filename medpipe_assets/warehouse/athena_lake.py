"""A query over a lake's tables as Athena is to run it: what the tables mean stands before it, as named queries.

Athena sees the tables as stored; the named queries have the tables' names, hold the rows in force, and read each table
at one snapshot, so that nothing has to be sent up and a commit under way changes no answer. Who runs it is athena.py.
"""

from dataclasses import replace

from sqlglot import exp

from medpipe_assets.lake.lake import Lake
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.athena_dialect import AthenaQuery, parse, tables_in
from medpipe_assets.warehouse.engine import QueryError
from medpipe_assets.warehouse.lake_tables import EVERYTHING, Scope, WarehouseOver, in_days


def athena_over(athena: AthenaWarehouse) -> WarehouseOver:
    """Athena over a part of a lake, by the given settings; its database is the lake's."""

    def over(lake: Lake, scope: Scope = EVERYTHING) -> AthenaWarehouse:
        return replace(athena, database=lake.location.database, prepare=lambda sql: over_lake(sql, lake, scope))

    return over


def over_lake(sql: str, lake: Lake, scope: Scope = EVERYTHING) -> str:
    """A query with the meaning of the lake's tables put before it. Other tables of the database stay what they are.

    Raises:
        QueryError: it is not one query that can be asked of a lake on any engine.
        ConfigurationError: for a past time whose snapshots have expired.
    """
    query, views = parse(sql), scope.views(lake.tables)
    own = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    if hidden := sorted(own & (views.keys() | lake.tables.keys())):
        raise QueryError(f"WITH {hidden[0]}: the lake has a table of this name; name the query otherwise")
    named: dict[str, exp.Query] = {}

    def name_query(name: str) -> None:
        """Add a table's named query, those that it reads before it."""
        if name in named or (name not in views and name not in lake.tables):
            return
        if name not in views:
            named[name] = _stored(name, lake, scope)
            return
        body = views[name].copy()
        for table in list(body.find_all(exp.Table)):
            if table.name == name or table.name not in views:
                table.replace(_stored(table.name, lake, scope).subquery(table.alias_or_name))
            else:
                name_query(table.name)
        named[name] = body

    for name in tables_in(query):
        name_query(name)
    _put_before(query, named)
    return query.sql(AthenaQuery, identify=True, comments=False)


def _stored(name: str, lake: Lake, scope: Scope) -> exp.Select:
    """A table as stored, at its snapshot, of the days."""
    table = exp.table_(name, db=lake.location.database)
    snapshot = scope.pinned[name] if name in scope.pinned else lake.snapshot_id(name, scope.as_of)
    rows = exp.select("*").from_(table)
    if snapshot is None:
        return rows.where(exp.false())
    moment = exp.Version(this="VERSION", kind="AS OF", expression=exp.Literal.number(snapshot))
    table.set("version", moment)
    days = scope.days_of(lake.tables[name])
    return rows if days is None else rows.where(in_days(days))


def _put_before(query: exp.Expr, named: dict[str, exp.Query]) -> None:
    """Put named queries before those that a query has of its own."""
    if not named:
        return
    if not isinstance(query, exp.Query):
        raise QueryError("begin with SELECT or WITH to read a table")
    ours = [exp.CTE(this=body, alias=exp.TableAlias(this=exp.to_identifier(name))) for name, body in named.items()]
    theirs = query.args.get("with_")
    query.set("with_", exp.With(expressions=[*ours, *(theirs.expressions if theirs else ())]))
