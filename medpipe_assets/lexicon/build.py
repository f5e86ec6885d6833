"""Compiles the lexicon, and keeps the compiled columns in the user's cache so that only the first use pays for it.

There is a file for each release of the code set and one a language, named for a fingerprint of everything that went
in: a changed list, an added release or Index, or a changed compiler gives another file, so that nothing stale is ever
read. They hold no patient data. Several processes may build at once (each writes its own file and renames it into
place); where the cache can't be written, the columns stay in memory. What to do with terms is in `lexicon`, what they
are in `terms`, how files are laid out in `columns`.
"""

import hashlib
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.lexicon import columns, releases, tabular, terms
from medpipe_assets.lexicon.columns import Columns, texts
from medpipe_assets.lexicon.concepts import concept, skeletons, wording
from medpipe_assets.lexicon.words import LANGUAGES, spans

CODE_VERSION: Final = "12"
"""Raise it when this package would compile the same lists into something else."""

_OWN_LISTS: Final = ("conditions.tsv", "abbreviations.tsv", "not_conditions.tsv", "words.tsv")
_LONGEST: Final = 8
"""Words that count in a term. Longer wordings of the tabular list never stand in a note as such."""
_CODES: Final = 5
"""Codes kept a term."""

_KEPT_SECONDS: Final = 30 * 24 * 3600

Bag = tuple[str, ...]


class _Meaning(NamedTuple):
    """What a bag of concepts means: its best wording, its codes best first, and the place of its best kind in KINDS."""

    wording: str
    codes: list[str]
    kind: int


def fingerprint() -> str:
    """Short hash of all releases, the Index, our own lists and the compiler's version."""
    return _fingerprint(releases.releases(), releases.index())


