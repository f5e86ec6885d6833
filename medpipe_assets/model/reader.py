"""The model at work: a text in, its coded spans and ranked codes out.

A `Reader` is one language and one kind of code; `load` opens a model file and keeps its readers for the process.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from medpipe_assets.model import artefact, calibration, dictionary, trees
from medpipe_assets.model.candidates import Candidates, Codes, inside
from medpipe_assets.model.comparison import Told
from medpipe_assets.model.dictionary import Counts, Terms
from medpipe_assets.model.finding import Finders, Stands, TermStems
from medpipe_assets.model.knowledge import Entries, Meanings, Senses, Standing
from medpipe_assets.model.tagger import Mark, Tagger
from medpipe_assets.model.tokens import Integers, Tokens, Words

Arrays = Mapping[str, NDArray[Any]]


REMEMBERED: Final = 8
"""Texts whose readings are kept in memory."""
LEAST: Final = 0.005
"""Proposals less probable than this are not told."""


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
class Kept:
    """What a model's corpus counts; see finding.Counted."""

    of_rows: Counts
    of_bags: Counts
    met: Integers
    right: Integers
    share: NDArray[np.float32]

    def rows(self, terms: NDArray[np.intp]) -> Counts:
        return Counts(*(column[terms] for column in self.of_rows))

    def bags(self, terms: NDArray[np.intp]) -> Counts:
        return Counts(*(column[terms] for column in self.of_bags))

    def entries(self, entry: NDArray[np.intp], pair: NDArray[np.intp]) -> tuple[Integers, Integers]:
        return self.met[entry], self.right[pair]

    def prior(self) -> NDArray[np.float32]:
        return self.share


_TRUSTED: Final = ((0.7, "often"), (0.35, "at times"), (0.0, "seldom"))
"""How often a term is evidence where it stands, as a mark for the tagger."""


def marks_of(
    tokens: Tokens, matches: dictionary.Matches, counts: Counts, stand: Stands | None, finders: Finders
) -> list[Mark]:
    """What is known of a text beforehand, as marks for the tagger."""
    return [
        *_marks_of_terms(tokens, matches, counts),
        *(_marks_of_entries(tokens, stand.entries, finders) if stand else ()),
    ]


_NEAR: Final = 1
_LONG: Final = 3
"""Entries are marks where no more words stand between theirs; longer ones are told apart no further."""


def _marks_of_entries(tokens: Tokens, stand: Standing, finders: Finders) -> Iterator[Mark]:
    """The entries that stand in a text, the longest first, each by its length and the chapter of its first code."""
    known = finders.entries
    assert known is not None  # an entry stands only where there are entries
    size = known.begin[stand.entry + 1] - known.begin[stand.entry]
    letter = finders.codes.letter[known.pair_code[known.pair_begin[stand.entry]]]
    near = stand.gap <= _NEAR
    order = np.lexsort((stand.first, -stand.weight, -size))
    order = order[near[order]]
    columns = stand.first[order], stand.last[order], np.minimum(size, _LONG)[order], letter[order]
    taken: set[int] = set()
    for first, last, length, chapter in zip(*map(np.ndarray.tolist, columns), strict=True):
        places = range(first, last + 1)
        if taken.isdisjoint(places):
            taken.update(places)
            begin, end = int(tokens.begin[first]), int(tokens.end[last])
            yield begin, end, f"length {length}"
            yield begin, end, f"chapter {chapter}"


def _marks_of_terms(tokens: Tokens, matches: dictionary.Matches, counts: Counts) -> list[Mark]:
    """The dictionary's terms that stand in a row: the leftmost, then the longest."""
    precision = (counts.annotated + 0.3) / (np.maximum(counts.occurring, counts.annotated) + 1.0)
    order = np.lexsort((-matches.last, matches.first))
    marks: list[Mark] = []
    free_from = 0
    for i in order[counts.annotated[order] > 0].tolist():
        if matches.first[i] >= free_from:
            free_from = int(matches.last[i]) + 1
            begin, end = tokens.begin[tokens.content[matches.first[i]]], tokens.end[tokens.content[matches.last[i]]]
            marks.append((int(begin), int(end), next(name for least, name in _TRUSTED if precision[i] >= least)))
    return marks


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads texts of one language for one kind of code.

    Attributes:
        accepted: codes from this probability on give the best F1. sure: those from here on need no second look.
        latest: texts read lately with their readings.
    """

    finders: Finders
    counts: Kept
    tagger: Tagger | None
    ranker: trees.Forest
    curve: NDArray[np.float64]
    accepted: float
    sure: float
    latest: dict[str, Reading] = field(default_factory=dict, compare=False, repr=False)

    def read(self, text: str) -> Reading:
        """A text's proposals and codes. The latest texts' are remembered: what finds mentions also codes them."""
        known = self.latest.get(text)
        if known is None:
            while len(self.latest) >= REMEMBERED:
                self.latest.pop(next(iter(self.latest)))
            known = self.latest[text] = self._read(text)
        return known

    def _read(self, text: str) -> Reading:
        if self.finders.words.full():
            self.finders.words.clear()
        tokens = self.finders.words.read(text)
        if not len(tokens.content):
            return Reading((), ())
        found = self.candidates(tokens)
        if not len(found.code):
            return Reading((), ())
        probability = calibration.probability(self.curve, self.ranker.log_odds(found.features))
        return reading(tokens, found, probability, self.finders.codes)

    def candidates(self, tokens: Tokens) -> Candidates:
        """A text's candidates, as the ranker sees them."""
        matches = self.finders.matches(tokens)
        stand = self.finders.standing(tokens)
        told = None
        if self.tagger is not None:
            marks = marks_of(tokens, matches[0], self.counts.rows(matches[0].term), stand, self.finders)
            told = inside(tokens, self.tagger.tag(tokens.text, marks))
        return self.finders.candidates(tokens, told, self.counts, matches, stand)


