"""From words of one language to those of another, learnt from the corpus's own translations and from its codes' titles.

A corpus in CodiEsp's layout has every text in English too, a sentence a line. Sentences are paired by their lengths
(Gale and Church 1993, in essence), and IBM's model 1 (Brown et al. 1993) learns which stems translate which. Words that
it never saw are looked up by a skeleton that Graeco-Latin words of both languages share.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

Pair = tuple[Sequence[str], Sequence[str]]

_ROUNDS: Final = 6
_SMOOTHING: Final = 0.2
"""Added to what a word translates into in all: rare words are believed less."""
LEAST: Final = 0.12
MEANINGS: Final = 4
"""Translations kept of a word: so many, each at least this probable."""
_LONGEST: Final = 80
_SWAPS: Final = (
    ("ph", "f"), ("th", "t"), ("rh", "r"), ("ch", "c"), ("qu", "c"), ("k", "c"), ("y", "i"), ("ae", "e"), ("oe", "e"),
    ("z", "c"), ("x", "s"), ("w", "v"), ("ce", "se"), ("ci", "si"), ("h", ""), ("imm", "inm"), ("sc", "s"),
    ("mf", "nf"),
)  # fmt: skip
_ENDINGS: Final = tuple(
    (re.compile(f"(?:{ending})$"), short)
    for ending, short in (
        ("aciones|acion|ations|ation", "at"), ("iones|ion|ions", "i"), ("idades|idad|ities|ity", "it"),
        ("osis|oses", "os"), ("itis|itides", "it"), ("icos|icas|ico|ica|ical|ic|ics", "ic"),
        ("osos|osas|oso|osa|ous", "os"), ("mente|ly", ""), ("ias|ia|ies|ie|i", ""), ("emas|ema|emata|em", "em"),
        ("omas|oma|omata", "om"), ("ales|al|als", "al"), ("ares|ar|ary|arios|arias|ario|aria", "ar"),
        ("ivos|ivas|ivo|iva|ive", "iv"), ("antes|ante|ant|entes|ente|ent", "nt"), ("ados|adas|ado|ada|ated|ate", "at"),
        ("es|as|os|e|a|o|s|um|us", ""),
    )
)  # fmt: skip
_DOUBLED: Final = re.compile(r"(.)\1")
_ESPECIAL: Final = re.compile(r"^es(?=[ptc])")


def skeleton(word: str) -> str:
    """What a Graeco-Latin word has in common with its cognates: 'hepatomegalia' and 'hepatomegaly' share theirs.

    Args:
        word: folded (lower case, no accents).
    """
    for letters, plain in _SWAPS:
        word = word.replace(letters, plain)
    word = _DOUBLED.sub(r"\1", _ESPECIAL.sub("s", word))
    for ending, short in _ENDINGS:
        cut = ending.sub(short, word)
        if cut != word and len(cut) >= 3:
            return cut
    return word


def sentence_pairs(left: Sequence[str], right: Sequence[str]) -> list[tuple[str, str]]:
    """Sentences of a text with those of its translation, by their lengths; none where these tell nothing.

    As many on both sides are paired one by one; else one or two with one or two, or one is left out.
    """
    if len(left) == len(right):
        return list(zip(left, right, strict=True))
    if not left or not right:
        return []
    came = _paths([len(s) + 1 for s in left], [len(s) + 1 for s in right])
    pairs = []
    at = len(left), len(right)
    while at != (0, 0):
        if at not in came:
            return []
        before = came[at]
        if at[0] > before[0] and at[1] > before[1]:
            pairs.append((" ".join(left[before[0] : at[0]]), " ".join(right[before[1] : at[1]])))
        at = before
    return pairs[::-1]


_STEPS: Final = ((1, 1, 0.0), (1, 0, 4.0), (0, 1, 4.0), (2, 1, 1.5), (1, 2, 1.5))
"""How many sentences of both sides belong together, and what it costs to think so."""
_BAND: Final = 25
"""Sentences by which a translation may be ahead or behind."""


def _paths(left: Sequence[int], right: Sequence[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """The cheapest way to pair sentences of these lengths: from where each place (sentences so far) is reached."""
    n, m = len(left), len(right)
    ratio = sum(right) / sum(left)
    cost = {(0, 0): 0.0}
    came: dict[tuple[int, int], tuple[int, int]] = {}
    places = ((i, j) for i in range(n + 1) for j in range(max(0, i * m // n - _BAND), min(m, i * m // n + _BAND) + 1))
    for i, j in places:
        if (i, j) not in cost:
            continue
        for down, across, extra in _STEPS:
            to = i + down, j + across
            wanted, there = sum(left[i : to[0]]) * ratio, sum(right[j : to[1]])
            total = cost[i, j] + extra + abs(wanted - there) / (wanted + there + 1) ** 0.5
            if to[0] <= n and to[1] <= m and total < cost.get(to, float("inf")):
                cost[to], came[to] = total, (i, j)
    return came


def translations(pairs: Iterable[Pair]) -> dict[str, dict[str, float]]:
    """IBM's model 1: for each stem on the left, its MEANINGS likeliest stems on the right, with probabilities."""
    left: dict[str, int] = {}
    right: dict[str, int] = {}
    sources: list[int] = []
    targets: list[int] = []
    places: list[int] = []
    place = 0
    for source, target in pairs:
        here = sorted({left.setdefault(word, len(left)) for word in source})
        if not here or len(here) > _LONGEST:
            continue
        for word in target:
            sources += here
            targets += [right.setdefault(word, len(right))] * len(here)
            places += [place] * len(here)
            place += 1
    if not place:
        return {}
    keys = np.array(sources, np.int64) * len(right) + np.array(targets, np.int64)
    unique, inverse = np.unique(keys, return_inverse=True)
    owner, group = unique // len(right), np.array(places)
    share = np.ones(len(unique))
    for _ in range(_ROUNDS):
        each = share[inverse]
        each /= np.bincount(group, each, place)[group]
        count = np.bincount(inverse, each, len(unique))
        share = count / (np.bincount(owner, count, len(left))[owner] + _SMOOTHING)
    words, meanings = list(left), list(right)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for i in np.flatnonzero(share >= LEAST):
        found[words[int(owner[i])]][meanings[int(unique[i]) % len(right)]] = float(share[i])
    return {word: dict(Counter(told).most_common(MEANINGS)) for word, told in found.items()}


def merged(tables: Iterable[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Several tables as one; where they tell the same, the higher probability."""
    whole: dict[str, dict[str, float]] = defaultdict(dict)
    for table in tables:
        for word, told in table.items():
            for meaning, probability in told.items():
                whole[word][meaning] = max(probability, whole[word].get(meaning, 0.0))
    return dict(whole)
