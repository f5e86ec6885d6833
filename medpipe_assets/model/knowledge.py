"""Knowledge of codes beside the corpus: titles, inclusion terms, index lines and own terms, met through their stems.

An entry is the set of stems of a wording, with its codes. Stems of both languages, the text's and English, are features
side by side; a word of the text stands for its own stem and for the English ones that it translates into. An entry
stands in a text where all its features stand near one another in a sentence; and a span of the text is compared with
all entries by the cosine of their weighted features.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from medpipe_assets.model import bridge
from medpipe_assets.model.ranges import ranges
from medpipe_assets.model.tokens import Grown, Integers, Numbers, Tokens, Words, number

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

LONGEST: Final = 6
"""Features of an entry that is looked for in texts; longer wordings never stand there as such."""
CODES: Final = 3
"""Codes of an entry."""
GAP: Final = 3
"""Words that count which may stand between those of an entry."""
SURE: Final = 0.25
"""A word stands for a feature of an entry from this weight on."""
COGNATE: Final = 0.8
"""Weight of an English stem that a word shares its skeleton with."""
_COGNATES: Final = 3
_SHORTEST_COGNATE: Final = 5

KINDS: Final = ("own", "abbreviation", "title", "unspecified", "inclusion", "index", "include", "vague", "native")
"""Where a wording comes from, most trusted first; 'native': a title in the text's language that a user brought."""


class Wording(NamedTuple):
    """Features of a wording, its code as the corpus writes it, and which of KINDS it is."""

    features: frozenset[str]
    code: str
    kind: int


def named(language: str, stem: str) -> str:
    """A stem as a feature."""
    return f"{language} {stem}"


@dataclass(frozen=True, slots=True)
class Senses:
    """What words of a language stand for.

    Attributes:
        feature: numbers of all features, ascending; a feature is known by its place among them.
        stem, skeleton: numbers of stems and of skeletons, ascending; what each stands for begins at `stem_begin`
            (and ends where the next begins) in `stem_feature`, with `stem_weight`; and so for skeletons.
    """

    language: str
    feature: Numbers
    stem: Numbers
    stem_begin: Integers
    stem_feature: Integers
    stem_weight: Floats
    skeleton: Numbers
    skeleton_begin: Integers
    skeleton_feature: Integers


def senses(
    language: str,
    table: Mapping[str, Mapping[str, float]],
    cognates: Mapping[str, Sequence[str]],
    features: Iterable[str],
) -> Senses:
    """Senses from a table of translations (stem -> English stem -> weight), cognates (skeleton -> English stems), and
    the features that entries have."""
    names = sorted(set(features), key=number)
    place = {name: i for i, name in enumerate(names)}
    stems = {
        stem: told
        for stem, english_stems in table.items()
        if (told := {place[named("en", e)]: w for e, w in english_stems.items() if named("en", e) in place})
    }
    ordered = sorted(stems, key=number)
    skeletons = sorted(cognates, key=number)
    bones = [[place[named("en", e)] for e in cognates[s][:_COGNATES] if named("en", e) in place] for s in skeletons]
    return Senses(
        language=language,
        feature=np.array([number(name) for name in names], np.uint64),
        stem=np.array([number(stem) for stem in ordered], np.uint64),
        stem_begin=_begins([len(stems[stem]) for stem in ordered]),
        stem_feature=np.array([f for stem in ordered for f in stems[stem]], np.int32),
        stem_weight=np.array([w for stem in ordered for w in stems[stem].values()], np.float32),
        skeleton=np.array([number(s) for s in skeletons], np.uint64),
        skeleton_begin=_begins([len(each) for each in bones]),
        skeleton_feature=np.array([f for each in bones for f in each], np.int32),
    )


