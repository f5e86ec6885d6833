"""The mention tagger: a linear-chain conditional random field over the words of a text, in whatever language.

Belongs here: words of a text and their features, training, the tagger's bytes, and the probability of every span. Does
not belong here: what the corpus looks like, and which spans are worth a code.

CRFsuite (Okazaki 2007) estimates the weights; reading a text is ours, for two reasons. Every feature but the pairs
belongs to one word as seen from a place beside it, so the features of a spelling are summed once and kept: a text is a
few look-ups a word and a sum of rows. And the chain is cut at sentence ends, so that all sentences are computed side by
side, forward and backward, which gives each span its exact probability rather than one best labelling.
"""

import io
import re
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pycrfsuite
from numpy.typing import NDArray

from medpipe_assets.lexicon.normalise import normalise

Offsets = tuple[int, int]
Mark = tuple[int, int, str]
"""Begin, end (exclusive) and name of something already known of a stretch of text, such as a match of a lexicon."""

FORMAT: Final = 2
"""Version of the bytes; raise it with every change of the features or of their layout."""

LABELS: Final = ("O", "B", "I", "L", "U")
"""Outside; first, inner and last word of a mention; a mention of one word."""
_O, _B, _I, _L, _U = range(len(LABELS))
_FOLLOWS: Final = {_O: (_O, _B, _U), _B: (_I, _L), _I: (_I, _L), _L: (_O, _B, _U), _U: (_O, _B, _U)}

REACH: Final = 3
"""How many words to each side a word's label is told by."""
_PLACES: Final = range(-REACH, REACH + 1)

BOUNDARY: Final = ""
"""The word that stands between sentences, as no word of a text is; its label is O."""

FLOOR: Final = 0.05
"""Spans less probable than this are not reported."""

LONGEST: Final = 30
"""Words of the longest span that is considered."""

_PARAMETERS: Final = {"c1": 0.05, "c2": 0.2, "max_iterations": 120, "feature.minfreq": 2}
_REMEMBERED: Final = 100_000
"""How many spellings, or pairs of them, keep their rows before the table starts anew."""

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s\x00-\x1f\x7f]|_")
_SENTENCE_END = re.compile(r"(?<=[^\s.]{3})[.!?][\"')\]]*\s+(?=[^\sa-z])|\n\s*")
_SHAPES = ((re.compile(r"[A-ZÀ-ÖØ-Þ]"), "X"), (re.compile(r"[a-zß-öø-ÿ]"), "x"), (re.compile(r"\d"), "0"))
_RUN = re.compile(r"(.)\1+")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """A span of a text, offsets in code points, and the probability that it is a mention."""

    begin: int
    end: int
    probability: float


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text as the tagger sees it: where its words begin, how probably each is inside a mention, and begins one; and
    the spans of mentions."""

    begin: NDArray[np.int64]
    inside: NDArray[np.float64]
    begins: NDArray[np.float64]
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a text with a BOUNDARY before, between and after its sentences, and the marks on each word."""

    surfaces: list[str]
    places: list[Offsets]
    marks: list[list[str]]