def reading(tokens: Tokens, found: Candidates, probability: NDArray[np.float64], codes: Codes) -> Reading:
    """Candidates with their probabilities as proposals and codes; a code is as probable as its best span."""
    best = np.zeros(len(codes.code))
    np.maximum.at(best, found.code, probability)
    told = np.unique(found.code)
    ranked = told[np.lexsort((told, -best[told]))]  # codes are numbered in their own order
    begin, end = tokens.begin[found.first], tokens.end[found.last]
    likely = np.flatnonzero(probability >= LEAST)
    order = likely[np.lexsort((found.code[likely], -probability[likely], end[likely], begin[likely]))]
    columns = begin[order].tolist(), end[order].tolist(), found.code[order].tolist(), probability[order].tolist()
    proposals = tuple(Proposal(b, e, codes.code[code], p) for b, e, code, p in zip(*columns, strict=True))
    return Reading(proposals, tuple((codes.code[code], float(best[code])) for code in ranked.tolist()))


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

    (rows, of_rows), (bags, of_bags) = kept_terms(part("rows")), kept_terms(part("bags"))
    names = arrays["code"].tobytes().decode().split("\n")
    told = part("told")
    codes = codes_of(names, arrays["code_documents"], settings["documents"], Told(**told) if told else None)
    stems, known = part("terms"), part("entries")
    entries = Entries(**{name: a for name, a in known.items() if name not in ("met", "right")}) if known else None
    finders = Finders(
        words=words,
        rows=rows,
        bags=bags,
        codes=codes,
        terms=TermStems(stems["stem"], stems["idf"], _sparse(stems)),
        entries=entries,
        matrix=entries.matrix() if entries else None,
        meanings=Meanings(words, Senses(words.language, **part("senses"))) if entries else None,
    )
    none = np.zeros(0, np.int32)
    share = (codes.documents / codes.corpus).astype(np.float32)
    return Reader(
        finders=finders,
        counts=Kept(of_rows, of_bags, known.get("met", none), known.get("right", none), share),
        tagger=Tagger.from_bytes(arrays["tagger"].tobytes()) if "tagger" in arrays else None,
        ranker=trees.Forest(**part("ranker")),
        curve=arrays["curve"],
        accepted=settings["accepted"],
        sure=settings["sure"],
    )


def _sparse(arrays: Arrays) -> sparse.csr_array:
    shape = tuple(arrays["shape"].tolist())
    return sparse.csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)


def terms_kept(known: Terms, counts: Counts) -> dict[str, NDArray[Any]]:
    """Terms as they are kept in a file; `kept_terms` reads them back."""
    return {"key": known.key, "size": known.size, **counts._asdict()}


def kept_terms(arrays: Arrays) -> tuple[Terms, Counts]:
    """What `terms_kept` kept."""
    known = dictionary.terms(arrays["key"], arrays["size"])
    return known, Counts(*(arrays[name] for name in Counts._fields))


def codes_of(code: Sequence[str], documents: NDArray[np.int32], corpus: int, told: Told | None = None) -> Codes:
    """A corpus's codes with what follows from their characters."""
    categories = {name: i for i, name in enumerate(sorted({c[:3] for c in code}))}
    return Codes(
        code=tuple(code),
        category=np.array([categories[c[:3]] for c in code], np.int32),
        length=np.array([len(c) for c in code], np.int32),
        letter=np.array([ord(c[0]) for c in code], np.int32),
        documents=documents,
        corpus=corpus,
        told=told,
    )
