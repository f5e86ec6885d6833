"""Medical conditions named in a text, by the lexicon: diagnoses, signs and symptoms as MEDICAL_CONDITION / DX_NAME.

What the text says of them (negated, past, of the family) is `assertion`'s business, which code they get the coding
stage's.
"""

from typing import Final

from medpipe_assets.lexicon import lexicon
from medpipe_assets.lexicon.lexicon import Found
from medpipe_assets.recognition.engine import Mention

SCORES: Final = {
    "own": 0.9,
    "abbreviation": 0.85,
    "title": 0.85,
    "unspecified": 0.85,
    "inclusion": 0.8,
    "include": 0.7,
    "bag": 0.6,
}
"""How sure we are that a term of each kind names a condition; ordinal, not calibrated."""
_AMBIGUOUS: Final = 0.5


def find(text: str, language: str) -> list[Mention]:
    """Conditions in a text, ordered by span, never overlapping."""
    return [_mention(found) for found in lexicon.load(language).find(text)]


def _mention(found: Found) -> Mention:
    score = _AMBIGUOUS if found.sense.ambiguous else SCORES[found.sense.kind]
    return Mention("MEDICAL_CONDITION", "DX_NAME", ((found.begin, found.end),), score)
