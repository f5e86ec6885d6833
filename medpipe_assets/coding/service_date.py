"""The day of service that a document states, which decides what release of the code set its codes are judged against.

HIPAA asks for the codes in force when the service was given (45 CFR 162.1000), which for a stay is the day of
discharge (CMS, ICD-10-CM/PCS transmittals). Only a date behind a label counts; what the label does not say is left
to the day on which the document was received.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Final

_LABELS: Final = (
    r"(?:date of )?discharged?(?: date| on)?|fecha de(?:l)? alta|(?:date de )?sortie|data d[ae] alta"
    r"|(?:data di )?dimissione|entlassung(?:sdatum)?(?: am)?",
    r"date of (?:service|visit|encounter|consultation|examination|procedure)|(?:service|visit|encounter) date|dos"
    r"|fecha de(?: la)? (?:consulta|atención|visita|asistencia|exploración)|date de (?:la )?(?:consultation|visite)"
    r"|data d[ae] (?:consulta|atendimento|visita)|data (?:della )?visita|(?:behandlungs|untersuchungs)datum",
    r"(?:date of )?admi(?:tted|ssion)(?: date| on)?|fecha de ingreso|date d['’](?:entrée|admission)"
    r"|data d[ae] (?:internação|admissão|internamento)|data di ricovero|aufnahme(?:datum)?(?: am)?",
    r"date|fecha|data|datum",
)
"""Labels in six languages, those first that say more: discharge, service, admission, and a mere 'date'."""

_MONTHS: Final = (
    ("jan", "ene", "gen", "jän"), ("feb", "fev", "fév"), ("mar", "mär"), ("apr", "abr", "avr"), ("may", "mai", "mag"),
    ("jun", "juin", "giu"), ("jul", "juil", "lug"), ("aug", "ago", "aoû", "aou"), ("sep", "set"),
    ("oct", "out", "ott", "okt"), ("nov",), ("dec", "dic", "dez", "déc"),
)  # fmt: skip
_DATE: Final = (
    r"(?P<iso>\d{4}-\d{2}-\d{2})|(?P<first>\d{1,2})(?P<sign>[/.-])(?P<second>\d{1,2})(?P=sign)(?P<year>\d{4}|\d{2})(?!\d)"
    r"|(?P<day>\d{1,2})\.?(?:st|nd|rd|th|er|º)? (?:de |of )?(?P<month>[a-zà-ÿ]{3,10})\.?,? (?:del? )?(?P<of>\d{4})"
    r"|(?P<name>[a-z]{3,9})\.? (?P<on>\d{1,2})(?:st|nd|rd|th)?,? (?P<in>\d{4})"
)
_PATTERNS: Final = tuple(
    re.compile(rf"(?<![\w/])(?:{label})\s*[:.]?\s{{0,3}}(?:{_DATE})", re.IGNORECASE) for label in _LABELS
)
_CENTURY: Final = 2000


def service_date(texts: Iterable[tuple[str, str]], received: dt.date) -> dt.date:
    """The day of service that a document's texts state; the day of receipt where they state none, or a later one.

    Args:
        texts: each with its language (ISO 639-1): '03/04/2026' is 4 March in English, 3 April in the others.
    """
    known = list(texts)
    for pattern in _PATTERNS:
        days = (day for text, language in known for day in _days(pattern, text, language) if day <= received)
        if (latest := max(days, default=None)) is not None:
            return latest
    return received


def _days(pattern: re.Pattern[str], text: str, language: str) -> Iterator[dt.date]:
    for match in pattern.finditer(text):
        try:
            yield _day(match, language)
        except ValueError:
            continue  # 31 February, or a word that is no month


def _day(match: re.Match[str], language: str) -> dt.date:
    part = match.groupdict()
    if part["iso"]:
        return dt.date.fromisoformat(part["iso"])
    if part["first"]:
        first, second, year = (int(part[name]) for name in ("first", "second", "year"))
        month_first = language == "en" and part["sign"] != "." and first <= len(_MONTHS)
        month, day = (first, second) if month_first else (second, first)
        return dt.date(year if year > 99 else _CENTURY + year, month, day)
    if part["day"]:
        return dt.date(int(part["of"]), _month(part["month"]), int(part["day"]))
    return dt.date(int(part["in"]), _month(part["name"]), int(part["on"]))


def _month(name: str) -> int:
    begun = (number for number, stems in enumerate(_MONTHS, start=1) if name.lower().startswith(stems))
    return next(begun, 0)
