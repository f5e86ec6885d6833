"""The model at work: a text in, its coded spans and ranked codes out.

A `Reader` is one language and one kind of code; `load` opens a model file and keeps its readers for the process.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.model import artefact, calibration, dictionary, trees
from medpipe_assets.model.candidates import Candidates, Codes, Found, candidates
from medpipe_assets.model.dictionary import Counts, Terms
from medpipe_assets.model.tokens import Tokens, Words

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A code that a span of the text may mean: offsets in code points, calibrated probability."""

    begin: int
    end: int
    code: str
    probability: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says. Proposals by place, then by falling probability; codes of the text, most probable first."""

    proposals: tuple[Proposal, ...]
    codes: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads texts of one language for one kind of code.

    Attributes:
        accepted: codes from this probability on give the best F1. sure: those from here on need no second look.
    """

    words: Words
    rows: tuple[Terms, Counts]
    bags: tuple[Terms, Counts]
    codes: Codes
    ranker: trees.Forest
    curve: NDArray[np.float64]
    accepted: float
    sure: float

    def read(self, text: str) -> Reading:
        """A text's proposals and codes."""
        if self.words.full():
            self.words.clear()
        tokens = self.words.read(text)
        found = self.candidates(tokens)
        if not len(found.code):
            return Reading((), ())
        probability = calibration.probability(self.curve, self.ranker.log_odds(found.features))
        return reading(tokens, found, probability, self.codes)

    def candidates(self, tokens: Tokens) -> Candidates:
        """A text's candidates, as the ranker sees them."""
        stems = self.words.stem.rows[tokens.word[tokens.content]]
        row = _found(*self.rows, dictionary.in_a_row(self.rows[0], stems, tokens))
        bag = _found(*self.bags, dictionary.scattered(self.bags[0], stems, tokens))
        prior = (self.codes.documents / self.codes.corpus).astype(np.float32)
        return candidates(tokens, self.words, row, bag, self.codes, prior)


def reading(tokens: Tokens, found: Candidates, probability: NDArray[np.float64], codes: Codes) -> Reading:
    """Candidates with their probabilities as proposals and codes; a code is as probable as its best span."""
    begin, end = tokens.begin[found.first], tokens.end[found.last]
    order = np.lexsort((-probability, end, begin))
    proposals: dict[tuple[int, int, int], Proposal] = {}
    best: dict[int, float] = {}
    for i in order:
        code, p = int(found.code[i]), float(probability[i])
        place = (int(begin[i]), int(end[i]), code)
        if place not in proposals:
            proposals[place] = Proposal(place[0], place[1], codes.code[code], p)
        best[code] = max(p, best.get(code, 0.0))
    ranked = sorted(best, key=lambda code: (-best[code], codes.code[code]))
    return Reading(tuple(proposals.values()), tuple((codes.code[code], best[code]) for code in ranked))


def _found(known: Terms, counts: Counts, matches: dictionary.Matches) -> Found:
    return Found(matches, Counts(*(column[matches.term] for column in counts)), known.size[matches.term])


def apart(proposals: Iterable[Proposal]) -> list[Proposal]:
    """The proposals that stay where spans overlap, one a span: the most probable first; in order."""
    kept: list[Proposal] = []
    for each in sorted(proposals, key=lambda p: (-p.probability, p.begin - p.end, p.begin)):
        if all(each.end <= other.begin or other.end <= each.begin for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda p: p.begin)


@dataclass(frozen=True, slots=True)
class Model:
    """An opened model: readers by language and kind of code."""

    readers: Mapping[tuple[str, str], Reader]
    about: Mapping[str, Any]
    fingerprint: str

    def reader(self, language: str, kind: str) -> Reader | None:
        """The reader for a language and a kind of code, where the model has one."""
        return self.readers.get((language, kind))


def load(path: str) -> Model | None:
    """The model at a path; None where there is no file. Kept for the process until the file changes.

    Raises:
        ConfigurationError: see `artefact.opened`.
    """
    try:
        seen = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _load(path, seen.st_mtime_ns, seen.st_size)


def version(path: str) -> str:
    """What a model adds to the version of an engine that uses it; '' where there is none."""
    model = load(path) if path else None
    return f".{model.fingerprint}" if model else ""


@lru_cache(maxsize=4)
def _load(path: str, _changed: int, _size: int) -> Model:
    opened = artefact.opened(Path(path))
    languages = {name: Words(name) for name in opened.about["languages"]}
    readers = {}
    for key, settings in opened.about["readers"].items():
        language, kind = key.split("/")
        readers[language, kind] = _reader(languages[language], settings, opened.part(key))
    return Model(readers, opened.about, opened.fingerprint)


def _reader(words: Words, settings: Mapping[str, Any], arrays: Arrays) -> Reader:
    def part(prefix: str) -> dict[str, NDArray[Any]]:
        return {n.removeprefix(f"{prefix}/"): a for n, a in arrays.items() if n.startswith(f"{prefix}/")}

    return Reader(
        words=words,
        rows=kept_terms(part("rows")),
        bags=kept_terms(part("bags")),
        codes=codes_of(settings["codes"], arrays["code_documents"], settings["documents"]),
        ranker=trees.forest(part("ranker")),
        curve=arrays["curve"],
        accepted=settings["accepted"],
        sure=settings["sure"],
    )


def terms_kept(known: Terms, counts: Counts) -> dict[str, NDArray[Any]]:
    """Terms as they are kept in a file; `kept_terms` reads them back."""
    return {"key": known.key, "size": known.size, **counts._asdict()}


def kept_terms(arrays: Arrays) -> tuple[Terms, Counts]:
    """What `terms_kept` kept."""
    known = dictionary.terms(arrays["key"], arrays["size"])
    return known, Counts(*(arrays[name] for name in Counts._fields))


def codes_of(code: list[str] | tuple[str, ...], documents: NDArray[np.int32], corpus: int) -> Codes:
    """A corpus's codes with what follows from their characters."""
    categories = {name: i for i, name in enumerate(sorted({c[:3] for c in code}))}
    return Codes(
        code=tuple(code),
        category=np.array([categories[c[:3]] for c in code], np.int32),
        length=np.array([len(c) for c in code], np.int32),
        letter=np.array([ord(c[0]) for c in code], np.int32),
        documents=documents,
        corpus=corpus,
    )
