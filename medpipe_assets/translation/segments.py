"""Cutting page text into translation units: sentences, or lines where layout and not grammar ends a thought.

Here is only where a segment begins and ends, in code points of the page's text. Nothing is translated, cleaned or
joined: a segment is always a plain slice, line breaks of a wrapped sentence included.
"""

import re
from collections.abc import Iterator

import regex

LIMIT = 2_000
"""Default bound on a segment, in code points: at most 8,000 bytes of UTF-8, below every engine's limit a call."""

_WIDEST_WRAP = 120
"""A line longer than this (in code points) was not wrapped by hand or by a page's width, but is a whole paragraph."""

_TITLES = frozenset((
    "dr", "dra", "drs", "dres", "sr", "sra", "sres", "srta", "d", "dña", "don", "prof", "profa", "lic", "ing",
    "mr", "mrs", "ms", "mme", "mlle", "m", "mm", "pr", "hr", "fr", "frau", "dott", "dottssa", "sig", "sigra",
    "vs", "cf", "ca", "bzw", "ej", "p.ej", "p.ex", "par.ex", "z.b", "e.g", "i.e", "u.a", "d.h", "s.o", "st",
    "sta", "sto", "av", "avda", "aprox", "approx", "ap", "resp", "inkl", "ggf", "evtl", "vit",
))  # fmt: skip
"""Abbreviations that something always follows: the dot after them never ends a sentence."""

_NUMBERED = frozenset((
    "no", "nos", "nº", "n°", "n", "núm", "num", "nr", "col", "fig", "figs", "pág", "pag", "pags", "p", "pp",
    "vol", "cap", "art", "tab", "ref", "tel", "tlf", "tfno", "exp", "hab", "hist", "pos",
))  # fmt: skip
"""Abbreviations that belong to the number after them; before anything else the same letters are a word."""

_BULLET = r"(?:[-–—*•·◦▪▫►●○■□✓→‣]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)]|\d{1,3}[.)º°]-?|#+)(?=\s)"
_LABEL = r"[^\W\d_][^\n.:;!?]{0,40}:(?=\s|$)"
_STARTS_UNIT = re.compile(rf"\s*(?:{_BULLET}|{_LABEL})")
_BLOCK_END = re.compile(r"[^\S\n]*\n")
_WRAP_WORD = re.compile(
    r"(?:[,;(/&-]|\b(?:de|del|la|el|los|las|con|y|o|e|en|por|para|a|al|un|una|que|sin|no|du|des|le|les|et|ou|avec|pour|"
    r"da|do|das|dos|com|em|ao|um|uma|di|della|il|lo|gli|per|und|oder|mit|der|die|das|den|dem|von|of|the|and|or|with|to|"
    r"in|for))$",
    re.IGNORECASE,
)
_STOP = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s)")
_TOKEN_BEFORE = re.compile(r"(\S*)$")
_CLAUSE = re.compile(r"[;:,](?=\s)")
_SPACE = re.compile(r"\s+")
_GRAPHEME = regex.compile(r"\X")


