"""Text that has no layout becomes pages of words: the one tokeniser and the one clean-up of all such formats.

Decoding bytes belongs to plain_text.py, mark-up to the file of its format.
"""

import re
import unicodedata

from medpipe_assets.extraction.engine import Page, Words

WORD = re.compile(r"\S+")
"""A word is a run of characters that are not white space, in every format."""

_LINE_ENDS = re.compile("\r\n|[\r\v\x1c-\x1e\x85\u2028\u2029]")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_INVISIBLE = dict.fromkeys(
    [c for c in range(0x20) if c not in (0x09, 0x0A, 0x0C)]  # NUL and the other C0 controls
    + list(range(0x7F, 0xA0))  # DEL and C1
    + [0x00AD, 0x200B, 0x2060, 0xFEFF]  # soft hyphen, zero-width space, word joiner, byte order mark
    + list(range(0xFDD0, 0xFDF0))
    + [plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)]  # what Unicode reserves as no character
)
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_CLEAN = {**_INVISIBLE, **_SURROGATES, **_LIGATURES}


def clean(text: str) -> str:
    """Valid Unicode in composed form, without controls, invisible characters and ligatures; lines end in a newline.

    A form feed is kept (it parts pages). Lone surrogates, which no file can store, become U+FFFD.
    """
    return unicodedata.normalize("NFC", _LINE_ENDS.sub("\n", text).translate(_CLEAN))


def words_of(text: str) -> Words:
    """The words of a text, with their offsets and without boxes."""
    found = [(m.group(), m.start(), m.end()) for m in WORD.finditer(text)]
    none: list[None] = [None] * len(found)
    return Words([f[0] for f in found], list(none), list(none), [f[1] for f in found], [f[2] for f in found])


def page_of(text: str, number: int = 1) -> Page:
    """One page without layout; `text` must be clean."""
    return Page(number, 0.0, 0.0, 0, "text_layer", text, words_of(text))


def pages_of(text: str) -> tuple[Page, ...]:
    """Pages of a text, parted at form feeds; blank pages at the end, left by a final form feed, are no pages."""
    parts = clean(text).split("\f")
    while len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    return tuple(page_of(part.strip("\n"), number) for number, part in enumerate(parts, start=1))
