"""Protected health information that has a form of its own: dates, ages, telephone and record numbers, net addresses.

Belongs here: what a regular expression can tell in any of the six languages. Does not belong here: names, streets and
professions, which need more than a form, so this is no de-identification.
"""

import re

from medpipe_assets.recognition.engine import Mention

SCORE = 0.9
"""Score of what its form or its label gives away: trust in the rule, not a calibrated probability."""

_MONTH = (
    r"(?:jan(?:uary|v\.|vier)?|feb(?:ruary|rero|ruar|braio)?|mar(?:ch|zo|s|ço)?|apr(?:il|ile)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember|tembre|iembre)?|oct(?:ober|obre|ubre)?|nov(?:ember|iembre|embre|embro)?|dec(?:ember)?|déc(?:embre)?"
    r"|enero|abril|mayo|junio|julio|agosto|setiembre|dic(?:iembre|embre)?|février|fevrier|avril|mai|juin|juillet|août|aout"
    r"|janeiro|fevereiro|março|maio|junho|julho|setembro|outubro|dezembro|gennaio|aprile|maggio|giugno|luglio|settembre"
    r"|ottobre|januar|jänner|märz|juni|juli|okt(?:ober)?|dez(?:ember)?)\.?"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:19|20)\d\d"
_DATE = (
    rf"{_YEAR}-(?:0?[1-9]|1[0-2])-{_DAY}|{_DAY}([/.-]){_DAY}\1(?:{_YEAR}|\d\d)"
    rf"|{_DAY}(?:st|nd|rd|th|er|º|°|\.)?\s(?:de\s|of\s)?{_MONTH}(?:,?\s(?:de[l]?\s)?{_YEAR})?"
    rf"|{_MONTH}\s{_DAY}(?:st|nd|rd|th)?(?:,?\s{_YEAR})?|{_MONTH}\s(?:de[l]?\s|of\s)?{_YEAR}"
)
_AGE = (
    r"\d{1,3}(?=[-\s](?:years?|months?|weeks?|days?)[-\s]old|\s(?:yo|y/o)\b|[-\s]jährige?[rsn]?\b)"
    r"|\d{1,3}(?=\s(?:años|meses|días|ans|mois|anos|anni|mesi)\s(?:de\s(?:edad|idade)|d['’]âge|di\setà))"
)
_PHONE_LABEL = r"(?:tel(?:e(?:phone|fono|fon|fone))?|téléphone|teléfono|phone|fax|tfno|tlf|mobile|móvil|cell)"
_ID_LABEL = (
    r"(?:mrn|medical record(?: number| no\.?| #)?|patient (?:id|number)|record (?:number|no\.?)"
    r"|account(?: number| no\.?)?|policy(?: number| no\.?)?|member id|ssn|npi|dni|nif|nie|nhc|nss|cip|nuhsa|cpf|rg"
    r"|nir|ipp|n[ºo°.]+ (?:de )?historia(?: clínica)?|processo(?: n[ºo°.]*)?|codice fiscale|versichertennummer"
    r"|fallnummer|patientennummer|fall-nr\.?|pat\.?-nr\.?)"
)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w@])(?:{pattern})(?!\w)", re.IGNORECASE)


# A pattern with a group `what` names only that group; the label before it is no part of the mention.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("EMAIL", _compiled(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("URL", _compiled(r"(?:https?://|www\.)[^\s<>\"')]+[^\s<>\"').,;:]")),
    ("DATE", _compiled(_DATE)),
    ("AGE", _compiled(_AGE)),
    ("ID", _compiled(rf"{_ID_LABEL}\s?[:#.-]?\s?(?P<what>(?=[A-Z/-]*\d)[A-Z0-9][A-Z0-9/-]{{4,18}})")),
    ("ID", _compiled(r"\d{3}-\d{2}-\d{4}")),
    ("PHONE_OR_FAX", _compiled(rf"{_PHONE_LABEL}\.?\s?[:.]?\s?(?P<what>\+?\(?\d[\d \t().-]{{6,18}}\d)")),
    ("PHONE_OR_FAX", _compiled(r"\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}|\(\d{3}\) ?\d{3}[-. ]\d{4}")),
    ("PHONE_OR_FAX", _compiled(r"\d{3}[-.]\d{3}[-.]\d{4}")),
)


def find(text: str) -> list[Mention]:
    """PROTECTED_HEALTH_INFORMATION in order (DATE, AGE, PHONE_OR_FAX, EMAIL, URL, ID); never overlapping."""
    taken: list[tuple[int, int, str]] = []
    for kind, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            begin, end = found.span("what") if "what" in pattern.groupindex else found.span()
            if all(end <= b or e <= begin for b, e, _ in taken):
                taken.append((begin, end, kind))
    return [Mention("PROTECTED_HEALTH_INFORMATION", kind, ((begin, end),), SCORE) for begin, end, kind in sorted(taken)]
