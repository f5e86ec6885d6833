"""The translation engine of last resort: each word and known term by its English, in place, nothing more.

It needs no program and no model. It has no grammar but one rule: an adjective behind its noun moves before it. What it
is good for is finding one's way in a document; its quality is always 'gist'. The words are in gloss/<language>.tsv
(source, English, kind, irregular forms: see `inflection`); words with learned endings go through `cognates`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation import inflection
from medpipe_assets.translation.cognates import cognate
from medpipe_assets.translation.engine import Alignment, Translation
from medpipe_assets.translation.negation import negation_cues

LANGUAGES = ("de", "es", "fr", "it", "pt")

_TOKEN = re.compile(
    r"\d+(?:[.,/:×x-]\d+)*[^\W_]*(?:-[^\W_]+)*"  # 3,5 and 120/80 and 1-0-1 and 10mg and 2x1.8cm are one
    r"|[^\W\d_](?:\.[^\W\d_])+(?![^\W_])"  # v.o
    r"|[^\W\d_]{1,7}['’](?=[^\W\d_])(?!hui)"
    r"|[^\W_]+(?:[-·][^\W_]+)*(?:['’]hui)?"
)
_ENDS_SENTENCE = re.compile(r"[.!?:\n]")
_TIMES = frozenset(("year", "years", "month", "months", "week", "weeks", "day", "days", "hour", "hours", "time"))
_LONGEST_TERM = 6
"""Words in the longest term looked for, in tokens."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A form's English ('' where English leaves the word out) and kind: 'n', 'u', 'a', 'v', 'r', 'f' or 'x'."""

    target: str
    kind: str


_NAME_FOLLOWS = re.compile(r"(?<!\w)(?:Dra?|Sra?|Srta|D|Dña|Prof|Mme|Mlle|M|Dott|Sig)\.?\s+(?:[A-Z]\.\s*)?$")
_PARTICIPLE = {
    language: re.compile(endings)
    for language, endings in {
        "de": r"te?[nrs]?$", "es": r"[ai]d[oa]s?$", "fr": r"ée?s?$", "it": r"[aiu]t[oaie]$", "pt": r"[ai]d[oa]s?$",
    }.items()
}  # fmt: skip
"""Forms of a verb that stand behind a noun like an adjective."""

_NE_REACH = 4
"""How many words may stand between the two parts of a French negation."""


_NO_DETERMINER = re.compile(r"ning[úu]n[oa]?s?|nenhum\w*|nessun\w*")
"""'No' that stands beside another 'no' in Romance languages; in English it is 'any' then."""

_ANY = Entry("any", "r")
_NE_PLUS = Entry("no longer", "r")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All forms of a language (lower case, single blanks); token counts of terms by first token, longest first."""

    entries: dict[str, Entry]
    term_lengths: dict[str, tuple[int, ...]]
    unaccented: dict[str, Entry]


@dataclass(slots=True)
class Piece:
    """A word or term on its way into English: its source span, its English, its kind, whether English was found."""

    begin: int
    end: int
    target: str
    kind: str
    known: bool


def tokens(text: str) -> list[tuple[int, int]]:
    """Spans of words and numbers; an elided article ('l'', 'dell'') is a word of its own."""
    return [m.span() for m in _TOKEN.finditer(text)]


@cache
def lexicon(language: str) -> Lexicon:
    """The lexicon of a language in `LANGUAGES`, forms generated; read once."""
    entries: dict[str, Entry] = {}
    derived: dict[str, Entry] = {}
    for line in _file(language).decode().splitlines():
        source, target, kind, extra = line.split("\t")
        first, *others = inflection.forms(source, target, kind, extra, language)
        entries.setdefault(first[0], Entry(first[1], kind))
        for form, english in others:
            adjectival = kind == "v" and _PARTICIPLE[language].search(form) and " " not in form + english
            derived.setdefault(form, Entry(english, "a" if adjectival and english.endswith("ed") else kind))
    entries = derived | entries
    lengths: dict[str, set[int]] = {}
    for form in entries:
        words = [form[b:e] for b, e in tokens(form)]
        if 1 < len(words) <= _LONGEST_TERM:
            lengths.setdefault(words[0], set()).add(len(words))
    by_first = {first: tuple(sorted(counts, reverse=True)) for first, counts in lengths.items()}
    unaccented = {plain: entry for form, entry in entries.items() if (plain := without_accents(form)) != form}
    return Lexicon(entries, by_first, unaccented)


@lru_cache(maxsize=65_536)
def look_up(word: str, language: str) -> Entry | None:
    """The entry of a single lower-case word: as listed, as written without accents, or by its learned ending."""
    words = lexicon(language)
    entry = words.entries.get(word) or words.unaccented.get(without_accents(word))
    if entry is None and (found := cognate(word, language)) is not None:
        entry = Entry(*found)
    return entry


def without_accents(word: str) -> str:
    """The word as people in a hurry, and capitals, write it."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


@cache
def fingerprint() -> str:
    """A hash of all lexicon files, 12 hex digits: changes when any entry does."""
    return hashlib.sha256(b"\0".join(_file(language) for language in LANGUAGES)).hexdigest()[:12]


def _file(language: str) -> bytes:
    return files("medpipe_assets.translation").joinpath("gloss", f"{language}.tsv").read_bytes()


