"""Trains a model from a corpus: finders, ranker, calibration, thresholds; seeded throughout, the same bytes each time.

A ranker may only see counts that leave out the document it learns from, taggings of documents that the tagger did not
learn from, and a calibration only log odds of documents that the ranker did not see; all three are seen to here.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.model import bridge, calibration, candidates, corpus, dictionary, knowledge, likeness, trees
from medpipe_assets.model.candidates import Candidates, Codes
from medpipe_assets.model.comparison import Told
from medpipe_assets.model.corpus import Document
from medpipe_assets.model.dictionary import Counting, Counts, Matches, Terms
from medpipe_assets.model.finding import Finders, TermStems
from medpipe_assets.model.knowledge import Entries, Meanings, Senses, Standing, named
from medpipe_assets.model.ranges import ranges
from medpipe_assets.model.reader import codes_of, marks_of, terms_kept
from medpipe_assets.model.tagger import Mark, Tagged, Tagger
from medpipe_assets.model.tokens import SENTENCE_END, Tokens, Words
from medpipe_assets.model.tokens import number as tokens_number
from medpipe_assets.model.wordings import CorpusCodes, cognates, english_stems, native_stems, wordings

VERSION: Final = 1
"""Raise it when the same corpus would give another model."""
FOLDS: Final = 4
TAGGER_FOLDS: Final = {corpus.DIAGNOSIS: 3, corpus.PROCEDURE: 2}
SURE_PRECISION: Final = 0.925
"""Precision wanted of codes that nobody looks at again; a little more than 0.92, since a threshold is an estimate."""
_RANKER: Final = {
    "max_iter": 150,
    "learning_rate": 0.07,
    "max_leaf_nodes": 12,
    "max_features": 0.4,
    "min_samples_leaf": 40,
    "l2_regularization": 3.0,
}
"""On the development part more, larger or differently seeded trees change F1 by 0.003 at most."""
_TAGGER: Final = {"c1": 0.05, "c2": 0.3, "feature.minfreq": 2}
_ROUNDS: Final = {corpus.DIAGNOSIS: 60, corpus.PROCEDURE: 40}
"""Folds and rounds of the tagger, which takes most of the time: as many as three minutes on two cores allow."""
_KNOWN: Final = frozenset({corpus.DIAGNOSIS})
"""Kinds of code of which something is known beside the corpus."""
_COMMON: Final = 4
"""Documents in which a stem must be evidence before it is translated by the titles of its codes."""
WORKERS: Final = 2

Progress = Callable[[str], None]
Spans = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What a model is built from: corpora, titles by language, the Alphabetic Index; but for documents left out."""

    folders: Sequence[Path]
    titles: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    index: Path | None = None
    left_out: frozenset[str] = frozenset()


def titles_by_language(told: Sequence[str]) -> dict[str, list[Path]]:
    """Tables of titles, told as LANGUAGE=FILE.

    Raises:
        ConfigurationError: for one that is not told so, or not there.
    """
    found: dict[str, list[Path]] = {}
    for each in told:
        language, separator, name = each.partition("=")
        if not separator or not Path(name).is_file():
            raise ConfigurationError(f"titles are told as LANGUAGE=FILE, with a file that is there; not as '{each}'")
        found.setdefault(language, []).append(Path(name))
    return found


class _Learnt(NamedTuple):
    """Terms, what is counted of them, and by document where they stand."""

    terms: Terms
    counting: Counting
    matches: Sequence[Matches]


@dataclass(frozen=True, slots=True)
class _Without:
    """What a corpus counts without one of its documents; see finding.Counted."""

    document: int
    learnt: tuple[_Learnt, _Learnt]
    gold: NDArray[np.int32]
    seen: NDArray[np.int32]
    corpus: int
    met: NDArray[np.int32]
    right: NDArray[np.int32]
    pair_code: NDArray[np.int32]

    def rows(self, terms: NDArray[np.intp]) -> Counts:
        return self.learnt[0].counting.counts(terms, self.document)

    def bags(self, terms: NDArray[np.intp]) -> Counts:
        return self.learnt[1].counting.counts(terms, self.document)

    def entries(self, entry: NDArray[np.intp], pair: NDArray[np.intp]) -> tuple[Any, Any]:
        return self.met[entry] - 1, self.right[pair] - np.isin(self.pair_code[pair], self.gold)

    def prior(self) -> NDArray[np.float32]:
        without = self.seen.copy()
        without[self.gold] -= 1
        return (without / self.corpus).astype(np.float32)


