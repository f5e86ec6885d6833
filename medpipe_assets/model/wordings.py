"""The wordings of codes that go into a model beside the corpus, and codes as the corpus writes them.

Wordings come from the lexicon's lists and from files that a user brings (titles in the text's language, the Alphabetic
Index). What they are used for is in `knowledge`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import Stemmer

from medpipe_assets.lexicon import alphabetic_index, build, terms, titles
from medpipe_assets.model import bridge
from medpipe_assets.model.comparison import Told
from medpipe_assets.model.knowledge import KINDS, Wording, named
from medpipe_assets.model.tokens import Words, folded

_ENGLISH_WORD: Final = re.compile(r"[a-z0-9]+")
_IDLE: Final = frozenset(
    "of the a an and or in to due with by for on at from as is nos nec unspecified other specified type not elsewhere "
    "classified was were that this which it be no his her he she had has have been".split()
)
"""Words of English wordings and sentences that name nothing."""
_ASIDE: Final = re.compile(r"\s*\[[^\]]*\]|\s*\([^)]*\)")
_SHORTEST: Final = 4
"""Letters of a wording of one word: shorter ones mean too many things."""
_IDLE_NATIVE: Final = {
    "es": re.compile(
        r"no especificad[oa]s?|sin otra especificaci[oó]n|no clasificad[oa]s? en otra parte|otr[oa]s|especificad[oa]s?",
        re.IGNORECASE,
    )
}
"""What titles in the text's language say that no note does."""


class CorpusCodes:
    """The code set's codes in the corpus's own writing.

    The corpus's annotators write an injury's code without its seventh character, filled up with 'x', and in an older
    release: where a code of today was one code then, the older one is in the corpus.
    """

    def __init__(self, gold: Iterable[str]) -> None:
        self.rows = rows = build.newest_rows()
        self._gold = frozenset(gold)
        self._default = build.defaults(rows)
        self._seventh = {row.code for row in rows if row.seventh}
        self.title = {row.code: row.title for row in rows}

    def written(self, code: str) -> list[str]:
        """What the corpus may write for a code: its unspecified leaf, and what it was in the older release."""
        leaf = self._default.get(code, code)
        plain = leaf.lower()
        if leaf in self._seventh:
            stem = plain.replace(".", "")
            plain = f"{stem[:3]}.{stem[3:]}".ljust(7, "x")
        found = [plain]
        for known in (code.lower(), *(plain[:end] for end in range(len(plain) - 1, 2, -1))):
            if known in self._gold and known != plain:
                found.append(known.rstrip("."))
                break
        return found

    def title_of(self, written: str) -> str:
        """The title of a code that the corpus wrote, or of one above it; '' where today's release has none."""
        return self.title.get(self._today(written), "")

    def _today(self, written: str) -> str:
        code = written.upper()
        while code and code not in self.title:
            code = code[:-1].rstrip(".") if code.endswith(("X", ".")) or len(code) > 3 else ""
        return code

    def told(self, codes: Sequence[str], features: Mapping[str, int]) -> Told:
        """What the set says of codes as the corpus writes them.

        Args:
            features: the number of each.
        """
        row = {row.code: row for row in self.rows}
        own = [row.get(self._today(code)) for code in codes]
        titles = [each.title.lower() if each else "" for each in own]
        members = [sorted({features[f] for s in english_stems(t) if (f := named("en", s)) in features}) for t in titles]
        side = {code: _side_of(each.title) for code, each in row.items()}
        sided = {each.parent for code, each in row.items() if side[code]}
        return Told(
            title_begin=np.concatenate([[0], np.cumsum([len(each) for each in members])]).astype(np.int32),
            title_member=np.array([feature for each in members for feature in each], np.int32),
            unspecified=np.array(["unspecified" in title for title in titles], np.int8),
            other=np.array([title.startswith("other") or "other specified" in title for title in titles], np.int8),
            leaf=np.array([each is not None and each.leaf for each in own], np.int8),
            side=np.array([side[each.code] if each else 0 for each in own], np.int8),
            sided=np.array([each is not None and each.parent in sided for each in own], np.int8),
        )


_SIDE: Final = (re.compile(r"\bright\b", re.IGNORECASE), re.compile(r"\bleft\b", re.IGNORECASE))


def _side_of(title: str) -> int:
    """1 right, 2 left, 3 both, 0 none."""
    if "bilateral" in title.lower():
        return 3
    return next((i for i, side in enumerate(_SIDE, start=1) if side.search(title)), 0)


def english_stems(text: str) -> list[str]:
    """The stems of English words that name something."""
    return list(_STEM.stemWords([word for word in _ENGLISH_WORD.findall(folded(text)) if word not in _IDLE]))


_STEM: Final = Stemmer.Stemmer("english")


def native_stems(text: str, words: Words) -> list[str]:
    """The stems of the content words of a text in the model's language."""
    tokens = words.read(text)
    return [words.stems[row] for row in tokens.word[tokens.content]]


def wordings(
    language: str, words: Words, codes: CorpusCodes, own_titles: Sequence[Path], index: Path | None
) -> Iterator[Wording]:
    """All wordings that we know, as features.

    Args:
        own_titles: tables of titles in the language. index: the Alphabetic Index.
    """
    for term in (*terms.own(), *terms.of_tabular(codes.rows)):
        if term.language in ("en", language):
            kind = KINDS.index(term.kind)
            yield from _wordings(term.text, term.code, kind, term.language, words, codes)
    for abbreviation in terms.abbreviations():
        if abbreviation.language == language:
            features = frozenset(named(language, stem) for stem in native_stems(abbreviation.text, words))
            for code in codes.written(abbreviation.code):
                yield Wording(features, code, KINDS.index("abbreviation"))
    if index is not None:
        for wording in alphabetic_index.wordings(alphabetic_index.read(index)):
            yield from _wordings(wording.text, wording.code, KINDS.index("index"), "en", words, codes)
    for path in own_titles:
        idle = _IDLE_NATIVE.get(language)
        for title in titles.read(path):
            text = idle.sub(" ", _ASIDE.sub("", title.text)) if idle else _ASIDE.sub("", title.text)
            yield from _wordings(text, title.code, KINDS.index("native"), language, words, codes)


def _wordings(text: str, code: str, kind: int, language: str, words: Words, codes: CorpusCodes) -> Iterator[Wording]:
    text = _ASIDE.sub("", text)
    stems = native_stems(text, words) if language == words.language else english_stems(text)
    if not stems or (len(stems) == 1 and len(text.strip()) < _SHORTEST):
        return
    features = frozenset(named(language, stem) for stem in stems)
    for written in codes.written(code):
        yield Wording(features, written, kind)


def cognates(texts: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Skeletons of English words, each with the stems that have it, commonest first."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        for word in _ENGLISH_WORD.findall(folded(text)):
            if len(word) > _SHORTEST and word not in _IDLE:
                found[bridge.skeleton(word)][_STEM.stemWord(word)] += 1
    return {bone: [stem for stem, _ in stems.most_common()] for bone, stems in found.items()}
