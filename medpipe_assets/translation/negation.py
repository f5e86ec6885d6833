"""Whether a translation lost its negation: the one mistake that turns a finding into its opposite.

A check by cue words, not a parser: it knows that a sentence denies something, not what. Pure functions.
"""

import re

_CUES: dict[str, str] = {
    "es": r"no(?! s[óo]lo\b| solamente\b| obstante\b)|sin(?! embargo\b)|ni|nunca|jam[áa]s|ning[úu]n[oa]?s?|nada|nadie|"
    r"tampoco|nieg[oa]n?|negaba|neg[óo]|negando|ausen\w+|descart\w+|negativ[oa]s?",
    "fr": r"non(?! seulement\b)|n['’]|ne|pas|sans(?! doute\b)|ni|aucune?s?|jamais|nie|niait|absen\w+|exclu\w*|"
    r"n[ée]gatifs?|n[ée]gatives?",
    "pt": r"n[ãa]o(?! s[óo]\b| apenas\b)|sem|nem|nunca|jamais|nenhum\w*|nada|ningu[ée]m|tampouco|nega(?:m|va|ndo)?|"
    r"negou|ausen\w+|ausên\w+|descart\w+|negativ[oa]s?",
    "it": r"non(?! solo\b)|senza|n[ée]|mai|nessun\w*|niente|nulla|neppure|nemmeno|nega(?:no|va)?|assen\w+|esclu\w+|"
    r"negativ[oaei]",
    "de": r"nicht(?! nur\b)|kein\w*|ohne|nie|niemals|nichts|niemand|weder|verneint\w*|fehlen\w*|ausschlu\w*|"
    r"ausgeschlossen|negativ\w*",
}
_ENGLISH = (
    r"no|not(?! only\b)|cannot|\w+n['’]t|without|never|none|nobody|nothing|nor|neither|absen\w+|"
    r"den(?:y|ies|ied|ying|ial)|"
    r"exclu\w+|rul\w+ out|discard\w*|negativ\w*|free of|lack\w*|"
    r"unremarkable|unchanged|uneventful|painless|afebrile|asymptomatic|non"
)
_SOURCE = {language: re.compile(rf"(?<!\w)(?:{cues})(?!\w)", re.IGNORECASE) for language, cues in _CUES.items()}
_SOURCE["fr"] = re.compile(rf"(?<!\w)(?:n['’]|(?:{_CUES['fr']})(?!\w))", re.IGNORECASE)
_TARGET = re.compile(rf"(?<!\w)(?:{_ENGLISH})(?!\w)", re.IGNORECASE)


def negation_cues(source: str, language: str) -> list[tuple[int, int]]:
    """The spans of the negation cues in a source text, in order; none where the language is unknown."""
    pattern = _SOURCE.get(language)
    return [match.span() for match in pattern.finditer(source)] if pattern else []


def denies(target: str) -> bool:
    """Whether an English text holds a negation cue."""
    return _TARGET.search(target) is not None


def negation_lost(source: str, target: str, language: str) -> bool:
    """Whether the source denies something and its English denies nothing.

    Args:
        source: a sentence in es, fr, pt, it or de (for others the answer is False).
        target: its English.
        language: ISO 639-1 code of the source.
    """
    return bool(negation_cues(source, language)) and not denies(target)