@cache
def _fingerprint(known: tuple[releases.Release, ...], index: Path | None) -> str:
    digest = hashlib.sha256(CODE_VERSION.encode())
    for release in known:  # a release never changes: its day and size tell it from any other
        digest.update(f" {release.effective} {release.file.stat().st_size}".encode())
    for path in (*([index] if index else []), *(terms.FILES / name for name in _OWN_LISTS)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def codes(release: str) -> Columns:
    """The code table of a release: columns of its rows, in the tabular list's order, and of its rules.

    Of rows: code, title, parent (place of a row; -1 for a category), end (place behind the last row below it), leaf (0
    or 1), seventh (place in about['meanings'], the distinct sets of seventh characters; -1 for none), default (place
    of the row that stands for this one where nothing more is said: itself for a leaf, its 'unspecified' descendant
    where it has one). `sorted` and `order` are the codes in alphabetical order and their places.

    Of the targets of rules: rule.kind (place in tabular.KINDS), rule.group (the rule it belongs to), rule.begin and
    rule.end (places of the rows it holds for), rule.low and rule.high (places of the rows it names; -1 for none).
    """
    found = next(known for known in releases.releases() if known.effective == release)
    return _kept(f"codes-{release}", lambda: _compiled_codes(_read(found)))


def language(code: str) -> Columns:
    """The terms of a language, and the English ones, which its words lead to as well; its own overrule them.

    Columns: number (see `number`; ascending), term (concepts in their usual order, joined by spaces), codes (best
    first, joined by spaces), kind (place in KINDS), and known (the numbers of all concepts of terms, ascending). About:
    exact (see `_exact`) and led (see `_led`) as pairs with the number first, longest (words of a term), cognates
    (concepts by skeleton) and abbreviations as {surface: [code, ambiguous]}.
    """
    return _kept(code, lambda: _compiled_language(code))


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medpipe" / "lexicon"


def _kept(name: str, build: Callable[[], Columns]) -> Columns:
    path: Path | None = None
    with suppress(OSError, ValueError, KeyError, RuntimeError):  # no home folder, not there, damaged: build it
        path = _cache_folder() / f"{name}-{fingerprint()}.columns"
        return columns.opened(path)
    built = build()
    if path is not None:
        with suppress(OSError):
            columns.write(path, built)
            _tidy(path.parent)
    return built


def _tidy(folder: Path) -> None:
    """Remove what was compiled from other lists long ago. Whoever still reads it keeps it, or compiles it again."""
    for path in folder.iterdir():
        if fingerprint() not in path.name and path.stat().st_mtime < time.time() - _KEPT_SECONDS:
            path.unlink()


@cache
def _read(release: releases.Release) -> tabular.CodeSet:
    return tabular.read(release.file, release.confirmed)


def _compiled_codes(code_set: tabular.CodeSet) -> Columns:
    rows = code_set.rows
    places = {row.code: place for place, row in enumerate(rows)}
    ends = _ends(rows, places)
    default = defaults(rows)
    meanings: list[dict[str, str]] = []
    for row in rows:
        if row.seventh and row.seventh not in meanings:
            meanings.append(row.seventh)
    written = np.array([row.code for row in rows], "S8")
    order = np.argsort(written, kind="stable")
    arrays = {
        **texts("code", (row.code for row in rows)),
        **texts("title", (row.title for row in rows)),
        "parent": np.array([places.get(row.parent, -1) for row in rows], np.int32),
        "end": np.array(ends, np.int32),
        "leaf": np.array([row.leaf for row in rows], np.uint8),
        "default": np.array([places[default[row.code]] for row in rows], np.int32),
        "seventh": np.array([meanings.index(row.seventh) if row.seventh else -1 for row in rows], np.int16),
        "sorted": written[order],
        "order": order.astype(np.int32),
        **_compiled_rules(code_set.rules, places, ends),
    }
    return Columns({"meanings": meanings}, arrays)


def _ends(rows: Sequence[tabular.Row], places: Mapping[str, int]) -> list[int]:
    """For each row the place behind the last one below it."""
    ends = list(range(1, len(rows) + 1))
    for place in range(len(rows) - 1, -1, -1):
        above = places.get(rows[place].parent)
        if above is not None:
            ends[above] = max(ends[above], ends[place])
    return ends


def _compiled_rules(
    rules: Iterable[tabular.Rule], places: Mapping[str, int], ends: Sequence[int]
) -> dict[str, NDArray[Any]]:
    found: list[tuple[int, ...]] = []
    for group, rule in enumerate(rules):
        ranges = [(places[low], ends[places[high]]) for low, high in rule.targets if low in places and high in places]
        for target in ranges or ([] if rule.targets else [(-1, -1)]):
            found.append((tabular.KINDS.index(rule.kind), group, places[rule.first], places[rule.last] + 1, *target))
    names = ("kind", "group", "begin", "end", "low", "high")
    by_column = np.array(found, np.int32).reshape(-1, len(names)).T
    return {f"rule.{name}": column.copy() for name, column in zip(names, by_column, strict=True)}


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


def _compiled_language(code: str) -> Columns:
    own = [term for term in terms.own() if term.language == code]
    english = None if code == "en" else language("en")
    cognates: dict[str, str] = {} if english is None else english.about["cognates"]
    read = cache(lambda word: concept(word, code, cognates))
    default = _defaults()
    refused = {_bag(text, read)[0] for text in terms.not_conditions(code)}
    known = own if english else [*own, *terms.of_tabular(newest_rows()), *terms.of_index(releases.index())]
    kept = {bag: meaning for bag, meaning in _ranked(known, read, default).items() if bag not in refused}
    shouted = {  # refused as a word ('hearing aids'), it still counts in capitals
        t.text: [default.get(t.code, t.code), True]
        for t in own
        if t.text.isupper() and _bag(t.text, read)[0] in refused
    }
    short = {a.text: [default.get(a.code, a.code), a.ambiguous] for a in terms.abbreviations() if a.language == code}
    about: dict[str, Any] = {
        "exact": _exact(own, read, default, kept),
        "led": _led(own, read, kept),
        "longest": max(map(len, kept), default=1),
        "cognates": cognates if english else skeletons(_by_frequency(kept)),
        "abbreviations": shouted | short,
    }
    meanings = {number(" ".join(bag)): meaning for bag, meaning in kept.items()}
    concepts = {number(name) for bag in kept for name in bag}
    if english is not None:
        about["led"] += [(n, leads) for n, leads in english.about["led"] if n not in meanings]
        meanings = _meanings(english) | meanings
        concepts |= set(english.arrays["known"].tolist())
        about["longest"] = max(about["longest"], english.about["longest"])
    return _columns(about, meanings, concepts)


def _columns(about: Mapping[str, Any], meanings: Mapping[int, _Meaning], concepts: Iterable[int]) -> Columns:
    ordered = sorted(meanings)
    arrays = {
        "number": np.array(ordered, np.uint64),
        **texts("term", (meanings[n].wording for n in ordered)),
        **texts("codes", (" ".join(meanings[n].codes) for n in ordered)),
        "kind": np.array([meanings[n].kind for n in ordered], np.uint8),
        "known": np.array(sorted(concepts), np.uint64),
    }
    return Columns(about, arrays)


def _meanings(compiled: Columns) -> dict[int, _Meaning]:
    """What `_columns` was given."""
    wordings, codes = compiled.texts("term"), compiled.texts("codes")
    numbers, kinds = compiled.arrays["number"].tolist(), compiled.arrays["kind"].tolist()
    return {n: _Meaning(wordings[i], codes[i].split(), kinds[i]) for i, n in enumerate(numbers)}


def newest_rows() -> list[tabular.Row]:
    """The newest release's rows; where it came as an order file, with the inclusion terms of the last tabular list."""
    known = [_read(release) for release in releases.releases()]
    with_notes = next((code_set for code_set in reversed(known) if code_set.rules), known[-1])
    if with_notes is known[-1]:
        return with_notes.rows
    noted = {row.code: row for row in with_notes.rows}
    return [
        replace(row, inclusions=noted[row.code].inclusions, includes=noted[row.code].includes)
        if row.code in noted
        else row
        for row in known[-1].rows
    ]


def _defaults() -> dict[str, str]:
    """`defaults` of the newest release."""
    table = codes(releases.releases()[-1].effective)
    written = table.texts("code").all()
    return {code: written[place] for code, place in zip(written, table.arrays["default"].tolist(), strict=True)}


def _bag(text: str, read: Callable[[str], str]) -> tuple[Bag, str]:
    """A wording's concepts, sorted, and in order joined by spaces."""
    found = [name for begin, end in spans(text) if (name := read(text[begin:end]))]
    wording = " ".join(found)
    return tuple(sorted(wording.split())), wording


def _by_frequency(bags: Iterable[Bag]) -> list[str]:
    return [name for name, _ in Counter(name for bag in bags for name in bag).most_common()]


def _ranked(known: Iterable[terms.Term], read: Callable[[str], str], default: Mapping[str, str]) -> dict[Bag, _Meaning]:
    """What each bag means. Our own list overrules the tabular list."""
    votes: dict[Bag, dict[str, tuple[int, int, str]]] = defaultdict(dict)
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
        ranked[bag] = _Meaning(wording, best, best_kind)
    return ranked


def _exact(
    own: Iterable[terms.Term],
    read: Callable[[str], str],
    default: Mapping[str, str],
    ranked: Mapping[Bag, _Meaning],
) -> list[tuple[int, dict[str, str]]]:
    """Our own terms whose concepts are those of another code's term: by the number of the bag, wording -> codes.

    Concepts merge what mostly means the same ('tumour' and 'mass'); where a code hangs on the very word, it decides.
    """
    found: dict[Bag, dict[str, str]] = defaultdict(dict)
    for term in own:
        bag, _ = _bag(term.text, read)
        code = default.get(term.code, term.code)
        if bag in ranked and (codes := ranked[bag].codes)[0] != code:
            best = [code, *(c for c in codes if c != code)][:_CODES]
            found[bag].setdefault(wording(term.text, term.language), " ".join(best))
    return [(number(" ".join(bag)), by) for bag, by in found.items()]


def _led(own: Iterable[terms.Term], read: Callable[[str], str], ranked: Container[Bag]) -> list[tuple[int, list[str]]]:
    """Terms that are one only behind a word that otherwise counts for nothing ('on dialysis'), by the number of their
    bag: the words that lead them, in lower case."""
    leads: dict[Bag, set[str]] = defaultdict(set)
    for term in own:
        bag, _ = _bag(term.text, read)
        if len(bag) == 1 and bag in ranked:
            first = term.text.split()[0].lower()
            leads[bag].add(first if " " in term.text and not read(first) else "")
    return [(number(" ".join(bag)), sorted(words)) for bag, words in leads.items() if "" not in words]


__all__ = ["LANGUAGES", "codes", "defaults", "fingerprint", "language", "number"]