def best(spans: Iterable[Span], threshold: float = 0.5) -> list[Span]:
    """The spans at least this probable that remain where several overlap: the most probable first; in order."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.probability, s.begin, s.end)):
        if span.probability >= threshold and all(span.end <= k.begin or k.end <= span.begin for k in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.begin)


class Tagger:
    """A trained tagger. Not safe to share between threads: it remembers the spellings it has seen."""

    def __init__(self, weights: Mapping[str, Sequence[float]], transitions: NDArray[np.float64]) -> None:
        """Take the weights of each attribute (see `_attributes`) by label, and those of label after label."""
        self._weights = {name: at for at, name in enumerate(weights)}
        nothing = [[0.0] * len(LABELS)]
        self._table = np.array([*weights.values(), *nothing], np.float32)  # the last row: an attribute unknown
        self._transitions = transitions
        names = sorted({_placed(name)[1] for name in weights if _is_placed(name)})
        self._names = {name: at for at, name in enumerate(names)}
        self._from_places = self._rows_of([f"{place}{name}" for name in names for place in _PLACES], len(_PLACES))
        pairs = sorted({name[1:] for name in weights if name[0] in _PAIR})
        self._pairs = {name: at for at, name in enumerate(pairs)}
        self._pair_table = self._rows_of([side + name for name in [*pairs, ""] for side in _PAIR], len(_PAIR))
        marks = sorted({name.partition(":")[2] for name in weights if name[0] == _MARK})
        self._marks = {name: at for at, name in enumerate(marks)}
        near = [f"{_MARK}{place}:{name}" for name in marks for place in _MARKED]
        self._mark_table = self._rows_of(near, len(_MARKED))
        self._forget()

    def _rows_of(self, attributes: Sequence[str], width: int) -> Floats:
        """The weights of attributes, `width` in a row."""
        rows = self._table[[self._weights.get(name, -1) for name in attributes]]
        return rows.reshape(-1, width, len(LABELS))

    @classmethod
    def train(
        cls,
        texts: Sequence[str],
        spans: Sequence[Iterable[Offsets]],
        marks: Sequence[Iterable[Mark]] | None = None,
        parameters: Mapping[str, float] = _PARAMETERS,
    ) -> "Tagger":
        """Learn from texts, the spans of their mentions and, where given, what else is known of them.

        Of spans that overlap the longest counts. Marks must be made as they will be for unseen texts: a lexicon that
        comes from the same mentions has to leave the text's own ones out, or the tagger trusts it too much. The same
        input gives the same tagger.
        """
        trainer = pycrfsuite.Trainer(algorithm="lbfgs", params=dict(parameters), verbose=False)
        for text, mentioned, known in zip(texts, spans, marks or [()] * len(texts), strict=True):
            words = _words(text, known)
            trainer.append(list(_features(words)), [LABELS[label] for label in _labels(words, mentioned)])
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "model"))
            trainer.train(path)
            learnt = pycrfsuite.Tagger()
            learnt.open(path)
            info = learnt.info()
            learnt.close()
        number = {label: at for at, label in enumerate(LABELS)}
        weights: dict[str, list[float]] = {}
        for (attribute, label), weight in info.state_features.items():
            weights.setdefault(attribute, [0.0] * len(LABELS))[number[label]] = weight
        transitions = np.zeros((len(LABELS), len(LABELS)))
        for (before, after), weight in info.transitions.items():
            transitions[number[before], number[after]] = weight
        return cls(weights, transitions)

    def find(self, text: str, marks: Iterable[Mark] = (), floor: float = FLOOR) -> list[Span]:
        """All spans of a text that are mentions with at least the floor's probability, by begin; they may overlap."""
        words = _words(text, marks)
        if len(words.surfaces) < 3:
            return []
        return sorted(_spans(words, *self._lattice(words), floor), key=lambda s: (s.begin, s.end))

    def tag(self, text: str, marks: Iterable[Mark] = (), floor: float = FLOOR) -> Tagged:
        """What `find` finds, and what is known of each word."""
        words = _words(text, marks)
        if len(words.surfaces) < 3:
            return Tagged(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), [])
        lattice, edges = self._lattice(words)
        shares = lattice.shares()
        begin = np.delete(np.array([begin for begin, _ in words.places]), edges)
        return Tagged(
            begin, 1 - shares[:, _O], shares[:, _B] + shares[:, _U], list(_spans(words, lattice, edges, floor))
        )

    def to_bytes(self) -> bytes:
        """The tagger as bytes that do not depend on when or where they were written."""
        names = sorted(self._weights)
        file = io.BytesIO()
        table = self._table[[self._weights[name] for name in names]].astype(np.float16)
        for part in (np.frombuffer("\0".join(names).encode(), np.uint8), table, self._transitions):
            np.save(file, part, allow_pickle=False)
        return bytes([FORMAT]) + file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Tagger":
        """The tagger that `to_bytes` wrote.

        Raises:
            ValueError: the bytes are of another version, or no tagger's.
        """
        if data[:1] != bytes([FORMAT]):
            raise ValueError(f"not a tagger of format {FORMAT}: build the model anew")
        file = io.BytesIO(data[1:])
        names, table, transitions = (np.load(file, allow_pickle=False) for _ in range(3))
        return cls(dict(zip(names.tobytes().decode().split("\0"), table, strict=True)), transitions)

    def _forget(self) -> None:
        self._rows: dict[str, int] = {}
        self._folded: list[str] = []
        self._met_pairs: dict[tuple[int, int], int] = {}
        self._seen = np.zeros((1024, len(_PLACES), len(LABELS)), np.float32)

    def _row(self, surface: str) -> int:
        """The row of a spelling in our table: its weights as seen from each place."""
        row = self._rows[surface] = len(self._rows)
        if row == len(self._seen):
            self._seen = np.concatenate([self._seen, np.zeros_like(self._seen)])
        self._folded.append(_folded(surface))
        known = [self._names[name] for name in _names(surface, 0) if name in self._names]
        self._seen[row] = self._from_places[known].sum(axis=0)
        return row

    def _met(self, first: int, second: int) -> int:
        """The row of a pair of spellings, by theirs, in the table of pairs."""
        row = self._pairs.get(f"{self._folded[first]} {self._folded[second]}", -1)
        self._met_pairs[first, second] = row
        return row

    def _emissions(self, words: _Words) -> Floats:
        """Weights of each label for each word, shape (words, labels)."""
        if len(self._rows) > _REMEMBERED:
            self._forget()
        if len(self._met_pairs) > _REMEMBERED:
            self._met_pairs.clear()
        surfaces, known = words.surfaces, self._met_pairs
        rows = map(self._rows.get, surfaces)
        at = [self._row(w) if row is None else row for w, row in zip(surfaces, rows, strict=True)]
        both = [self._met(*two) if (pair := known.get(two)) is None else pair for two in pairwise(at)]
        sums = np.zeros((len(surfaces), len(LABELS)), np.float32)
        seen = self._seen[at]
        for column, place in enumerate(_PLACES):
            there = seen[max(0, place) : len(sums) + min(0, place), column]
            sums[max(0, -place) : len(sums) - max(0, place)] += there
        beside = self._pair_table[both]
        sums[:-1] += beside[:, 0]
        sums[1:] += beside[:, 1]
        where = [(i, self._marks[mark]) for i, marks in enumerate(words.marks) for mark in marks if mark in self._marks]
        if where:
            places, row = (np.array(column) for column in zip(*where, strict=True))
            for column, beside_it in enumerate(_MARKED):
                told = places - beside_it
                inside = (told >= 0) & (told < len(sums))
                np.add.at(sums, told[inside], self._mark_table[row[inside], column])
        return sums

    def _lattice(self, words: _Words) -> "tuple[_Lattice, NDArray[np.int64]]":
        edges = np.array([i for i, word in enumerate(words.surfaces) if word == BOUNDARY])
        return _Lattice(self._emissions(words), edges, self._transitions), edges


