"""Athena's little languages (date patterns, JSON paths, regular expressions) written in DuckDB's.

Pure functions from text to text. What has no equal meaning on the other side is a QueryError.
"""

import re

from medpipe_assets.warehouse.engine import QueryError

_MYSQL = {
    **dict(zip("aAbBdfHIjmpSyY%", (f"%{c}" for c in "aAbBdfHIjmpSyY%"), strict=True)),
    **{"c": "%-m", "e": "%-d", "h": "%I", "i": "%M", "k": "%-H", "l": "%-I", "M": "%B", "r": "%I:%M:%S %p"},
    **{"s": "%S", "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G"},
}
"""MySQL's specifiers, as Trino documents them for date_format and date_parse, in strftime's."""
del _MYSQL["A"], _MYSQL["B"]  # strftime's, not MySQL's

_JODA = {
    **{"yyyy": "%Y", "YYYY": "%Y", "y": "%Y", "Y": "%Y", "yy": "%y", "xxxx": "%G", "DDD": "%j", "ww": "%V", "e": "%u"},
    **{"MM": "%m", "M": "%-m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "d": "%-d", "EEEE": "%A", "EEE": "%a", "E": "%a"},
    **{"HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g"},
    **{"a": "%p"},
}
"""Joda's pattern letters, as format_datetime and parse_datetime take them, in strftime's. Zones are left out."""

_JODA_TOKEN = re.compile(r"''|'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+|'")


def strftime_of_mysql(pattern: str) -> str:
    """A MySQL pattern ('%Y-%m-%d %H:%i') in strftime's specifiers.

    Raises:
        QueryError: a specifier that has no equal.
    """

    def one(match: re.Match[str]) -> str:
        if match[1] not in _MYSQL:
            raise QueryError(f"date pattern specifier %{match[1]} is not supported here; use another specifier")
        return _MYSQL[match[1]]

    return re.sub(r"%(.?)", one, pattern, flags=re.DOTALL)


def strftime_of_joda(pattern: str) -> str:
    """A Joda pattern ("yyyy-MM-dd'T'HH:mm:ss") in strftime's specifiers.

    Raises:
        QueryError: a pattern letter that has no equal, or an open quote.
    """

    def one(match: re.Match[str]) -> str:
        token = match[0]
        if token == "''":
            return "'"
        if token.startswith("'") and len(token) > 1:
            return token[1:-1].replace("''", "'").replace("%", "%%")
        if not token[0].isalpha() and token != "'":
            return token.replace("%", "%%")
        if token not in _JODA:
            raise QueryError(f"date pattern {token!r} is not supported here; use another pattern or date_format")
        return _JODA[token]

    return _JODA_TOKEN.sub(one, pattern)


_JSON_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(\d+)\]|\[["']([^"'\\]+)["']\]""")


def duckdb_json_path(path: str) -> str:
    """A JSON path of Athena's json_extract in DuckDB's, keys quoted (and so case-sensitive on both sides).

    Raises:
        QueryError: wildcards, filters, recursive descent: what a path to one value does not need.
    """
    steps, at = "$", 1
    while path[:1] == "$" and at < len(path):
        match = _JSON_STEP.match(path, at)
        if match is None:
            break
        key = match[1] or match[3]
        steps += f"[{match[2]}]" if match[2] else f'."{key}"'
        at = match.end()
    if path[:1] != "$" or at != len(path):
        raise QueryError("this JSON path is not supported here; write a path to one value, like $.a.b[0]")
    return steps


_REPLACEMENT = re.compile(r"\\(.)|\$(\d)|\$|\\", flags=re.DOTALL)


def re2_replacement(replacement: str) -> str:
    r"""A replacement of Athena's regexp_replace (groups as $1, \$ is a dollar) in RE2's (groups as \1).

    Raises:
        QueryError: a named group, or a lone $ or \ (which Athena rejects too).
    """

    def one(match: re.Match[str]) -> str:
        if match[2]:
            return f"\\{match[2]}"
        if match[1]:
            return "\\\\" if match[1] == "\\" else match[1]
        raise QueryError(
            "regexp_replace: $ or \\ alone in the replacement; write $1 to $9 for a group, \\$ for a dollar"
        )

    return _REPLACEMENT.sub(one, replacement)


def group_may_be_missing(pattern: str, group: int) -> bool:
    """Whether a capturing group can be left out of a match, or match nothing: then RE2 cannot tell the two apart.

    Raises:
        QueryError: a pattern whose groups cannot be read, or a group that can do both.
    """
    try:
        groups = re.compile(pattern).groups
    except re.error:
        raise QueryError("regular expression not supported here; write it without look-around") from None
    if group > groups:
        raise QueryError(f"the pattern has {groups} groups, group {group} is asked for")
    if not re.search(r"\||\)[?*{]", pattern):
        return False
    body = _group_body(pattern, group)
    if re.compile(body).fullmatch("") is not None:
        raise QueryError(f"group {group} may be missing and may match nothing, which cannot be told apart here")
    return True


def _group_body(pattern: str, group: int) -> str:
    """The text between the parentheses of a capturing group."""
    opened: list[tuple[int, bool]] = []
    count = 0
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", lambda m: "_" * len(m[0]), pattern, flags=re.DOTALL)
    for at, char in enumerate(bare):
        if char == "(":
            capturing = bare[at + 1 : at + 2] != "?" or bare[at + 1 : at + 3] == "?P"
            count += capturing
            opened.append((at, capturing and count == group))
        elif char == ")" and opened:
            start, wanted = opened.pop()
            if wanted:
                return pattern[start + 1 : at]
    raise QueryError("the groups of this regular expression cannot be read; simplify it")