def build(
    sources: Sources, languages: Sequence[str], told: Progress = lambda _: None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Train on corpora; what `artefact.write` takes: what there is to tell, and the arrays.

    Raises:
        ConfigurationError: see `corpus.read`; or if there is nothing to learn.
    """
    about: dict[str, Any] = {"version": VERSION, "languages": list(languages), "readers": {}}
    arrays: dict[str, NDArray[Any]] = {}
    for language in languages:
        documents = [d for d in corpus.read(sources.folders, language) if d.name not in sources.left_out]
        told(f"{len(documents)} documents in {language}")
        words = Words(language)
        tokens = [words.read(document.text) for document in documents]
        for kind in corpus.KINDS:
            told_where = any(piece.kind == kind for document in documents for piece in document.evidence)
            if not any(document.codes.get(kind) for document in documents) or not (told_where or kind in _KNOWN):
                continue
            settings, parts = _reader(kind, documents, tokens, words, sources, told)
            about["readers"][f"{language}/{kind}"] = settings
            arrays |= {f"{language}/{kind}/{name}": array for name, array in parts.items()}
    if not arrays:
        raise ConfigurationError("the corpus tells no codes: there is nothing to learn")
    return about, arrays


def _reader(
    kind: str, documents: Sequence[Document], tokens: Sequence[Tokens], words: Words, sources: Sources, told: Progress
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    gold = [document.codes.get(kind, frozenset()) for document in documents]
    known = {code for own in gold for code in own}
    known |= {e.code for document in documents for e in document.evidence if e.kind == kind}
    told(f"{kind.lower()}: what is known of codes")
    senses, entries, codes_told, known = _knowledge(kind, documents, tokens, words, sources, known)
    names = sorted(known)
    number = {code: i for i, code in enumerate(names)}
    seen = np.zeros(len(names), np.int32)
    for own in gold:
        seen[[number[code] for code in own]] += 1
    codes = codes_of(names, seen, len(documents), codes_told)
    learnt = _learnt(kind, documents, tokens, words, number, [frozenset(number[code] for code in own) for own in gold])
    finders = Finders(
        words=words,
        rows=learnt[0].terms,
        bags=learnt[1].terms,
        codes=codes,
        terms=_term_stems(kind, documents, tokens, words, learnt[0].terms),
        entries=entries,
        matrix=entries.matrix() if entries else None,
        meanings=Meanings(words, senses) if senses else None,
    )
    told(f"{kind.lower()}: mentions")
    stand = [finders.standing(text) for text in tokens]
    marks = []
    for i, (text, here) in enumerate(zip(tokens, learnt[0].matches, strict=True)):
        marks.append(marks_of(text, here, learnt[0].counting.counts(here.term, i), stand[i], finders))
    tagger, tagged = _tagger(kind, documents, marks)
    told(f"{kind.lower()}: candidates")
    numbers = [np.array(sorted(number[code] for code in own), np.int32) for own in gold]
    met, right = _met(entries, [each.entries if each else None for each in stand], numbers)
    pair_code = entries.pair_code if entries else np.zeros(0, np.int32)
    found = []
    for i, text in enumerate(tokens):
        counted = _Without(i, learnt, numbers[i], seen, len(documents), met, right, pair_code)
        inside = candidates.inside(text, tagged[i]) if tagged and len(text.begin) else None
        both = learnt[0].matches[i], learnt[1].matches[i]
        found.append(finders.candidates(text, inside, counted, both, stand[i]))
    if not any(len(each.code) for each in found):
        raise ConfigurationError("the corpus shows where none of its codes stands: there is nothing to learn")
    told(f"{kind.lower()}: ranker, on {sum(len(each.code) for each in found):,} candidates")
    ranker, log_odds = _ranked(found, gold, codes)
    curve, accepted, sure = _calibrated(found, log_odds, gold, codes)
    settings = {"documents": len(documents), "accepted": accepted, "sure": sure}
    parts: dict[str, Mapping[str, NDArray[Any]]] = {
        "rows": terms_kept(learnt[0].terms, learnt[0].counting.whole),
        "bags": terms_kept(learnt[1].terms, learnt[1].counting.whole),
        "ranker": ranker.arrays(),
        "terms": {"stem": finders.terms.stem, "idf": finders.terms.idf, **_sparse(finders.terms.matrix)},
    }
    if entries and senses:
        parts |= {"entries": knowledge.kept(entries) | {"met": met, "right": right}, "senses": knowledge.kept(senses)}
    if codes_told:
        parts["told"] = knowledge.kept(codes_told)
    arrays = {f"{part}/{name}": array for part, held in parts.items() for name, array in held.items()}
    arrays["code"] = np.frombuffer("\n".join(names).encode(), np.uint8)
    if tagger is not None:
        arrays["tagger"] = np.frombuffer(tagger.to_bytes(), np.uint8)
    return settings, arrays | {"code_documents": seen, "curve": curve}


def _sparse(matrix: Any) -> dict[str, NDArray[Any]]:
    return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": np.array(matrix.shape)}


def _knowledge(
    kind: str, documents: Sequence[Document], tokens: Sequence[Tokens], words: Words, sources: Sources, known: set[str]
) -> tuple[Senses | None, Entries | None, Told | None, set[str]]:
    """What is known of diagnoses beside the corpus; and all codes that may be proposed."""
    if kind not in _KNOWN:
        return None, None, None, known
    codes = CorpusCodes(known)
    told = list(wordings(words.language, words, codes, sources.titles.get(words.language, ()), sources.index))
    features = {name for wording in told for name in wording.features}
    features |= {named("en", stem) for row in codes.rows for stem in english_stems(row.title)}
    texts = [row.title for row in codes.rows] + [text for row in codes.rows for text in row.inclusions]
    table: Mapping[str, Mapping[str, float]] = {}
    if words.language != "en":
        table = bridge.merged(
            [
                bridge.translations(_sentences(sources.folders, documents, words)),
                bridge.translations(_by_titles(documents, tokens, words, codes)),
            ]
        )
    senses = knowledge.senses(words.language, table, cognates(texts) if table else {}, features)
    every = known | {wording.code for wording in told}
    number = {code: i for i, code in enumerate(sorted(every))}
    seen = dict.fromkeys(known, 0)
    for document in documents:
        for code in document.codes.get(kind, ()):
            seen[code] += 1
    place = {int(n): i for i, n in enumerate(senses.feature)}
    by_name = {name: place[tokens_number(name)] for name in features}
    return (
        senses,
        knowledge.entries(told, senses.feature, number, seen),
        codes.told(sorted(every), by_name),
        every,
    )


def _sentences(folders: Sequence[Path], documents: Sequence[Document], words: Words) -> Iterator[bridge.Pair]:
    """Stems of sentences with those of their English translations."""
    english = {}
    for folder in folders:
        for path in sorted((folder / "text_files_en").glob("*.txt")):
            english[path.stem] = path.read_text(encoding="utf-8")
    for document in documents:
        if document.name not in english:
            continue
        left = [s.strip() for s in SENTENCE_END.split(document.text) if s.strip()]
        right = [s.strip() for s in english[document.name].split("\n") if s.strip()]
        for own, other in bridge.sentence_pairs(left, right):
            yield native_stems(own, words), english_stems(other)


def _by_titles(
    documents: Sequence[Document], tokens: Sequence[Tokens], words: Words, codes: CorpusCodes
) -> list[bridge.Pair]:
    """The stems of evidence with those of its code's title, for stems of evidence in several documents."""
    pieces = [
        (i, [words.stems[row] for row in rows], codes.title_of(code))
        for i, (document, text) in enumerate(zip(documents, tokens, strict=True))
        for rows, code in _evidence(corpus.DIAGNOSIS, document, text)
    ]
    where: dict[str, set[int]] = {}
    for i, stems, _ in pieces:
        for stem in stems:
            where.setdefault(stem, set()).add(i)
    return [
        ([s for s in stems if len(where[s]) >= _COMMON], english_stems(title)) for _, stems, title in pieces if title
    ]


def _learnt(
    kind: str, documents: Sequence[Document], tokens: Sequence[Tokens], words: Words, number: dict[str, int],
    gold: Sequence[frozenset[int]],
) -> tuple[_Learnt, _Learnt]:  # fmt: skip
    """The dictionary of stems in a row, and that of scattered ones."""
    row_keys: dict[int, int] = {}
    bag_keys: dict[int, int] = {}
    told_rows: list[tuple[int, int, int]] = []
    told_bags: list[tuple[int, int, int]] = []
    for i, (document, text) in enumerate(zip(documents, tokens, strict=True)):
        for rows, code in _evidence(kind, document, text):
            stems = words.stem.rows[rows].tolist()
            if len(stems) <= dictionary.LONGEST:
                key = dictionary.ordered(stems)
                row_keys[key] = len(stems)
                told_rows.append((key, i, number[code]))
            if 2 <= len(set(stems)) <= dictionary.LONGEST:
                key = dictionary.unordered(stems)
                bag_keys[key] = len(set(stems))
                told_bags.append((key, i, number[code]))
    return (
        _counted(row_keys, told_rows, dictionary.in_a_row, tokens, words, gold),
        _counted(bag_keys, told_bags, dictionary.scattered, tokens, words, gold),
    )


def _counted(
    keys: dict[int, int], told: Sequence[tuple[int, int, int]], find: Callable[[Terms, Any, Tokens], Matches],
    tokens: Sequence[Tokens], words: Words, gold: Sequence[frozenset[int]],
) -> _Learnt:  # fmt: skip
    ascending = sorted(keys)
    place = {key: i for i, key in enumerate(ascending)}
    known = dictionary.terms(np.array(ascending, np.uint64), np.array([keys[key] for key in ascending], np.int32))
    matches = [find(known, words.stem.rows[text.word[text.content]], text) for text in tokens]
    evidence = sorted({dictionary.Evidence(place[key], document, code) for key, document, code in told})
    counting = dictionary.counted(len(ascending), evidence, matches, gold)
    return _Learnt(known, counting, matches)


def _evidence(kind: str, document: Document, text: Tokens) -> Iterator[tuple[NDArray[np.int32], str]]:
    """The content words (rows of `Words`) of each piece of evidence of a kind, with its code."""
    begin, end, rows = text.begin[text.content], text.end[text.content], text.word[text.content]
    for piece in document.evidence:
        if piece.kind != kind:
            continue
        inside = np.zeros(len(begin), bool)
        for low, high in piece.spans:
            inside |= (begin < high) & (end > low)
        if inside.any():
            yield rows[inside], piece.code


def _term_stems(
    kind: str, documents: Sequence[Document], tokens: Sequence[Tokens], words: Words, rows: Terms
) -> TermStems:
    """The terms in a row by their stems."""
    place = {int(key): i for i, key in enumerate(rows.key)}
    members: list[list[int]] = [[] for _ in place]
    for document, text in zip(documents, tokens, strict=True):
        for words_of, _ in _evidence(kind, document, text):
            stems = words.stem.rows[words_of].tolist()
            if len(stems) <= dictionary.LONGEST:
                members[place[dictionary.ordered(stems)]] = sorted(set(stems))
    stem = np.array(sorted({stem for each in members for stem in each}), np.uint64)
    at = {int(each): i for i, each in enumerate(stem)}
    idf, matrix = likeness.stem_matrix(stem, [[at[each] for each in stems] for stems in members])
    return TermStems(stem, idf, matrix)


def _tagger(
    kind: str, documents: Sequence[Document], marks: Sequence[list[Mark]]
) -> tuple[Tagger | None, list[Tagged]]:
    """A tagger trained on all documents, and each document as one sees it that did not learn from it.

    None where the corpus doesn't tell where anything stands, as that of a translation doesn't.
    """
    texts = [document.text for document in documents]
    spans = [[span for e in document.evidence if e.kind == kind for span in e.spans] for document in documents]
    if not any(spans):
        return None, []
    folds = TAGGER_FOLDS[kind]
    fold = _folds(len(documents), folds)
    every = np.arange(len(documents))
    parts = [every[fold == k] for k in range(folds)]
    jobs = [([i for i in every.tolist() if i not in set(part.tolist())], part.tolist()) for part in parts]
    jobs.append((every.tolist(), []))
    tagged: list[Any] = [None] * len(documents)
    with _pool() as pool:
        done = [
            pool.submit(
                _tagged, [texts[i] for i in learn], [spans[i] for i in learn], [marks[i] for i in learn],
                [texts[i] for i in rest], [marks[i] for i in rest], _ROUNDS[kind],
            )
            for learn, rest in reversed(jobs)
        ]  # fmt: skip
        results = [each.result() for each in done]
    for (_, rest), (_, found) in zip(reversed(jobs), results, strict=True):
        for i, one in zip(rest, found, strict=True):
            tagged[i] = one
    return Tagger.from_bytes(results[0][0]), tagged


def _tagged(
    texts: list[str], spans: list[Spans], marks: list[list[Mark]], unseen: list[str], unseen_marks: list[list[Mark]],
    rounds: int,
) -> tuple[bytes, list[Tagged]]:  # fmt: skip
    """A tagger's bytes, and unseen texts as it sees them."""
    trained = Tagger.from_bytes(Tagger.train(texts, spans, marks, _TAGGER | {"max_iterations": rounds}).to_bytes())
    return trained.to_bytes(), [trained.tag(text, own) for text, own in zip(unseen, unseen_marks, strict=True)]


def _met(
    entries: Entries | None, stand: Sequence[Standing | None], gold: Sequence[NDArray[np.int32]]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """In how many documents each entry stands, and in how many of them each of its codes is gold."""
    if entries is None:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    met = np.zeros(len(entries.begin) - 1, np.int32)
    right = np.zeros(len(entries.pair_code), np.int32)
    for found, own in zip(stand, gold, strict=True):
        if found is None:
            continue
        here = np.unique(found.entry)
        met[here] += 1
        pair = ranges(entries.pair_begin[here], entries.pair_begin[here + 1] - entries.pair_begin[here])
        right[pair] += np.isin(entries.pair_code[pair], own)
    return met, right


def _ranked(
    found: Sequence[Candidates], gold: Sequence[frozenset[str]], codes: Codes
) -> tuple[trees.Forest, list[NDArray[np.float64]]]:
    """A ranker trained on all documents, and each document's log odds from one that did not see it."""
    right = [_right(each, own, codes) for each, own in zip(found, gold, strict=True)]
    fold = _folds(len(found), FOLDS)
    every = range(len(found))
    jobs = [[i for i in every if fold[i] != k] for k in range(FOLDS)]
    with _pool() as pool:
        done = [
            pool.submit(
                trees.trained,
                np.concatenate([found[i].features for i in learn]),
                np.concatenate([right[i] for i in learn]),
                **_RANKER,
            )
            for learn in (list(every), *jobs)
        ]
        whole, *parts = [each.result() for each in done]
    return whole, [parts[fold[i]].log_odds(found[i].features) for i in every]


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(min(WORKERS, os.cpu_count() or 1))


def _right(found: Candidates, gold: frozenset[str], codes: Codes) -> NDArray[np.bool_]:
    return np.array([codes.code[code] in gold for code in found.code], dtype=bool)


def _folds(count: int, folds: int) -> NDArray[np.intp]:
    """A fold for each document, the same for the same number of documents."""
    order = list(range(count))
    random.Random(0).shuffle(order)
    fold = np.zeros(count, np.intp)
    fold[order] = np.arange(count) % folds
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