def _spans(words: _Words, lattice: "_Lattice", edges: NDArray[np.int64], floor: float) -> Iterator[Span]:
    for sentence, first, last, probability in lattice.spans(floor):
        begin = edges[sentence] + 1
        yield Span(words.places[begin + first][0], words.places[begin + last][1], probability)


class _Lattice:
    """The label probabilities of all sentences of a text, side by side.

    Sentences are columns, words rows, shorter ones filled up with words that are surely O, as boundaries are.
    """

    def __init__(self, emissions: Floats, edges: NDArray[np.int64], transitions: NDArray[np.float64]) -> None:
        lengths = np.diff(edges) - 1
        rows = int(lengths.max(initial=0)) + 1
        self._allowed = np.zeros_like(transitions)
        for before, after in _FOLLOWS.items():
            self._allowed[before, after] = np.exp(transitions[before, after])
        place = edges[:-1] + 1 + np.arange(rows)[:, None]
        filled = self._filled = np.arange(rows)[:, None] < lengths
        scores = np.full((rows, len(lengths), len(LABELS)), -np.inf)
        scores[..., _O] = 0
        scores[filled] = emissions[place[filled]]
        self._potentials = np.exp(scores - scores.max(axis=2, keepdims=True))
        self._forward, self._backward = _both_ways(self._potentials, self._allowed)

    def shares(self) -> NDArray[np.float64]:
        """The probability of each label, shape (words, labels), of all sentences' words in order."""
        joint = self._forward * self._backward
        shares = joint / joint.sum(axis=2, keepdims=True)
        ordered: NDArray[np.float64] = shares.transpose(1, 0, 2)[self._filled.T]
        return ordered

    def spans(self, floor: float) -> Iterator[tuple[int, int, int, float]]:
        """Sentence, first word, last word and probability of each span at least as probable as the floor."""
        joint = self._forward * self._backward
        totals = joint.sum(axis=2)
        begins = joint / totals[..., None]
        for first, sentence in zip(*np.nonzero(begins[..., _U] >= floor), strict=True):
            yield int(sentence), int(first), int(first), float(begins[first, sentence, _U])
        for first, sentence in zip(*np.nonzero(begins[..., _B] >= floor), strict=True):
            for last, probability in self._longer(int(first), int(sentence), floor):
                yield int(sentence), int(first), last, probability

    def _longer(self, first: int, sentence: int, floor: float) -> Iterator[tuple[int, float]]:
        """The ends of the spans of several words that begin at a word, with their probabilities.

        `inside` is the probability that a mention begins there and goes on to this word; each step is the conditional
        probability of its label given the one before it and all of the text.
        """
        inside, label = self._share(first, sentence, _B), _B
        for last in range(first + 1, min(first + LONGEST, len(self._forward))):
            ahead = self._allowed[label] * self._potentials[last, sentence] * self._backward[last, sentence]
            ahead = inside * ahead / ahead.sum()
            if ahead[_L] >= floor:
                yield last, float(ahead[_L])
            inside, label = float(ahead[_I]), _I
            if inside < floor:
                return

    def _share(self, word: int, sentence: int, label: int) -> float:
        joint = self._forward[word, sentence] * self._backward[word, sentence]
        return float(joint[label] / joint.sum())


