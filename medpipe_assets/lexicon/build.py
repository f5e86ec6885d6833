"""Compiles the lexicon, and keeps the compiled artefact in the user's cache so that only the first use pays for it.

An artefact is plain JSON, one file for the code table and one a language, named for a fingerprint of everything that
went in: a changed list or a changed compiler gives another file, so that nothing stale is ever read. It holds no
patient data. Several processes may build at once (each writes its own file and renames it into place); where the cache
can't be written, the artefact stays in memory. What to do with terms is in `lexicon`, what they are in `terms`.
"""

import hashlib
import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from medpipe_assets.lexicon import tabular, terms
from medpipe_assets.lexicon.concepts import concept, skeletons, wording
from medpipe_assets.lexicon.words import LANGUAGES, spans

CODE_VERSION: Final = "7"
"""Raise it when this package would compile the same lists into something else."""

_OWN_LISTS: Final = ("conditions.tsv", "abbreviations.tsv", "not_conditions.tsv", "words.tsv")
_LONGEST: Final = 8
"""Words that count in a term. Longer wordings of the tabular list never stand in a note as such."""
_CODES: Final = 5
"""Codes kept a term."""


@cache
def fingerprint() -> str:
    """Short hash of the code set release, our own lists and the compiler's version. Reads only our own small lists."""
    digest = hashlib.sha256(f"{CODE_VERSION} {tabular.RELEASE}".encode())
    for name in _OWN_LISTS:
        digest.update((terms.FILES / name).read_bytes())
    return digest.hexdigest()[:12]


def codes() -> dict[str, Any]:
    """The code table by columns: code, title, parent, leaf (0 or 1), seventh (characters), default, and meanings.

    `default[i]` is the code that stands for code i where nothing more is said: itself for a leaf, its 'unspecified'
    descendant where it has one. `meanings` holds the distinct sets of seventh characters that `seventh` points into
    (-1 for none).
    """
    artefact: dict[str, Any] = _kept("codes", _compiled_codes)
    return artefact


def language(code: str) -> dict[str, Any]:
    """The terms of a language by columns: number (see `number`), term (concepts in their usual order, joined by
    spaces), codes (best first, joined by spaces), kind (index into KINDS). Besides: exact (see `_exact`), led (see
    `_led`), longest (words of a term), cognates (concepts by skeleton; English only), abbreviations as {surface:
    [code, ambiguous]}.

    A language's own terms alone; the English ones, to which its words lead too, are in 'en'."""
    artefact: dict[str, Any] = _kept(code, lambda: _compiled_language(code))
    return artefact


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medpipe" / "lexicon"


def _kept(name: str, build: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    path: Path | None = None
    with suppress(OSError, ValueError, RuntimeError):  # no home folder, not readable, not ours: build again
        path = _cache_folder() / f"{name}-{fingerprint()}.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("fingerprint") == fingerprint():
            return found
    artefact = build() | {"fingerprint": fingerprint()}
    if path is not None:
        with suppress(OSError):
            _written(path, json.dumps(artefact, ensure_ascii=False, separators=(",", ":")))
    return artefact


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


@cache
def _rows() -> tuple[tabular.Row, ...]:
    return tuple(tabular.read())


def _compiled_codes() -> dict[str, Any]:
    rows = _rows()
    default = defaults(rows)
    meanings: list[dict[str, str]] = []
    seventh: list[int] = []
    for row in rows:
        if row.seventh and row.seventh not in meanings:
            meanings.append(row.seventh)
        seventh.append(meanings.index(row.seventh) if row.seventh else -1)
    return {
        "release": tabular.RELEASE,
        "code": [row.code for row in rows],
        "title": [row.title for row in rows],
        "parent": [row.parent for row in rows],
        "leaf": [int(row.leaf) for row in rows],
        "default": [default[row.code] for row in rows],
        "seventh": seventh,
        "meanings": meanings,
    }


def defaults(rows: Sequence[tabular.Row]) -> dict[str, str]:
    """For each code, the one that stands for it where nothing more is said (see `codes`)."""
    children: Mapping[str, list[tabular.Row]] = defaultdict(list)
    for row in rows:
        children[row.parent].append(row)
    chosen: dict[str, str] = {}
    for row in reversed(rows):  # a child stands after its parent, so its own default is known first
        likely = sorted((rank, c.code) for c in children[row.code] if (rank := _says_more(c)) is not None)
        if len(children[row.code]) == 1:
            likely = [((0, 0), children[row.code][0].code)]
        chosen[row.code] = row.code if row.leaf or not likely else chosen[likely[0][1]]
    return chosen


_LITTLE_SAID: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r"\bunspecified\b|\bunknown$| nos$", r"\buncomplicated\b", r"\bwithout (?!.*\bwith )", r"^other\b")
)
"""What the titles of codes say that stand for their whole category, the least saying first."""
_MORE_SAID: Final = re.compile(r"\bwith (?:unspecified|other|loss(?!.*unknown$))\b", re.IGNORECASE)


def _says_more(row: tabular.Row) -> tuple[int, int] | None:
    """How much a code says beyond its category: the less, the smaller; None where it says something definite."""
    if _MORE_SAID.search(row.title):
        return None
    said = next((i for i, pattern in enumerate(_LITTLE_SAID) if pattern.search(row.title)), None)
    return None if said is None else (said, "908".find(row.code[-1]) % 4)


