"""Compiles the lexicon, and keeps the compiled artefact in the user's cache so that only the first use pays for it.

An artefact is plain JSON, one file for the code table and one a language, named for a fingerprint of everything that
went in: a changed list or a changed compiler gives another file, so that nothing stale is ever read. It holds no
patient data. Several processes may build at once (each writes its own file and renames it into place); where the cache
can't be written, the artefact stays in memory. What to do with terms is in `lexicon`, what they are in `terms`.
"""

import hashlib
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from medpipe_assets.lexicon import tabular, terms
from medpipe_assets.lexicon.words import LANGUAGES, normals

CODE_VERSION: Final = "1"
"""Raise it when this package would compile the same lists into something else."""

_OWN_LISTS: Final = ("conditions.tsv", "abbreviations.tsv", "not_conditions.tsv", "words.tsv")
_LONGEST: Final = 12
"""Words. Longer wordings of the tabular list never stand in a note as such."""


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
    """The terms of a language by columns: term (normal words joined by spaces), codes (best first, joined by spaces),
    kind (index into KINDS); and its abbreviations as {surface: [code, ambiguous]}."""
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
        likely = [c for c in children[row.code] if _says_nothing_more(c.title)]
        likely.sort(key=lambda c: "90".find(c.code[-1]) % 3)
        chosen[row.code] = row.code if row.leaf or not likely else chosen[likely[0].code]
    return chosen


def _says_nothing_more(title: str) -> bool:
    title = title.lower()
    return "unspecified" in title or title.endswith("without complications") or title.endswith(" nos")


def _compiled_language(code: str) -> dict[str, Any]:
    default = defaults(_rows())
    known = [term for term in terms.own() if term.language == code]
    if code == "en":
        known += terms.of_tabular(_rows())
    refused = {" ".join(normals(text, code)) for text in terms.not_conditions(code)}
    found = _ranked(known, code, default)
    kept = {term: ranked for term, ranked in found.items() if term not in refused}
    return {
        "term": list(kept),
        "codes": [" ".join(codes) for codes, _ in kept.values()],
        "kind": [kind for _, kind in kept.values()],
        "abbreviations": {
            a.text: [default.get(a.code, a.code), a.ambiguous] for a in terms.abbreviations() if a.language == code
        },
    }


def _ranked(known: Iterable[terms.Term], language: str, default: Mapping[str, str]) -> dict[str, tuple[list[str], int]]:
    """Normal term -> (codes, best first; index of its best kind). Our own list overrules the tabular list."""
    votes: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for order, term in enumerate(known):
        words = normals(term.text, language)
        text = " ".join(words)
        if not 0 < len(words) <= _LONGEST or len(text) < 3 or text.isdigit():
            continue
        code = default.get(term.code, term.code)
        place = (terms.KINDS.index(term.kind), order)
        votes[text][code] = min(place, votes[text].get(code, place))
    ranked = {}
    for text, codes in votes.items():
        best = sorted(codes, key=lambda c: codes[c])[:5]
        ranked[text] = (best, codes[best[0]][0])
    return ranked


__all__ = ["LANGUAGES", "codes", "defaults", "fingerprint", "language"]