class GlossTranslation:
    """TranslationEngine by lexicon: German, Spanish, French, Italian, Portuguese. Pure Python, no processes.

    Alignment is exact: each word or term with the English that stands for it; words left out have none.
    `unknown_words` counts words (not numbers) that passed through.
    """

    name = "gloss"

    @property
    def version(self) -> str:
        """The lexicon's fingerprint."""
        return f"lexicon {fingerprint()}"

    def supports(self, language: str) -> bool:
        """Whether there is a lexicon for the language."""
        return language in LANGUAGES

    def translate(self, texts: Sequence[str], language: str) -> list[Translation]:
        """Gloss each text.

        Raises:
            DocumentError: unsupported_language.
        """
        if not self.supports(language):
            raise DocumentError(Reason.UNSUPPORTED_LANGUAGE, f"no gloss lexicon for {language!r}")
        return [_gloss(text, language) for text in texts]

    def close(self) -> None:
        """Nothing to stop."""


def _gloss(text: str, language: str) -> Translation:
    found = pieces(text, language)
    unknown = sum(not piece.known for piece in found)
    if language != "de":
        _adjectives_first(text, found)
    out: list[str] = []
    alignment: list[Alignment] = []
    length = position = 0
    previous = ""
    # after a reordering the source is no longer walked in order: gaps belong to the place, not to the word
    spans = sorted((piece.begin, piece.end) for piece in found)
    for piece, after in pairwise(found):
        if not piece.target and text[piece.begin].isupper():
            after.target = after.target[:1].upper() + after.target[1:]
    for piece, (begin, end) in zip(found, spans, strict=True):
        gap = text[position:begin]
        if not gap and previous.endswith(("'", "’")):
            gap = " "
        if _after_dropped(out, gap):
            gap = ""
        out.append(gap)
        length += len(gap)
        out.append(piece.target)
        if piece.target:
            alignment.append(Alignment(piece.begin, piece.end, length, length + len(piece.target)))
        length += len(piece.target)
        position = end
        previous = text[begin:end]
    out.append("" if _after_dropped(out, text[position:]) else text[position:])
    return Translation("".join(out), tuple(sorted(alignment)), "gist", unknown)


def _after_dropped(out: list[str], gap: str) -> bool:
    """Whether the blank after a word that English leaves out goes with it."""
    return bool(out) and out[-1] == "" and gap.isspace()


def pieces(text: str, language: str) -> list[Piece]:
    """The words and longest known terms of a text, in order, each with its gloss."""
    words = lexicon(language)
    spans = tokens(text)
    lowered = [text[b:e].lower().replace("’", "'") for b, e in spans]
    shouted = text.isupper()
    found = []
    i = 0
    while i < len(spans):
        count, entry = _longest(text, spans, lowered, i, words)
        if entry is None:
            entry = look_up(lowered[i], language)
        if language == "fr" and lowered[i] == "plus" and {"ne", "n'"} & set(lowered[max(0, i - _NE_REACH) : i]):
            entry = _NE_PLUS
        begin, end = spans[i][0], spans[i + count - 1][1]
        source = text[begin:end]
        if entry is not None and _NO_DETERMINER.fullmatch(lowered[i]) and negation_cues(text[:begin], language):
            entry = _ANY
        if source[0].isupper() and _NAME_FOLLOWS.search(text, max(0, begin - 12), begin):
            found.append(Piece(begin, end, source, "x", True))
        elif entry is None:
            found.append(Piece(begin, end, source, "x", len(source) == 1 or not source.isalpha()))
        else:
            found.append(Piece(begin, end, _cased(source, entry, language, text[:begin], shouted), entry.kind, True))
        i += count
    return found


def _longest(
    text: str, spans: list[tuple[int, int]], lowered: list[str], i: int, words: Lexicon
) -> tuple[int, Entry | None]:
    """The longest term that begins at a token: how many tokens, and its entry; (1, None) where there is none."""
    for count in words.term_lengths.get(lowered[i], ()):
        if i + count <= len(spans):
            slice_ = text[spans[i][0] : spans[i + count - 1][1]]
            entry = words.entries.get(" ".join(slice_.lower().replace("’", "'").split()))
            if entry is not None:
                return count, entry
    return 1, None


def _cased(source: str, entry: Entry, language: str, before: str, shouted: bool) -> str:
    """The English in the source's capitals, where they mean something: not an acronym's, nor a German noun's."""
    target = entry.target
    if not target or not source[0].isupper():
        return target
    if source.isupper() and (len(source.strip("'’")) > 1 or not _starts_sentence(before)):
        return target.upper() if shouted else target
    if language == "de" and entry.kind in "nu" and not _starts_sentence(before):
        return target
    return target[0].upper() + target[1:]


def _starts_sentence(before: str) -> bool:
    before = before.rstrip(" \t")
    return not before or _ENDS_SENTENCE.match(before[-1]) is not None


def takes_adjectives(kind: str, target: str) -> bool:
    """Whether what stands behind a word may be its adjective: not so behind '71 years', where it is the patient's."""
    return kind in ("n", "u") and target not in _TIMES


def _adjectives_first(text: str, pieces: list[Piece]) -> None:
    """Turn each noun and the adjectives behind it round: 'pain abdominal acute' becomes 'acute abdominal pain'."""
    i = 0
    while i < len(pieces):
        j = i + 1
        if takes_adjectives(pieces[i].kind, pieces[i].target):
            while j < len(pieces) and pieces[j].kind == "a" and text[pieces[j - 1].end : pieces[j].begin].isspace():
                j += 1
            if j - i > 1:
                run = pieces[i:j][::-1]
                _move_capital(run[-1], run[0])
                pieces[i:j] = run
        i = j


def _move_capital(noun: Piece, first: Piece) -> None:
    if noun.target[:1].isupper() and noun.target[1:2].islower() and first.target[:1].islower():
        noun.target = noun.target[0].lower() + noun.target[1:]
        first.target = first.target[0].upper() + first.target[1:]
