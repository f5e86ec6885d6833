"""Cutting a text into requests that a service takes, and finding passages that many documents share.

Here is only where a chunk begins and ends, in code points: `begin + offset` maps an offset within a chunk back to the
text. Sending chunks belongs to the engines, sentences as units of translation to translation/segments.py.
"""

import hashlib
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

import regex

Offsets = tuple[int, int]

MIN_LIMIT = 4
"""Bytes of the widest character in UTF-8: with less, some texts could not be cut at all."""

PAGE_BREAK = "\n\n"
"""What parts the pages of a joined text; no page of English segments has a blank line of its own."""

MIN_SHARED = 100
"""Characters from which on a shared passage is a request of its own: less than Comprehend Medical's billable unit of
100 saves nothing, and the shorter the passage, the more likely a heading that the text around it needs."""

_SENTENCE_END = re.compile(r"\n\s*|(?<!\b[A-Z])(?<!\b[DMJS]r)(?<!\bMrs)(?<!\bvs)[.!?…。！？]+[\"'”’»)\]]*\s+")
"""A line's end, or a full stop before white space; not the stop of an initial or a title."""

_GRAPHEME = regex.compile(r"\X")
_MARGIN = 64
"""Code points beyond a cut that are looked at to see whether it falls into a grapheme."""


def sentence_ends(text: str) -> list[int]:
    """Where a sentence or line has ended and its white space too, ascending."""
    return [m.end() for m in _SENTENCE_END.finditer(text) if _begins_anew(text, m)]


def _begins_anew(text: str, stop: "re.Match[str]") -> bool:
    return stop.end() == len(text) or "\n" in stop[0] or not text[stop.end()].islower()


def chunks(text: str, limit_bytes: int, ends: Callable[[str], Sequence[int]] = sentence_ends) -> list[Offsets]:
    """Cut a text into chunks, each as long as its limit and the text's sentences allow.

    Args:
        limit_bytes: the longest chunk, in bytes of UTF-8, at least MIN_LIMIT.
        ends: the preferred places to cut, ascending. Where none is in reach, cuts fall after white space, else between
            graphemes (a single grapheme above the limit is cut too).

    Returns:
        (begin, end) of each chunk: in order, without gap or overlap, together the text. None for an empty text.

    Raises:
        ValueError: for a limit below MIN_LIMIT.
    """
    if limit_bytes < MIN_LIMIT:
        raise ValueError(f"a chunk may have {limit_bytes} bytes; some characters need {MIN_LIMIT}")
    if len(text.encode("utf-8", "surrogatepass")) <= limit_bytes:
        return [(0, len(text))] if text else []
    sizes = [0, *accumulate(map(_bytes_of, text))]
    return list(_cut(text, sizes, limit_bytes, ends(text)))


def _bytes_of(character: str) -> int:
    code = ord(character)
    return 1 + (code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF)


def _cut(text: str, sizes: list[int], limit: int, ends: Sequence[int]) -> Iterator[Offsets]:
    begin = 0
    while begin < len(text):
        end = bisect_right(sizes, sizes[begin] + limit) - 1
        if end < len(text):
            place = bisect_right(ends, end) - 1
            end = ends[place] if place >= 0 and ends[place] > begin else _word_cut(text, begin, end)
        yield begin, end
        begin = end


def _word_cut(text: str, begin: int, end: int) -> int:
    """The last place up to `end` where a word begins, else where a grapheme does, else `end`."""
    for place in range(end, begin, -1):
        if text[place - 1].isspace() and not text[place].isspace():
            return place
    cut = begin
    for grapheme in _GRAPHEME.finditer(text, begin, min(len(text), end + _MARGIN)):
        if grapheme.end() > end:
            break
        cut = grapheme.end()
    return cut if cut > begin else end


def inked(text: str, begin: int, end: int) -> Offsets:
    """A span without the white space at its ends: what is billed then, and compared with other documents' text."""
    part = text[begin:end]
    begin += len(part) - len(part.lstrip())
    return begin, begin + len(part.strip())


# --- what documents share ---------------------------------------------------------------------------------------------


def digest(line: str) -> str:
    """A line's name, whatever its white space; 16 hex digits of SHA-256, and no text."""
    return hashlib.sha256(" ".join(line.split()).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def shared_lines(texts: Iterable[str], least: int = 3) -> frozenset[str]:
    """Digests of the lines that stand in at least so many of the texts: letterheads, footers, consent forms."""
    counts = Counter(name for text in texts for name in {digest(line) for line in text.splitlines() if line.strip()})
    return frozenset(name for name, count in counts.items() if count >= least)


def passages(text: str, shared: frozenset[str] = frozenset()) -> list[Offsets]:
    """The parts of a joined text that are asked for apart, so that what repeats is the same request each time.

    These are its pages (parted by PAGE_BREAK) and, within a page, runs of `shared` lines of MIN_SHARED characters or
    more. A run does not take a heading with it (a last line that ends in a colon), which belongs to what follows.

    What this does to the answers: a page is what a pipeline that sends page by page would send, letter by letter, so
    its answers are the same. A page cut at shared lines is sent in other requests than that pipeline's; a service that
    judges a sentence by those around it may then answer otherwise at the cuts. Hence `shared` is empty unless given.

    Returns:
        (begin, end) of each passage, in order, without white space at its ends, together all that is not white space.
    """
    found: list[Offsets] = []
    for begin, end in _pages(text):
        cuts = sorted({begin, end, *(place for run in _shared_runs(text, begin, end, shared) for place in run)})
        found += [inked(text, b, e) for b, e in pairwise(cuts)]
    return [(begin, end) for begin, end in found if begin < end]


def _pages(text: str) -> Iterator[Offsets]:
    begin = 0
    for part in text.split(PAGE_BREAK):
        yield begin, begin + len(part)
        begin += len(part) + len(PAGE_BREAK)


def _shared_runs(text: str, begin: int, end: int, shared: frozenset[str]) -> Iterator[Offsets]:
    if not shared:
        return
    run: list[Offsets] = []
    for line in [*_lines(text, begin, end), None]:
        if line is not None and digest(text[slice(*line)]) in shared:
            run.append(line)
            continue
        while run and text[slice(*run[-1])].rstrip().endswith(":"):
            run.pop()
        if run and run[-1][1] - run[0][0] >= MIN_SHARED:
            yield run[0][0], run[-1][1]
        run = []


def _lines(text: str, begin: int, end: int) -> Iterator[Offsets]:
    for line in text[begin:end].split("\n"):
        yield begin, begin + len(line)
        begin += len(line) + 1
