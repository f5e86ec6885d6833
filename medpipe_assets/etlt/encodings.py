"""Which encoding a text file is in, by the evidence of its bytes, and the same text as UTF-8.

What the text says (CSV, JSON) is not known here.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from medpipe_assets.errors import ConfigurationError, DocumentError, Reason

UTF8 = "utf-8"
BLOCK = 4 << 20
_MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 1 << 16
_MOSTLY = 0.9
"""Share of the characters inside words that must come out as letters for an encoding to be believed."""
_ASCII = bytes(range(0x80))
_INSIDE_A_WORD = re.compile(rb"(?<=[A-Za-z])[\x80-\xff](?=[A-Za-z])")
_IN_WORDS = frozenset("'’‘-‐‑–·")
"""What may stand inside a word without being a letter."""
_INVISIBLE = (0xA0, 0xAD)
"""No-break space and soft hyphen, in Latin-1 and cp1252: text although they do not print."""
_EVIDENCE_BLOCKS = 8
_WINDOW = 1 << 17
"""In so many blocks that are not UTF-8, so many bytes before and after the first stray one are read closely."""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\ufffd]")
_REPLACED = "\ufffd"


@dataclass
class _Evidence:
    valid: int = 0  # characters beyond ASCII that are UTF-8, in blocks that are not so throughout
    stray: int = 0  # bytes of them that are not
    dirty: int = 0  # such blocks
    clean: int = 0  # blocks with characters beyond ASCII, all of them UTF-8
    high: set[int] = field(default_factory=set)  # bytes beyond ASCII in them
    inside: Counter[int] = field(default_factory=Counter)  # those of them that stand between letters

    @property
    def mostly_utf8(self) -> bool:
        return self.clean > 0 or self.valid > self.stray


def encoding_of(path: Path, candidates: Sequence[str]) -> str:
    """The encoding of a file's text.

    A byte order mark decides; then UTF-8, where all bytes decode strictly; then, of the candidates of one byte a
    character that decode at all, those in which every byte is printable go before the others, then those in which
    letters stand where they would inside words, then those that come first. Where the text is UTF-8 but for some lines
    (files that were joined or cut), the answer is 'utf-8+' and the encoding of those lines.

    Args:
        candidates: encodings in order of preference.

    Raises:
        DocumentError: corrupt, where it is in none of them.
        ConfigurationError: for an encoding that Python does not know.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if wide := _two_bytes_each(head):
        return wide
    evidence = _evidence_of(path)
    if not evidence.dirty:
        return UTF8
    fallback = _of_one_byte([name for name in candidates if name != UTF8], evidence)
    return f"{UTF8}+{fallback}" if UTF8 in candidates and evidence.mostly_utf8 else fallback


def _two_bytes_each(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of mostly ASCII text is zero."""
    even, odd = head[0::2], head[1::2]
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros.count(0) > 0.3 * len(zeros) and others.count(0) < 0.02 * len(others):
            return name
    return None


def _evidence_of(path: Path) -> _Evidence:
    found = _Evidence()
    decoder = codecs.getincrementaldecoder(UTF8)()
    with _after_mark(path) as file:
        while True:
            block = file.read(BLOCK)
            pending = decoder.getstate()[0]
            if block.isascii() and block and not pending:
                continue
            try:
                text = decoder.decode(block, final=not block)
                found.clean += not text.isascii()
            except UnicodeDecodeError as error:
                decoder.reset()
                _note(pending + block, error.start, found)
            if not block:
                return found


@contextmanager
def _after_mark(path: Path) -> Iterator[BinaryIO]:
    """A file from after UTF-8's mark, which stands before other encodings, too."""
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        yield file


def _note(block: bytes, first: int, found: _Evidence) -> None:
    """Count what a block that is not UTF-8 has around its first stray byte."""
    found.dirty += 1
    found.high.update(set(block.translate(None, _ASCII)))
    if found.dirty > _EVIDENCE_BLOCKS:
        return
    block = block[max(0, first - _WINDOW) : first + _WINDOW]  # a character cut by it counts as stray: that is no matter
    text = block.decode(UTF8, "replace")
    found.valid += len(_BEYOND_ASCII.findall(text))
    found.stray += text.count(_REPLACED)
    found.inside.update(b"".join(_INSIDE_A_WORD.findall(block)))


def _of_one_byte(candidates: Sequence[str], evidence: _Evidence) -> str:
    able = [name for name in candidates if _decodes(name, evidence.high)]
    if not able:
        raise DocumentError(Reason.CORRUPT, f"text in none of the encodings {', '.join(candidates) or UTF8}")
    return min(able, key=lambda name: (not _printable(name, evidence.high), not _plausible(name, evidence.inside)))


def _decodes(encoding: str, high: set[int]) -> bool:
    try:
        return len(bytes(high).decode(encoding)) == len(high)
    except LookupError:
        raise ConfigurationError(f"source.encodings: Python knows no encoding '{encoding}'") from None
    except UnicodeDecodeError:
        return False


def _printable(encoding: str, high: set[int]) -> bool:
    return all(bytes([byte]).decode(encoding).isprintable() or byte in _INVISIBLE for byte in high)


def _plausible(encoding: str, inside: Counter[int]) -> bool:
    """Whether what stands inside words is letters."""
    characters = {bytes([byte]).decode(encoding): count for byte, count in inside.items()}
    letters = sum(count for found, count in characters.items() if found.isalpha() or found in _IN_WORDS)
    return letters >= _MOSTLY * inside.total()


def decoded(path: Path, encoding: str) -> Iterator[str]:
    """A file's text, in parts of any length.

    Args:
        encoding: as `encoding_of` says.

    Raises:
        DocumentError: corrupt, where it does not decode.
    """
    name, _, fallback = encoding.partition("+")
    try:
        if fallback:
            yield from _by_lines(path, fallback)
            return
        decoder = codecs.getincrementaldecoder(name)()
        with _after_mark(path) as file:
            while block := file.read(BLOCK):
                yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise DocumentError(Reason.CORRUPT, f"not {encoding} throughout") from None


def _by_lines(path: Path, fallback: str) -> Iterator[str]:
    with _after_mark(path) as file:
        while block := file.read(BLOCK):
            block += file.readline(BLOCK)
            try:
                yield block.decode(UTF8)
            except UnicodeDecodeError:
                yield "".join(_line(line, fallback) for line in block.splitlines(keepends=True))


def _line(line: bytes, fallback: str) -> str:
    try:
        return line.decode(UTF8)
    except UnicodeDecodeError:
        return line.decode(fallback, "replace")


def as_utf8(path: Path, encoding: str, target: Path) -> Path:
    """The same text as UTF-8: the file itself where it is so already (with or without a mark), else written anew."""
    if encoding == UTF8:
        return path
    with target.open("w", encoding=UTF8, newline="", errors="replace") as out:
        for text in decoded(path, encoding):
            out.write(text)
    return target