def number(concepts: str) -> int:
    """A random-looking number of 64 bits for a concept; for several, parted by spaces, the sum of theirs."""
    each = (int.from_bytes(hashlib.blake2b(c.encode(), digest_size=8).digest()) for c in concepts.split(" "))
    return sum(each) % 2**64


def _compiled_language(code: str) -> dict[str, Any]:
    table = codes()
    default = dict(zip(table["code"], table["default"], strict=True))
    own = [term for term in terms.own() if term.language == code]
    known = own
    cognates: dict[str, str] = {}
    if code == "en":
        known = [*own, *terms.of_tabular(_rows())]
    else:
        cognates = language("en")["cognates"]
    read = cache(lambda word: concept(word, code, cognates))
    refused = {_bag(text, read)[0] for text in terms.not_conditions(code)}
    found = _ranked(known, read, default)
    shouted = {
        t.text: [default.get(t.code, t.code), True]
        for t in own
        if t.text.isupper() and _bag(t.text, read)[0] in refused
    }
    kept = {bag: ranked for bag, ranked in found.items() if bag not in refused}
    return {
        "number": [number(" ".join(bag)) for bag in kept],
        "term": [term for term, _, _ in kept.values()],
        "codes": [" ".join(codes) for _, codes, _ in kept.values()],
        "kind": [kind for _, _, kind in kept.values()],
        "exact": _exact(own, read, default, kept),
        "led": _led(own, read, kept),
        "longest": max(map(len, kept), default=1),
        "cognates": skeletons(_by_frequency(kept)) if code == "en" else {},
        "abbreviations": shouted  # refused as a word ('hearing aids'), it still counts in capitals
        | {a.text: [default.get(a.code, a.code), a.ambiguous] for a in terms.abbreviations() if a.language == code},
    }


def _bag(text: str, read: Callable[[str], str]) -> tuple[tuple[str, ...], str]:
    """A wording's concepts, sorted, and in order joined by spaces."""
    found = [name for begin, end in spans(text) if (name := read(text[begin:end]))]
    wording = " ".join(found)
    return tuple(sorted(wording.split())), wording


def _by_frequency(bags: Iterable[tuple[str, ...]]) -> list[str]:
    return [name for name, _ in Counter(name for bag in bags for name in bag).most_common()]


def _ranked(
    known: Iterable[terms.Term], read: Callable[[str], str], default: Mapping[str, str]
) -> dict[tuple[str, ...], tuple[str, list[str], int]]:
    """Bag -> (its best wording, codes best first, index of its best kind). Our own list overrules the tabular list."""
    votes: dict[tuple[str, ...], dict[str, tuple[int, int, str]]] = defaultdict(dict)
    for order, term in enumerate(known):
        bag, wording = _bag(term.text, read)
        if not 0 < len(bag) <= _LONGEST or len(term.text) < 3 or wording.isdigit():
            continue
        code = default.get(term.code, term.code)
        kind = "vague" if code in terms.VAGUE else term.kind
        place = (terms.KINDS.index(kind), order, wording)
        votes[bag][code] = min(place, votes[bag].get(code, place))
    ranked = {}
    for bag, codes in votes.items():
        best = sorted(codes, key=lambda c: codes[c])[:_CODES]
        best_kind, _, wording = codes[best[0]]
        ranked[bag] = (wording, best, best_kind)
    return ranked


def _exact(
    own: Iterable[terms.Term],
    read: Callable[[str], str],
    default: Mapping[str, str],
    ranked: Mapping[tuple[str, ...], tuple[str, list[str], int]],
) -> list[tuple[int, dict[str, str]]]:
    """Our own terms whose concepts are those of another code's term: by the place of the bag, wording -> codes.

    Concepts merge what mostly means the same ('tumour' and 'mass'); where a code hangs on the very word, it decides.
    """
    places = {bag: place for place, bag in enumerate(ranked)}
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for term in own:
        bag, _ = _bag(term.text, read)
        code = default.get(term.code, term.code)
        if bag in ranked and (codes := ranked[bag][1])[0] != code:
            best = [code, *(c for c in codes if c != code)][:_CODES]
            found[places[bag]].setdefault(wording(term.text, term.language), " ".join(best))
    return list(found.items())


def _led(
    own: Iterable[terms.Term], read: Callable[[str], str], ranked: Mapping[tuple[str, ...], Any]
) -> list[tuple[int, list[str]]]:
    """Terms that are one only behind a word that otherwise counts for nothing ('on dialysis'), by the place of their
    bag: the words that lead them, in lower case."""
    places = {bag: place for place, bag in enumerate(ranked)}
    leads: dict[int, set[str]] = defaultdict(set)
    for term in own:
        bag, _ = _bag(term.text, read)
        if len(bag) == 1 and bag in places:
            first = term.text.split()[0].lower()
            leads[places[bag]].add(first if " " in term.text and not read(first) else "")
    return [(place, sorted(words)) for place, words in leads.items() if "" not in words]


__all__ = ["LANGUAGES", "codes", "defaults", "fingerprint", "language", "number"]