def _begins(sizes: Sequence[int]) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries by number: the features and the codes of each, both from its `begin` to the next one's.

    Attributes:
        pair_entry, pair_code, pair_kind: an entry with one of its codes, by entry. An entry's first pair is at
            `pair_begin`.
        idf: weight of each feature.
        bags: entries that are looked for, grouped by their rarest feature; a feature's group begins at `bag_begin`.
    """

    begin: Integers
    member: Integers
    pair_begin: Integers
    pair_code: Integers
    pair_kind: Integers
    idf: Floats
    bag_begin: Integers
    bags: Integers

    def size(self) -> Integers:
        """Features of each entry."""
        return np.diff(self.begin).astype(np.int32)

    def matrix(self) -> sparse.csr_array:
        """Features by entries, each entry of length one."""
        size = self.size()
        weight = self.idf[self.member]
        owner = np.repeat(np.arange(len(size)), size)
        length = np.sqrt(np.bincount(owner, weight * weight, len(size)))
        values = (weight / length[owner]).astype(np.float32)
        shape = (len(self.idf), len(size))
        return sparse.csr_array((values, (self.member, owner)), shape=shape)


def entries(
    wordings: Iterable[Wording], features: Numbers, code: Mapping[str, int], seen: Mapping[str, int]
) -> Entries:
    """Entries from wordings.

    Args:
        code: number of each code.
        seen: in how many documents of the corpus each code is; of an entry's codes of one kind the commonest stay.
    """
    told: dict[frozenset[str], dict[str, int]] = defaultdict(dict)
    for wording in wordings:
        if wording.features:
            here = told[wording.features]
            here[wording.code] = min(wording.kind, here.get(wording.code, len(KINDS)))
    place = {int(n): i for i, n in enumerate(features)}
    members = [sorted(place[number(name)] for name in names) for names in told]
    order = sorted(range(len(members)), key=lambda i: members[i])
    codes = list(told.values())
    pairs = [
        sorted(codes[i].items(), key=lambda item: (item[1], -seen.get(item[0], 0), len(item[0]), item[0]))[:CODES]
        for i in order
    ]
    members = [members[i] for i in order]
    frequency = Counter(feature for each in members for feature in each)
    idf = np.array([np.log((len(members) + 1) / (frequency[i] + 0.5)) for i in range(len(features))], np.float32)
    groups: dict[int, list[int]] = defaultdict(list)
    for i, each in enumerate(members):
        if len(each) <= LONGEST:
            groups[min(each, key=lambda feature: (frequency[feature], feature))].append(i)
    return Entries(
        begin=_begins([len(each) for each in members]),
        member=np.array([feature for each in members for feature in each], np.int32),
        pair_begin=_begins([len(each) for each in pairs]),
        pair_code=np.array([code[name] for each in pairs for name, _ in each], np.int32),
        pair_kind=np.array([kind for each in pairs for _, kind in each], np.int32),
        idf=idf,
        bag_begin=_begins([len(groups[i]) for i in range(len(features))]),
        bags=np.array([bag for i in range(len(features)) for bag in groups[i]], np.int32),
    )


class Standing(NamedTuple):
    """Entries that stand in a text: which, first and last token, weight of the weakest word, words between."""

    entry: Places
    first: Places
    last: Places
    weight: Floats
    gap: Places


class Meanings:
    """What each word met so far stands for, by its row in `Words`."""

    def __init__(self, words: Words, senses: Senses) -> None:
        self._words, self._senses = words, senses
        self._known = _Places(senses)
        self._clear()

    def _clear(self) -> None:
        self._beginnings = self._words.beginnings
        self._begin, self._feature, self._weight = Grown(np.int64), Grown(np.int32), Grown(np.float32)
        self._begin.append(0)

    def of(self, rows: Integers) -> tuple[Places, Integers, Floats]:
        """For words by row: their features as (place in `rows`, feature, weight)."""
        words = self._words
        if self._beginnings != words.beginnings:
            self._clear()
        for row in range(len(self._begin) - 1, len(words.written)):
            if words.content.rows[row]:
                for feature, weight in self._known.of(
                    words.folded[row], int(words.stem.rows[row]), words.stems[row]
                ).items():
                    self._feature.append(feature)
                    self._weight.append(weight)
            self._begin.append(len(self._feature))
        begin = self._begin.rows[rows]
        size = self._begin.rows[rows + 1] - begin
        at = ranges(begin, size)
        return np.repeat(np.arange(len(rows)), size), self._feature.rows[at], self._weight.rows[at]


class _Places:
    """Senses by number, to be asked word by word."""

    def __init__(self, senses: Senses) -> None:
        self._senses = senses
        self._feature, self._stem, self._skeleton = (
            {number: i for i, number in enumerate(column.tolist())}
            for column in (senses.feature, senses.stem, senses.skeleton)
        )

    def of(self, folded: str, stem_number: int, stem: str) -> dict[int, float]:
        """The features of a word, with weights."""
        senses, found = self._senses, {}
        own = self._feature.get(number(named(senses.language, stem)))
        if own is not None:
            found[own] = 1.0
        at = self._stem.get(stem_number)
        if at is not None:
            told = slice(senses.stem_begin[at], senses.stem_begin[at + 1])
            found |= dict(zip(senses.stem_feature[told].tolist(), senses.stem_weight[told].tolist(), strict=True))
        if len(folded) >= _SHORTEST_COGNATE and len(self._skeleton):
            at = self._skeleton.get(number(bridge.skeleton(folded)))
            if at is not None:
                for feature in senses.skeleton_feature[
                    senses.skeleton_begin[at] : senses.skeleton_begin[at + 1]
                ].tolist():
                    found[feature] = max(COGNATE, found.get(feature, 0.0))
        return found


def standing(known: Entries, tokens: Tokens, place: Places, feature: Integers, weight: Floats) -> Standing:
    """The entries that stand in a text.

    Args:
        place, feature, weight: what its content tokens stand for, see `Meanings.of`.
    """
    sure = weight >= SURE
    place, feature, weight = place[sure], feature[sure], weight[sure]
    sentence = tokens.sentence[tokens.content][place]
    # A feature's sentences as bits (those of a long text share bits, which costs a closer look and nothing else).
    bits = np.zeros(len(known.idf), np.uint64)
    np.bitwise_or.at(bits, feature, np.uint64(1) << (sentence % 64).astype(np.uint64))
    here = np.unique(feature)
    sizes = known.bag_begin[here + 1] - known.bag_begin[here]
    bags = known.bags[ranges(known.bag_begin[here], sizes)]
    size = known.begin[bags + 1] - known.begin[bags]
    begin = known.begin[bags]
    common = bits[known.member[begin]]
    for i in range(1, LONGEST):  # few entries have even two of their words in one sentence
        common &= bits[known.member[begin + np.minimum(i, size - 1)]]
        left = np.flatnonzero(common)
        bags, size, begin, common = bags[left], size[left], begin[left], common[left]
    where: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for p, f, w in zip(place.tolist(), feature.tolist(), weight.tolist(), strict=True):
        where[f].append((p, w))
    sentences = tokens.sentence[tokens.content].tolist()
    found: list[tuple[int, int, int, float, int]] = []
    for bag, at, count, member in zip(*map(np.ndarray.tolist, (bags, begin, size, known.member[begin])), strict=True):
        if count == 1:
            found += [(bag, p, p, w, 0) for p, w in where[member]]
        else:
            members = known.member[at : at + count].tolist()
            found += [(bag, *each) for each in _near([where[m] for m in members], sentences)]
    if not found:
        none = np.zeros(0, np.intp)
        return Standing(none, none, none, np.zeros(0, np.float32), none)
    entry, first, last, weakest, gap = zip(*found, strict=True)
    return Standing(
        np.array(entry), tokens.content[list(first)], tokens.content[list(last)],
        np.array(weakest, np.float32), np.array(gap),
    )  # fmt: skip


def _near(places: list[list[tuple[int, float]]], sentences: Sequence[int]) -> Iterable[tuple[int, int, float, int]]:
    """Where words of all members, of several, stand together: first and last place, weakest weight, words between."""
    lead = min(range(len(places)), key=lambda i: len(places[i]))
    reach = len(places) + GAP
    seen: set[tuple[int, int]] = set()
    for p, w in places[lead]:
        first = last = p
        weakest = w
        for i, others in enumerate(places):
            if i == lead:
                continue
            q, v = min(others, key=lambda other: (abs(other[0] - p), -other[1]))
            if abs(q - p) >= reach:
                break
            first, last, weakest = min(first, q), max(last, q), min(weakest, v)
        else:
            gap = last - first + 1 - len(places)
            if gap <= GAP and sentences[first] == sentences[last] and (first, last) not in seen:
                seen.add((first, last))
                yield first, last, weakest, gap


def kept(parts: Any) -> dict[str, NDArray[Any]]:
    """Senses or entries as they are kept in a file."""
    return {name: array for name in parts.__dataclass_fields__ if not isinstance(array := getattr(parts, name), str)}
