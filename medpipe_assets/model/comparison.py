"""What a candidate is worth beside its code's title, beside its code's other spans, and beside its rivals.

The candidates of a text are judged one by one; here each is told of the others. No finder, no counts.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.model.ranges import ranges
from medpipe_assets.model.tokens import Integers, Tokens, Words

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

_TITLE: Final = ("title_named", "span_explained", "title_size", "unspecified", "other", "leaf", "side")
_BEST: Final = ("gold", "entry_precision", "like_term", "like_entry", "least_inside")
"""Features whose highest value over all spans of its code a candidate is told."""
_BESIDE: Final = ("category_like_term", "category_like_entry", "category_precision", "rival")
FEATURES: Final = (*_TITLE, *(f"best_{name}" for name in _BEST), *_BESIDE)
_SURE: Final = 0.2
"""A word names a feature of a title from this weight on."""
_MISSING: Final = -1.0
_AHEAD: Final = 5
_BEHIND: Final = 2
"""Tokens behind and before a span in which a side is looked for."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the code set says of codes, by number.

    Attributes:
        title_begin, title_member: the features of each title (see knowledge), from its `begin` to the next one's.
        unspecified, other, leaf: what the title says, and whether the set divides the code no further.
        side: 1 right, 2 left, 3 both, 0 none. sided: whether a neighbour of the code has a side.
    """

    title_begin: Integers
    title_member: Integers
    unspecified: NDArray[np.int8]
    other: NDArray[np.int8]
    leaf: NDArray[np.int8]
    side: NDArray[np.int8]
    sided: NDArray[np.int8]


class Standing(NamedTuple):
    """What a text's content tokens stand for (place among them, feature, weight), by place; and features' weights."""

    place: Places
    feature: Integers
    weight: Floats
    idf: Floats


def compared(
    tokens: Tokens, words: Words, told: Told | None, stands: Standing | None,
    first: Places, last: Places, span: Places, code: Integers, category: Integers, known: dict[str, Floats],
) -> Floats:  # fmt: skip
    """FEATURES of candidates.

    Args:
        first, last, span, code: of each candidate; `span` numbers the spans. category: of each code.
        known: columns of other features.
    """
    found = np.full((len(FEATURES), len(code)), _MISSING, np.float32).T  # filled by columns
    named: dict[str, NDArray[Any]] = {f"best_{name}": _best(known[name], code) for name in _BEST}
    precision = np.maximum(known["gold"], known["entry_precision"])
    beside = ("like_term", known["like_term"]), ("like_entry", known["like_entry"]), ("precision", precision)
    for name, column in beside:
        named[f"category_{name}"] = _best_of_others(column, category[code], code)
    named["rival"] = _best_of_others(np.maximum(known["gold"], 0.9 * known["entry_precision"]), span, code)
    if told is not None and stands is not None and len(code):
        named |= _beside_title(tokens, told, stands, first, last, span, code)
        named["side"] = _side(tokens, words, told, first, last, code)
    for name, values in named.items():
        found[:, FEATURES.index(name)] = values
    return found


def _best(values: Floats, group: NDArray[Any]) -> Floats:
    """For each item the highest value of its group, a small number."""
    best: Floats = np.full(int(group.max(initial=-1)) + 1, _MISSING, np.float32)
    np.maximum.at(best, group, values)
    found: Floats = best[group]
    return found


def _best_of_others(values: Floats, group: NDArray[Any], item: NDArray[Any]) -> Floats:
    """For each row the highest value of its group's rows that belong to another item; _MISSING where none does.

    Groups and items are small numbers.
    """
    groups = int(group.max(initial=-1)) + 1
    top = np.full(groups, _MISSING, np.float32)
    np.maximum.at(top, group, values)
    leader = np.full(groups, -1)
    leads = values == top[group]
    leader[group[leads]] = item[leads]
    second = np.full(groups, _MISSING, np.float32)
    others = item != leader[group]
    np.maximum.at(second, group[others], values[others])
    best: Floats = np.where(others, top[group], second[group])
    return best


def _beside_title(
    tokens: Tokens, told: Told, stands: Standing, first: Places, last: Places, span: Places, code: Integers
) -> dict[str, NDArray[Any]]:
    """How much of its code's title a span names, and how much of the span the title explains."""
    features = len(stands.idf)
    one = np.unique(span, return_index=True)[1]  # a candidate of each span
    sure = stands.weight >= _SURE
    place, feature, weight = (
        stands.place[sure],
        stands.feature[sure],
        stands.weight[sure] * stands.idf[stands.feature[sure]],
    )
    low, high = np.searchsorted(tokens.content, first[one]), np.searchsorted(tokens.content, last[one], side="right")
    begin = np.searchsorted(place, low)
    size = np.searchsorted(place, high) - begin
    at = ranges(begin, size)
    owner = np.repeat(np.arange(len(size)), size)
    key = owner * features + feature[at]
    order = np.argsort(key, kind="stable")
    key, token, worth = key[order], place[at][order], weight[at][order]
    # What each token of a span may be worth: its weightiest feature.
    count = len(tokens.content)
    token_worth = np.zeros(len(size) * count, np.float32)
    np.maximum.at(token_worth, owner * count + place[at], weight[at])
    whole = np.bincount(np.arange(len(size)).repeat(count), token_worth, len(size))
    members = told.title_begin[code + 1] - told.title_begin[code]
    candidate = np.repeat(np.arange(len(code)), members)
    member = told.title_member[ranges(told.title_begin[code], members)]
    idf = stands.idf[member]
    wanted = span[candidate] * features + member
    where = np.minimum(np.searchsorted(key, wanted), max(0, len(key) - 1))
    hit = key[where] == wanted if len(key) else np.zeros(len(wanted), bool)
    title = np.bincount(candidate, idf, len(code))
    explained = np.zeros(len(code) * count, np.float32)
    np.maximum.at(explained, candidate[hit] * count + token[where[hit]], worth[where[hit]])
    share = explained.reshape(len(code), count).sum(axis=1)
    return {
        "title_named": np.bincount(candidate[hit], idf[hit], len(code)) / np.maximum(title, 1e-6),
        "span_explained": share / np.maximum(whole[span], 1e-6),
        "title_size": members,
        "unspecified": told.unspecified[code],
        "other": told.other[code],
        "leaf": told.leaf[code],
    }


def _side(tokens: Tokens, words: Words, told: Told, first: Places, last: Places, code: Integers) -> NDArray[np.int8]:
    """How the side that a span names, or that is named near it, agrees with the code's.

    For a code with a side: 1 it is the span's, 2 the one named near, 3 none is named, 4 another one is. For one
    whose neighbours have sides: 5 the span names one, 6 one is named near, 7 none. 0 for all others.
    """
    side = words.side.rows[tokens.word]
    at = np.append(np.flatnonzero(side), len(side) + _AHEAD + 1)
    known = np.append(side, 0)[np.minimum(at, len(side))]
    here = np.searchsorted(at, first)
    within = np.where(at[here] <= last, known[here], 0)
    ahead = np.searchsorted(at, last, side="right")
    near = np.where(at[ahead] - last <= _AHEAD, known[ahead], 0)
    before = np.maximum(here - 1, 0)
    close = (here > 0) & (first - at[before] <= _BEHIND)
    near = np.where((near == 0) & close, known[before], near)
    own = told.side[code]
    with_side = np.select([within == own, (within == 0) & (near == own), (within == 0) & (near == 0)], [1, 2, 3], 4)
    without = np.select([within > 0, near > 0], [5, 6], 7)
    return np.where(own > 0, with_side, np.where(told.sided[code] > 0, without, 0)).astype(np.int8)
