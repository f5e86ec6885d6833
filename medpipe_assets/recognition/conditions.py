"""Medical conditions named in a text, by the lexicon and the model: diagnoses, signs and symptoms, all of them
MEDICAL_CONDITION / DX_NAME.

Each says whether it is a SYMPTOM, a SIGN or a DIAGNOSIS, by the chapter of its best code. What the text says of it
(negated, past, of the family) is `assertion`'s business, which code it gets the coding stage's.
"""

import re
from typing import Final

from medpipe_assets.lexicon import lexicon
from medpipe_assets.lexicon.lexicon import Found
from medpipe_assets.model import corpus, reader
from medpipe_assets.recognition.engine import Mention, Offsets, Trait

SCORES: Final = {
    "own": 0.9,
    "abbreviation": 0.85,
    "title": 0.85,
    "unspecified": 0.85,
    "inclusion": 0.8,
    "index": 0.7,
    "include": 0.7,
    "vague": 0.7,
    "bag": 0.6,
}
"""How sure we are that a term of each kind names a condition; ordinal, not calibrated."""
_AMBIGUOUS: Final = 0.5
LEAST: Final = 0.2
"""A span whose best code is less probable than this is no mention to show to anybody."""

_NATURES: Final = (
    (re.compile(r"R(?:7|8|9[0-7])"), "SIGN"),
    (re.compile(r"R(?:0[01]|03|16|18|59|60)"), "SIGN"),
    (re.compile(r"R|M54|M25\.5|M79\.[16]|N64\.4|H57\.1|H92\.0|G89"), "SYMPTOM"),
    (re.compile(r"[A-QSTU]"), "DIAGNOSIS"),
)
"""Codes by what they name, first match counts. R70 to R97 are abnormal findings, R00 to R69 symptoms and signs, where
the heartbeat, murmurs, enlarged organs and swelling are signs, found by an examiner; pains outside chapter R are
symptoms too. Factors of chapter Z and external causes are none of the three."""


def find(text: str, language: str) -> list[Mention]:
    """Conditions in a text, ordered by span, never overlapping."""
    return [_mention(found) for found in lexicon.load(language).find(text)]


def find_learnt(text: str, language: str, model: str) -> list[Mention]:
    """Conditions that the model at a path finds, where there is one for the language; ordered, never overlapping.

    Their scores are calibrated: the probability that the best code of the span is the text's.
    """
    opened = reader.load(model) if model else None
    learnt = opened.reader(language, corpus.DIAGNOSIS) if opened else None
    if learnt is None:
        return []
    return [
        _condition((p.begin, p.end), p.probability, p.code)
        for p in reader.apart(p for p in learnt.read(text).proposals if p.probability >= LEAST)
    ]


def _mention(found: Found) -> Mention:
    score = _AMBIGUOUS if found.sense.ambiguous else SCORES[found.sense.kind]
    return _condition((found.begin, found.end), score, found.sense.codes[0])


def _condition(span: Offsets, score: float, code: str) -> Mention:
    nature = next((name for codes, name in _NATURES if codes.match(code.upper())), None)
    traits = (Trait(nature, score),) if nature else ()
    return Mention("MEDICAL_CONDITION", "DX_NAME", (span,), score, traits)