def split(text: str, language: str, limit: int = LIMIT) -> list[tuple[int, int]]:
    """Sentence-or-line segments of a page's text.

    Args:
        text: a page's text, lines separated by a line feed.
        language: ISO 639-1 code; it only decides whether `3.` before a word is an ordinal (German).
        limit: the longest segment allowed, in code points, at least 1. Longer ones are cut after a clause, else
            between words, else between graphemes (a single grapheme longer than the limit is cut too).

    Returns:
        (begin, end) of each segment: ascending, apart, without white space at the ends, together all of the text
        that is not white space.
    """
    found: list[tuple[int, int]] = []
    for begin, end in _blocks(text):
        for sentence in _sentences(text, begin, end, language):
            found.extend(_bounded(text, *sentence, limit))
    return found


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Runs of lines that read on from one to the next; white space trimmed."""
    lines = _lines(text)
    if not lines:
        return
    lengths = sorted(end - begin for begin, end, _ in lines)
    width = min(_WIDEST_WRAP, lengths[len(lengths) * 9 // 10])
    columned = len(lengths) > 3 and lengths[-3] > 0.85 * width
    first = 0
    for i in range(1, len(lines) + 1):
        if i < len(lines) and not lines[i][2] and _reads_on(text, lines[i - 1][:2], lines[i][:2], width, columned):
            continue
        yield lines[first][0], lines[i - 1][1]
        first = i


def _lines(text: str) -> list[tuple[int, int, bool]]:
    """The lines that hold anything: begin and end without white space, and whether a blank line came before."""
    lines = []
    position, after_blank = 0, False
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped:
            begin = position + len(line) - len(line.lstrip())
            lines.append((begin, begin + len(stripped), after_blank))
            after_blank = False
        else:
            after_blank = True
        position += len(line) + 1
    return lines


def _reads_on(text: str, above: tuple[int, int], below: tuple[int, int], width: int, columned: bool) -> bool:
    """Whether the lower line continues the upper: it would have stood there, had there been room (or it must).

    A capital may begin a continuation only on a page that has a column to wrap at (`columned`).
    """
    first = text[below[0]]
    if text[above[1] - 1] == ":" or _STARTS_UNIT.match(text, *below):
        return False
    tail = text[max(above[0], above[1] - 12) : above[1]]
    if first.islower() and _WRAP_WORD.search(tail):
        return True
    word_end = text.find(" ", below[0], below[1])
    word = (below[1] if word_end < 0 else word_end) - below[0]
    needed = above[1] - above[0] + 1 + word
    if first.islower() or not first.isalpha():
        return needed > 0.7 * width
    heading = text[above[0] : above[1]].isupper()
    return columned and needed > 0.85 * width and above[1] - above[0] >= 40 and not heading


def _sentences(text: str, begin: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    """Cut a block after each full stop that is one."""
    for stop in _STOP.finditer(text, begin, end):
        following = _SPACE.match(text, stop.end(), end)
        if following is None:
            break
        if _ends_sentence(text, begin, stop, text[following.end() : following.end() + 2], language):
            yield begin, stop.end()
            begin = following.end()
    if begin < end:
        yield begin, end


def _ends_sentence(text: str, begin: int, stop: "re.Match[str]", following: str, language: str) -> bool:
    if following[0].islower():
        return False
    if stop[0] != ".":
        return True
    before = _TOKEN_BEFORE.search(text, max(begin, stop.start() - 24), stop.start())
    token = before[1].lstrip("([{¿¡\"'«“") if before else ""
    at_start = before is not None and before.start() == begin
    if token.isdigit():
        return not at_start and not (language == "de" and len(token) <= 2)
    return not _is_abbreviation(text, begin, stop.start() - len(token), token, following)


def _is_abbreviation(text: str, begin: int, position: int, token: str, following: str) -> bool:
    lowered = token.lower()
    if lowered in _TITLES and not (len(token) == 1 and token.islower()):
        return True
    if lowered in _NUMBERED and following[0].isdigit():
        return True
    return len(token) == 1 and token.isupper() and (following[1:] == "." or _is_initial(text, begin, position))


def _is_initial(text: str, begin: int, position: int) -> bool:
    """A lone capital is a name's initial after a name or title, and ends a sentence after a noun ('hepatitis C.')."""
    before = text[max(begin, position - 24) : position].split()
    return not before or not before[-1][0].islower()


def _bounded(text: str, begin: int, end: int, limit: int) -> Iterator[tuple[int, int]]:
    """Cut what is longer than the limit, at the best place within it."""
    while end - begin > limit:
        cut = _last(_CLAUSE, text, begin + limit // 2, begin + limit) or _last_space(text, begin, begin + limit)
        if cut is None:
            cut = _grapheme_cut(text, begin, begin + limit)
        yield begin, begin + len(text[begin:cut].rstrip())
        begin = cut + len(text[cut:end]) - len(text[cut:end].lstrip())
    if begin < end:
        yield begin, end


def _last(pattern: "re.Pattern[str]", text: str, begin: int, end: int) -> int | None:
    cut = None
    for match in pattern.finditer(text, begin, end):
        cut = match.end()
    return cut


def _last_space(text: str, begin: int, end: int) -> int | None:
    """The last place before `end` where white space begins, or `end` itself where white space follows it."""
    if text[end].isspace():
        return end
    return next((m for m in range(end - 1, begin, -1) if text[m].isspace()), None)


def _grapheme_cut(text: str, begin: int, end: int) -> int:
    cut = begin
    for grapheme in _GRAPHEME.finditer(text, begin, end + 1):
        if grapheme.end() > end:
            break
        cut = grapheme.end()
    return cut if cut > begin else end
