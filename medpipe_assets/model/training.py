"""Trains a model from a corpus: dictionary, ranker, calibration, thresholds; everything seeded, nothing kept but arrays.

A ranker may only see counts that leave out the document it learns from, and a calibration only log odds of documents
that the ranker did not see; both are seen to here.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.model import calibration, corpus, dictionary, trees
from medpipe_assets.model.candidates import Candidates, Codes, Found, candidates
from medpipe_assets.model.corpus import Document
from medpipe_assets.model.dictionary import Counting, Counts, Matches, Terms
from medpipe_assets.model.reader import codes_of, terms_kept
from medpipe_assets.model.tokens import Tokens, Words

VERSION: Final = 1
"""Raise it when the same corpus would give another model."""
FOLDS: Final = 5
SURE_PRECISION: Final = 0.925
"""Precision wanted of codes that nobody looks at again; a little more than 0.92, since a threshold is an estimate."""
_RANKER: Final = {
    "max_iter": 200,
    "learning_rate": 0.05,
    "max_leaf_nodes": 16,
    "min_samples_leaf": 40,
    "l2_regularization": 3.0,
}

Progress = Callable[[str], None]


class _Learnt(NamedTuple):
    """Terms, what is counted of them, and by document where they stand."""

    terms: Terms
    counting: Counting
    matches: Sequence[Matches]

    def found(self, document: int) -> Found:
        """A document's matches, with counts that leave the document out."""
        matches = self.matches[document]
        unique, inverse = np.unique(matches.term, return_inverse=True)
        counts = self.counting.counts(unique.tolist(), without=document)
        return Found(matches, Counts(*(column[inverse] for column in counts)), self.terms.size[matches.term])

    def arrays(self) -> dict[str, NDArray[Any]]:
        return terms_kept(self.terms, self.counting.counts(range(len(self.terms.key))))


