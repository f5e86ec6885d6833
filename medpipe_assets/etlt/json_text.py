"""JSON of any shape to one record a line: arrays, wrappers, objects one after another, pretty-printed or all in a line.

Only where records begin and end is found out here, in as much memory as one of them needs; whether they are whole is
for the reader of the lines to judge.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.etlt.contract import normalised
from medpipe_assets.etlt.lines import MAX_RECORD_BYTES
from medpipe_assets.etlt.records import MAX_REJECT_CHARACTERS

CHUNK = 1 << 20
MAX_CHARACTERS = MAX_RECORD_BYTES // 4
"""Of a record; each may be four bytes."""
_NEAR = 16
"""An error so near the end of what was read may be for want of the rest: no token but a string is longer."""
_SPACES = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKENS = re.compile(r'"(?:[^"\\\n]|\\[^\n])*+"(?=\s*[]},:])|[\[\]{}:]')
"""Whole strings, what opens and closes, and what stands before an object that is a value."""
_OPENS = {"]": "[", "}": "{"}
_INDENT = 200
"""A line that is indented deeper is not looked at for where a record begins."""
_GARBAGE = re.compile(r"[^{\[\n]*")
_DECODER = json.JSONDecoder()


def is_lines(path: Path, record_path: Sequence[str]) -> bool:
    """Whether a UTF-8 file has a JSON object a line already, going by its first line that is not blank."""
    with path.open("rb") as file:
        line = b"\n"
        while line and not line.strip():
            line = file.readline(MAX_RECORD_BYTES).removeprefix(b"\xef\xbb\xbf")
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and not (record_path and normalised(record_path[0]) in set(map(normalised, first)))


def part(path: Path, record_path: Sequence[str], target: Path) -> Path:
    """Write a UTF-8 file's records one a line.

    A record that is broken becomes a line of its text as a JSON string; one that is cut off takes all that is left.

    Args:
        record_path: keys under which an object keeps records; an object without them is a record itself.

    Raises:
        DocumentError: corrupt, where the text is not JSON at all.
    """
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as source:
        text = _Text(iter(lambda: source.read(CHUNK), ""))
        if text.peek() not in ("{", "["):
            raise DocumentError(Reason.CORRUPT, "neither a JSON object nor an array")
        with target.open("w", encoding="utf-8", newline="", errors="replace") as out:
            for record in _records(text, tuple(record_path)):
                out.write(record + "\n")
    return target


class _Text:
    """A text that is read as it is needed; `at` is how far it has been dealt with."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self.seen = "\n"
        self.at = 1

    def more(self) -> bool:
        """Read on, twice as much each time that nothing is dealt with in between; False at the end."""
        wanted = max(1, (len(self.seen) - self.at) // CHUNK)
        chunks = list(islice(self._chunks, wanted))
        if chunks:
            kept = self.at if (margin := self.margin()) is None else self.at - margin - 1
            self.seen, self.at = "".join([self.seen[kept:], *chunks]), self.at - kept
        return bool(chunks)

    def margin(self) -> int | None:
        """How far the line is indented of which the next character is the first; None where it is not."""
        return _margin(self.seen, self.at)

    def peek(self) -> str:
        """The next character that is no space, which becomes the next; empty at the end."""
        while True:
            if self.seen[self.at : self.at + 1] in _SPACES:
                space = _SPACE.match(self.seen, self.at)
                self.at = space.end() if space else self.at
            if self.at < len(self.seen):
                return self.seen[self.at]
            if not self.more():
                return ""

    def skip(self, characters: str) -> None:
        """Pass over spaces and these characters."""
        while (found := self.peek()) and found in characters:
            self.at += 1

    def take(self, end: int) -> str:
        taken, self.at = self.seen[self.at : end], end
        return taken


def _records(text: _Text, record_path: tuple[str, ...]) -> Iterator[str]:
    """The records of values one after another; commas between them do no harm."""
    while text.peek():
        text.skip(",]}")
        found = text.peek()
        if found == "[":
            text.at += 1
            yield from _elements(text)
        elif found == "{" and record_path and _enter(text, record_path):
            if text.peek() == "[":
                text.at += 1
                yield from _elements(text)
            else:
                yield from _value(text)
            _leave(text, len(record_path))
        elif found:
            yield from _value(text)


def _elements(text: _Text) -> Iterator[str]:
    """The elements of an array that has just begun."""
    while True:
        text.skip(",")
        found = text.peek()
        if found == "]":
            text.at += 1
            return
        if not found:
            return
        yield from _value(text)


def _value(text: _Text) -> Iterator[str]:
    """The next value as a line."""
    text.peek()
    if (end := _end(text)) is not None:
        yield text.take(end).replace("\n", " ").replace("\r", " ")
    else:
        yield json.dumps(_broken(text))


def _end(text: _Text) -> int | None:
    """Where the value ends that begins here; None where it does not, or is broken."""
    while True:
        try:
            _, end = _DECODER.raw_decode(text.seen, text.at)
        except json.JSONDecodeError as error:
            cut = error.pos >= len(text.seen) - _NEAR or error.msg.startswith("Unterminated")
            if not cut or len(text.seen) - text.at > MAX_CHARACTERS or not text.more():
                return None
        except RecursionError:
            return None
        else:
            if end < len(text.seen) or text.seen[text.at] in '{["' or not text.more():
                return end if end - text.at <= MAX_CHARACTERS else None


def _broken(text: _Text) -> str:
    """Take a broken value: to where its brackets are closed or the next one begins, or to the end."""
    if text.peek() not in ("{", "["):
        garbage = _GARBAGE.match(text.seen, text.at)
        assert garbage is not None
        return text.take(max(garbage.end(), text.at + 1))[:MAX_REJECT_CHARACTERS]
    while (end := _closed(text)) is None:
        if len(text.seen) - text.at > MAX_CHARACTERS or not text.more():
            return _rest(text)
    return text.take(end)[:MAX_REJECT_CHARACTERS]


def _closed(text: _Text) -> int | None:
    """Where a broken value's brackets are closed, or the next value begins; None where neither is in what was read.

    A bracket closes those within it that nothing closed. An object that stands where none may, or in a line of its own
    that is indented no deeper than the broken value, is the next one.
    """
    open_, before = [text.seen[text.at]], ""
    margin = text.margin()
    for found in _TOKENS.finditer(text.seen, text.at + 1):
        token = found[0]
        if token == "{" and (_is_misplaced(open_[-1], before) or _is_out(text.seen, found.start(), margin)):
            return found.start()
        if token in "[{":
            open_.append(token)
        elif token in _OPENS and _OPENS[token] in open_:
            while open_.pop() != _OPENS[token]:
                pass
        if not open_:
            return found.end()
        before = token
    return None


def _is_misplaced(within: str, before: str) -> bool:
    """Whether an object stands in another, and is not the value of a key."""
    return within == "{" and before != ":"


def _is_out(seen: str, at: int, margin: int | None) -> bool:
    """Whether a line begins here that is indented by no more than a margin."""
    own = None if margin is None else _margin(seen, at)
    return own is not None and margin is not None and own <= margin


def _margin(seen: str, at: int) -> int | None:
    line = seen.rfind("\n", max(0, at - _INDENT), at) + 1
    return at - line if line and not seen[line:at].strip(" \t") else None


def _rest(text: _Text) -> str:
    """Take all that is left; only its beginning is kept."""
    beginning = text.take(len(text.seen))[:MAX_REJECT_CHARACTERS]
    while text.more():
        text.at = len(text.seen)
    return beginning


def _enter(text: _Text, record_path: tuple[str, ...]) -> bool:
    """Go to the value under a path of keys; False, and nowhere, where the object does not begin with it in sight."""
    while True:
        begin = text.at
        at = _to_value(text.seen, begin, record_path)
        if at is not None and at < len(text.seen):
            text.at = at
            return True
        if at is None or len(text.seen) - begin > MAX_CHARACTERS or not text.more():
            return False


def _to_value(seen: str, at: int, record_path: tuple[str, ...]) -> int | None:
    """Where the value under a path begins; the end of what is seen where that may tell; None where it is not there."""
    for key in record_path:
        if seen[at : at + 1] != "{":
            return None if at < len(seen) else at
        found = _to_key(seen, at + 1, key)
        if found is None or found == len(seen):
            return found
        at = found
    return at


def _to_key(seen: str, at: int, key: str) -> int | None:
    """As `_to_value`, for a key of the object whose members begin here."""
    while True:
        at = _after(seen, at, ",")
        if seen[at : at + 1] == "}":
            return None
        try:
            name, at = _DECODER.raw_decode(seen, at)
            at = _after(seen, at, ":")
            if normalised(str(name)) == normalised(key):
                return at
            _, at = _DECODER.raw_decode(seen, at)
        except (ValueError, RecursionError):
            return len(seen)


def _after(seen: str, at: int, characters: str) -> int:
    """Past spaces and these characters."""
    while at < len(seen) and seen[at] in " \t\r\n" + characters:
        at += 1
    return at


def _leave(text: _Text, depth: int) -> None:
    """Pass over what so many objects, of which the inmost comes first, have after the records."""
    while depth and text.peek():
        text.skip(",:")
        if text.peek() == "}":
            text.at += 1
            depth -= 1
        elif (end := _end(text)) is not None:
            text.take(end)
        else:
            _broken(text)
