"""Functions of the contracts' own: Athena's SQL that stands wherever one is called, so that every engine runs it."""

from collections.abc import Mapping

import sqlglot
from sqlglot import exp

from medpipe_assets.warehouse.athena_dialect import AthenaQuery
from medpipe_assets.warehouse.engine import QueryError


def _luhn_of_npi() -> str:
    """The Luhn sum over 80840 and an NPI's ten digits (CMS, NPI Standard; ISO/IEC 7812): 24 for the prefix, then every
    other digit doubled from the first, of which the digits of the product count.

    A digit's place in a text says what it adds, plus one: 24 and ten times that one to much make 14.
    """
    added = ("0516273849", "0123456789")
    return " + ".join(["14", *(f"strpos('{added[place % 2]}', substr(x, {place + 1}, 1))" for place in range(10))])


FUNCTIONS: Mapping[str, str] = {
    "npi_is_valid": f"case when regexp_like(x, '^[12][0-9]{{9}}$') then ({_luhn_of_npi()}) % 10 = 0 else false end",
}
"""Functions of one argument by name: the SQL of the value for `x`.

npi_is_valid: whether a text can be a National Provider Identifier; false for null.
"""


def expand(parsed: exp.Expr) -> exp.Expr:
    """A query or expression, parsed by AthenaQuery, with calls of FUNCTIONS replaced by what they stand for.

    Raises:
        QueryError: for a call with another number of arguments.
    """
    return parsed.transform(_expanded)


def _expanded(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Anonymous) or node.name.lower() not in FUNCTIONS:
        return node
    if len(node.expressions) != 1:
        raise QueryError(f"{node.name.lower()} takes one argument")
    argument = node.expressions[0].transform(_expanded)
    body = sqlglot.parse_one(FUNCTIONS[node.name.lower()], read=AthenaQuery)
    return exp.Paren(this=body.transform(lambda part: exp.Paren(this=argument.copy()) if _is_x(part) else part))


def _is_x(part: exp.Expr) -> bool:
    return isinstance(part, exp.Column) and part.name == "x"