def build(
    folders: Sequence[Path], languages: Sequence[str], told: Progress = lambda _: None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Train on corpora; what `artefact.write` takes: what there is to tell, and the arrays.

    Raises:
        ConfigurationError: see `corpus.read`; or if there is nothing to learn.
    """
    about: dict[str, Any] = {"version": VERSION, "languages": list(languages), "readers": {}}
    arrays: dict[str, NDArray[Any]] = {}
    for language in languages:
        documents = corpus.read(folders, language)
        told(f"{len(documents)} documents in {language}")
        words = Words(language)
        tokens = [words.read(document.text) for document in documents]
        for kind in corpus.KINDS:
            if not any(document.codes.get(kind) for document in documents):
                continue
            told(f"{kind.lower()}: dictionary and ranker")
            settings, parts = _reader(kind, documents, tokens, words)
            about["readers"][f"{language}/{kind}"] = settings
            arrays |= {f"{language}/{kind}/{name}": array for name, array in parts.items()}
    if not arrays:
        raise ConfigurationError("the corpus tells no codes: there is nothing to learn")
    return about, arrays


def _reader(
    kind: str, documents: Sequence[Document], tokens: Sequence[Tokens], words: Words
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    gold = [document.codes.get(kind, frozenset()) for document in documents]
    known = sorted({code for document in gold for code in document} | {
        e.code for document in documents for e in document.evidence if e.kind == kind
    })  # fmt: skip
    number = {code: i for i, code in enumerate(known)}
    seen = np.zeros(len(known), np.int32)
    for own in gold:
        seen[[number[code] for code in own]] += 1
    codes = codes_of(known, seen, len(documents))
    rows, bags = _learnt(kind, documents, tokens, words, number)
    found = []
    for i in range(len(documents)):
        without = seen.copy()
        without[[number[code] for code in gold[i]]] -= 1
        prior = (without / len(documents)).astype(np.float32)
        found.append(candidates(tokens[i], words, rows.found(i), bags.found(i), codes, prior))
    ranker, log_odds = _ranked(found, gold, codes)
    curve, accepted, sure = _calibrated(found, log_odds, gold, codes)
    settings = {"codes": known, "documents": len(documents), "accepted": accepted, "sure": sure}
    parts = {"rows": rows.arrays(), "bags": bags.arrays(), "ranker": ranker.arrays()}
    arrays = {f"{part}/{name}": array for part, named in parts.items() for name, array in named.items()}
    return settings, arrays | {"code_documents": seen, "curve": curve}


def _learnt(
    kind: str, documents: Sequence[Document], tokens: Sequence[Tokens], words: Words, number: dict[str, int]
) -> tuple[_Learnt, _Learnt]:
    """The dictionary of stems in a row, and that of scattered ones."""
    row_keys: dict[int, int] = {}
    bag_keys: dict[int, int] = {}
    told_rows: list[tuple[int, int, int]] = []
    told_bags: list[tuple[int, int, int]] = []
    for i, (document, text) in enumerate(zip(documents, tokens, strict=True)):
        for stems, code in _evidence(kind, document, text, words):
            if len(stems) <= dictionary.LONGEST:
                key = dictionary.ordered(stems)
                row_keys[key] = len(stems)
                told_rows.append((key, i, number[code]))
            if 2 <= len(set(stems)) <= dictionary.LONGEST:
                key = dictionary.unordered(stems)
                bag_keys[key] = len(set(stems))
                told_bags.append((key, i, number[code]))
    return (
        _counted(row_keys, told_rows, dictionary.in_a_row, tokens, words),
        _counted(bag_keys, told_bags, dictionary.scattered, tokens, words),
    )


def _counted(
    keys: dict[int, int], told: Sequence[tuple[int, int, int]], find: Callable[[Terms, Any, Tokens], Matches],
    tokens: Sequence[Tokens], words: Words,
) -> _Learnt:  # fmt: skip
    ascending = sorted(keys)
    place = {key: i for i, key in enumerate(ascending)}
    known = dictionary.terms(np.array(ascending, np.uint64), np.array([keys[key] for key in ascending], np.int32))
    matches = [find(known, words.stem.rows[text.word[text.content]], text) for text in tokens]
    evidence = sorted({dictionary.Evidence(place[key], document, code) for key, document, code in told})
    counting = dictionary.counted(len(ascending), evidence, [found.term.tolist() for found in matches])
    return _Learnt(known, counting, matches)


def _evidence(kind: str, document: Document, text: Tokens, words: Words) -> Iterator[tuple[list[int], str]]:
    """The stems of each piece of evidence of a kind, with its code."""
    begin, end = text.begin[text.content], text.end[text.content]
    stems = words.stem.rows[text.word[text.content]]
    for piece in document.evidence:
        if piece.kind != kind:
            continue
        inside = np.zeros(len(begin), bool)
        for low, high in piece.spans:
            inside |= (begin < high) & (end > low)
        if inside.any():
            yield stems[inside].tolist(), piece.code


def _ranked(
    found: Sequence[Candidates], gold: Sequence[frozenset[str]], codes: Codes
) -> tuple[trees.Forest, list[NDArray[np.float64]]]:
    """A ranker trained on all documents, and each document's log odds from one that did not see it."""
    right = [_right(each, own, codes) for each, own in zip(found, gold, strict=True)]
    fold = _folds(len(found))
    log_odds: list[NDArray[np.float64]] = [np.zeros(0)] * len(found)
    for k in range(FOLDS):
        part = trees.trained(
            np.concatenate([f.features for f, own in zip(found, fold, strict=True) if own != k]),
            np.concatenate([r for r, own in zip(right, fold, strict=True) if own != k]),
            **_RANKER,
        )
        for i in np.flatnonzero(fold == k):
            log_odds[i] = part.log_odds(found[i].features)
    whole = trees.trained(np.concatenate([f.features for f in found]), np.concatenate(right), **_RANKER)
    return whole, log_odds


def _right(found: Candidates, gold: frozenset[str], codes: Codes) -> NDArray[np.bool_]:
    return np.array([codes.code[code] in gold for code in found.code], dtype=bool)


def _folds(count: int) -> NDArray[np.intp]:
    """A fold for each document, the same for the same number of documents."""
    order = list(range(count))
    random.Random(0).shuffle(order)
    fold = np.zeros(count, np.intp)
    fold[order] = np.arange(count) % FOLDS
    return fold


def _calibrated(
    found: Sequence[Candidates], log_odds: Sequence[NDArray[np.float64]], gold: Sequence[frozenset[str]], codes: Codes
) -> tuple[NDArray[np.float64], float, float]:
    """The calibration curve for a document's codes, and the thresholds from which they are accepted, and sure."""
    best: list[float] = []
    right: list[bool] = []
    for each, scores, own in zip(found, log_odds, gold, strict=True):
        highest: dict[int, float] = {}
        for code, score in zip(each.code.tolist(), scores.tolist(), strict=True):
            highest[code] = max(score, highest.get(code, -np.inf))
        best += highest.values()
        right += [codes.code[code] in own for code in highest]
    scores, hits = np.array(best), np.array(right)
    curve = calibration.curve(scores, hits)
    probability = calibration.probability(curve, scores)
    total = sum(map(len, gold))
    return (
        curve,
        calibration.best_f1(probability, hits, total),
        calibration.precise(probability, hits, SURE_PRECISION),
    )