def _both_ways(
    potentials: NDArray[np.float64], allowed: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Forward and backward weights of each label, shape (words, sentences, labels) as the potentials; each word's are
    right but for a factor.

    Both recursions multiply by a matrix and by the potentials, one from the first word on, one from the last word back:
    they go side by side, as one of twice as many labels.
    """
    rows, sentences, labels = potentials.shape
    step = np.zeros((2 * labels, 2 * labels))
    step[:labels, :labels] = allowed
    step[labels:, labels:] = allowed.T
    both = np.concatenate([potentials, potentials[::-1]], axis=2)
    both[0, :, :labels] *= allowed[_O]
    for row in range(1, rows):
        both[row] *= both[row - 1] @ step
        if row % _SCALED == 0:
            halves = both[row].reshape(sentences, 2, labels)
            halves /= halves.sum(axis=2, keepdims=True)
    backward = np.ones_like(potentials)
    backward[:-1] = both[-2::-1, :, labels:] @ allowed.T
    return both[..., :labels], backward


_SCALED: Final = 4
"""Words after which weights are brought back to a sum of one: so few that none vanishes in between."""


def _words(text: str, marks: Iterable[Mark]) -> _Words:
    surfaces, places = [BOUNDARY], [(0, 0)]
    begin = 0
    for end in [*(m.end() for m in _SENTENCE_END.finditer(text)), len(text)]:
        found = [m.span() for m in _WORD.finditer(text, begin, end)]
        if found:
            surfaces += [text[b:e] for b, e in found]
            places += found
            surfaces.append(BOUNDARY)
            places.append((end, end))
        begin = end
    return _Words(surfaces, places, _marked(places, marks))


def _marked(places: Sequence[Offsets], marks: Iterable[Mark]) -> list[list[str]]:
    """The marks on each word, with a first letter that tells whether they begin there."""
    marked: list[list[str]] = [[] for _ in places]
    begins, ends = [begin for begin, _ in places], [end for _, end in places]
    for begin, end, name in marks:
        first = bisect_right(ends, begin)
        for i in range(first, bisect_left(begins, end)):
            if begins[i] < ends[i]:
                marked[i].append(("B" if i == first else "I") + name)
    return marked


def _labels(words: _Words, spans: Iterable[Offsets]) -> list[int]:
    labels = [_O] * len(words.places)
    for begin, end in sorted(spans, key=lambda span: (span[0] - span[1], span)):
        inside = [i for i, (b, e) in enumerate(words.places) if begin < e and b < end and b < e]
        if inside and all(labels[i] == _O for i in range(inside[0], inside[-1] + 1)):
            several = [_B, *[_I] * (inside[-1] - inside[0] - 1), _L]
            labels[inside[0] : inside[-1] + 1] = several if len(inside) > 1 else [_U]
    return labels


def _features(words: _Words) -> Iterator[list[str]]:
    """The attributes of each word, as CRFsuite reads them."""
    surfaces = words.surfaces
    for i in range(len(surfaces)):
        near = [
            a for place in _PLACES if 0 <= i + place < len(surfaces) for a in _attributes(surfaces[i + place], place)
        ]
        if i:
            near.append(_pair(surfaces[i - 1], surfaces[i])[1])
        if i + 1 < len(surfaces):
            near.append(_pair(surfaces[i], surfaces[i + 1])[0])
        yield [*near, *_mark_attributes(words.marks, i)]


@lru_cache(maxsize=200_000)
def _attributes(surface: str, place: int) -> tuple[str, ...]:
    """What the label of a word is told by a spelling that stands `place` words from it."""
    return tuple(f"{place}{name}" for name in _names(surface, place))


def _names(surface: str, place: int) -> Iterable[str]:
    """What there is to tell of a spelling from a place; from the word itself all there is."""
    word = _folded(surface)
    names = [f"w{word}"]
    if abs(place) <= 1:
        names += [f"s{_shape(surface)}", f"p{word[:3]}", f"p{word[:4]}", f"e{word[-3:]}", f"e{word[-4:]}"]
    if place == 0:
        names += ["", f"p{word[:2]}", f"p{word[:5]}", f"e{word[-2:]}", f"e{word[-5:]}"]
    return dict.fromkeys(names)


def _is_placed(attribute: str) -> bool:
    """Whether an attribute tells of a spelling, which begins with the place it is seen from."""
    return attribute[0] == "-" or attribute[0].isdigit()


def _placed(attribute: str) -> tuple[str, str]:
    """Place and name of an attribute that tells of a spelling."""
    sign = 2 if attribute[0] == "-" else 1
    return attribute[:sign], attribute[sign:]


@lru_cache(maxsize=20_000)
def _folded(surface: str) -> str:
    return normalise(surface).text or surface


_PAIR: Final = "<>"
"""How the attributes begin by which a pair of neighbours tells of its first word's label, and of its second's."""


def _pair(first: str, second: str) -> tuple[str, ...]:
    """What a pair of neighbours tells of its first and of its second word's label."""
    return tuple(f"{side}{_folded(first)} {_folded(second)}" for side in _PAIR)


_MARK: Final = "m"
_MARKED: Final = (-1, 0, 1)
"""From how many words away a word is told by a mark."""


def _mark_attributes(marks: Sequence[Sequence[str]], i: int) -> list[str]:
    """What the marks on a word and beside it tell of its label."""
    near = [(place, i + place) for place in _MARKED if 0 <= i + place < len(marks)]
    return [f"{_MARK}{place}:{mark}" for place, at in near for mark in marks[at]]


@lru_cache(maxsize=20_000)
def _shape(surface: str) -> str:
    for letters, sign in _SHAPES:
        surface = letters.sub(sign, surface)
    return _RUN.sub(r"\1", surface)
