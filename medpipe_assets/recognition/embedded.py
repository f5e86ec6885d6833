"""The embedded recogniser: all finders over one text, their overlaps resolved, and what the text says of each mention.

It reads the document's own language, in process, with no service. Finding is the affair of `conditions`, `medications`
and their neighbours, judging what is denied or past that of `assertion`; here they are only put together.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from medpipe_assets.fingerprints import fingerprint
from medpipe_assets.lexicon import build, words
from medpipe_assets.model import reader
from medpipe_assets.recognition import anatomy, assertion, conditions, medications, tests_and_procedures
from medpipe_assets.recognition.engine import Mention, Offsets
from medpipe_assets.recognition.sections import sections

_DATA: Final = Path(__file__).with_name("data")

CODE_VERSION: Final = "5"
"""Raise it when the same lexicon would give other mentions or traits."""

_FINDERS: Final[tuple[Callable[[str, str], list[Mention]], ...]] = (
    conditions.find,
    medications.find,
    tests_and_procedures.find,
    anatomy.find,
)
"""Each takes a text and its language; the first wins where two finds of equal length overlap."""

_JUDGED: Final = frozenset({"MEDICAL_CONDITION", "MEDICATION", "TEST_TREATMENT_PROCEDURE"})
"""Categories that a text denies, suspects or tells of the past; anatomy is merely there."""


@dataclass(frozen=True, slots=True)
class EmbeddedRecognition:
    """Finds mentions by lexicon and rules, and conditions by a model too where there is one.

    Attributes:
        model: path of the model file; none where there is no file.
    """

    model: str = ""

    @property
    def name(self) -> str:
        return "lexicon"

    @property
    def version(self) -> str:
        return f"{CODE_VERSION}.{build.fingerprint()}.{fingerprint(_DATA.iterdir())}{reader.version(self.model)}"

    @property
    def reads(self) -> Literal["source", "english"]:
        return "source"

    def supports(self, language: str) -> bool:
        """Whether we have terms in this language."""
        return language in words.LANGUAGES

    def recognise(self, text: str, language: str) -> list[Mention]:
        """Find the mentions in a text, ordered by their first span, never overlapping."""
        learnt = conditions.find_learnt(text, language, self.model)
        found = resolved([*learnt, *(mention for find in _FINDERS for mention in find(text, language))])
        headings = [(section.heading, section.begin) for section in sections(text, language)]
        found = [m for m in found if m.category != "MEDICAL_CONDITION" or not _is_heading(m, headings)]
        judged = [mention for mention in found if mention.category in _JUDGED]
        traits = assertion.assertion(text, language, [mention.spans for mention in judged])
        told = {id(mention): said for mention, said in zip(judged, traits, strict=True)}
        return [replace(m, traits=m.traits + told[id(m)]) if told.get(id(m)) else m for m in found]


def _is_heading(mention: Mention, headings: Sequence[Offsets]) -> bool:
    """Whether a mention is (part of) a heading: 'Allergies: none' names no allergy."""
    begin, end = mention.spans[0][0], mention.spans[-1][1]
    at = bisect_right(headings, begin, key=lambda heading: heading[0])
    return at > 0 and end <= headings[at - 1][1]


def resolved(mentions: Iterable[Mention]) -> list[Mention]:
    """The mentions that stay where several claim the same words: the longest, then the one found first; in order.

    So a condition that names its site ('renal failure') takes the site with it, whoever else found it.
    """
    kept: list[Mention] = []
    taken: set[int] = set()
    for mention in sorted(mentions, key=lambda m: -sum(end - begin for begin, end in m.spans)):
        places = {place for begin, end in mention.spans for place in range(begin, end)}
        if taken.isdisjoint(places):
            taken |= places
            kept.append(mention)
    return sorted(kept, key=lambda m: m.spans)
