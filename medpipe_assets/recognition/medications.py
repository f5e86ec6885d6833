"""Medications in a text, with what is said of their dose, form, route, frequency and duration.

Belongs here: names of medications in six languages and the grammar of a prescription. Does not belong here: whether the
patient takes them (assertion.py), or any code of theirs.

data/medications.tsv has a row for each name: `en` (the international nonproprietary name in English, or the brand),
`type`, and a column for each other language only where its name does not follow from the English one by `SUFFIXES`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from medpipe_assets.recognition.engine import Attribute, Mention
from medpipe_assets.recognition.terms import LANGUAGES, Match, Reading, Terms, read, read_table

SCORE = 0.95
"""Score of a medication found by its whole name, and of an attribute found by the grammar: trust in the rule."""

NEAR, FAR = 0.95, 0.8
"""Relationship scores of an attribute right behind its medication, and of one further on."""

GAP = 45
"""How many characters may lie between a medication and its first attribute, and between two attributes."""

BEHIND, BEFORE = 160, 40
"""How many characters behind and before a medication its attributes may stand."""

# Ending in English -> ending in the language, the longest first; then the language's spelling of single letters.
SUFFIXES: dict[str, tuple[tuple[str, str], ...]] = {
    "es": (
        (r"(\w+)ic acid$", r"acido \1ico"),
        ("oxacin$", "oxacino"),
        ("ine?$", "ina"),
        ("ole$", "ol"),
        ("one$", "ona"),
        ("ide$", "ida"),
        ("ate$", "ato"),
        ("ium$", "io"),
        ("([ae])ne$", r"\1no"),
        ("ase$", "asa"),
        ("ose$", "osa"),
        ("ime$", "ima"),
        ("ph", "f"),
        ("th", "t"),
        ("y", "i"),
        ("ll", "l"),
        ("mm", "m"),
    ),
    "fr": ((r"(\w+)ic acid$", r"acide \1ique"), ("in$", "ine"), ("am$", "am")),
    "it": (
        (r"(\w+)ic acid$", r"acido \1ico"),
        ("ine?$", "ina"),
        ("ole?$", "olo"),
        ("ate$", "ato"),
        ("ium$", "io"),
        ("([ae])ne$", r"\1ne"),
        ("ase$", "asi"),
        ("ose$", "osio"),
        ("ime$", "ima"),
        ("ph", "f"),
        ("th", "t"),
        ("y", "i"),
    ),
    "de": (
        (r"(\w+)ic acid$", r"\1insaure"),
        ("ine$", "in"),
        ("ole$", "ol"),
        ("one$", "on"),
        ("ide$", "id"),
        ("ate$", "at"),
        ("([ae])ne$", r"\1n"),
        ("ase$", "ase"),
        ("ime$", "im"),
    ),
}
# Portuguese names end as the Spanish ones do, but for the quinolones (and Brazil's, which are given as exceptions).
SUFFIXES["pt"] = tuple(rule for rule in SUFFIXES["es"] if rule[0] != "oxacin$")

_NUMBER = (
    r"(?:\d+(?:[.,]\d+)?(?:\s?(?:[-/⁄]|to|a|bis)\s?\d+(?:[.,]\d+)?)?"
    r"|one|two|three|half|una?|uno|dos|tres|medi[oa]|une|deux|trois|um|uma|dois|duas|due|tre|mezza|eine?|zwei|drei)"
)
_UNIT = (
    r"(?:(?:mg|mcg|[uμ]g|g|gr|ml|cc|u|ui|iu|ie|i\.e\.|u\.i\.|meq|mmol|units?|unidades|unites|unita|einheiten|grams?|gramos?"
    r"|milligrams?|miligramos|grammes?|grammi|gramm|milliliters?)"
    r"(?:\s?/\s?(?:kg|m2|h|hr|min)){0,2})"
)
_STRENGTH = rf"{_NUMBER}\s?(?:(?:mg|mcg|[uμ]g|g|ui|iu|u|units)\s?/\s?(?:\d*\s?ml|l|puff|dosis|dose|actuation|inh)|%)"
_FORM = (
    r"(?:tablets?|tabs?|tbl|tabletten?|tabletas?|capsul[ae]s?|caps?|kps|kapseln?|comprimid[oa]s?|compr?|comprimes?|cpr?s?"
    r"|gelules?|compress[ae]|pastillas?|pills?|drops?|gotas|gouttes|gocce|tropfen|gtt|sobres?|sachets?|bustin[ae]|saquetas?"
    r"|beutel|patch|patches|parches?|adesivos?|cerott[oi]|pflaster|cream|crema|creme|salbe|pomada|pommade|ointment|unguento"
    r"|inhalers?|inhalador|puffs?|inh|inhalaci(?:on|ones)|hube?|sprays?|suspension|suspensao|sospensione|jarabe|syrup|sirop"
    r"|xarope|sciroppo|saft|solution|solucion|ampollas?|ampoules?|ampolas?|amp|fial[ae]|ampullen?|vials?|viales"
    r"|supositorios?|suppository|suppositories|suppost[ae]|zapfchen|cucharadas?|teaspoons?|tsp|ovulos?|gel|lotion)"
)
_ROUTE = (
    r"(?:by mouth|per os|per via orale|par voie (?:orale|intraveineuse|sous-cutanee)|por via (?:oral|intravenosa|"
    r"endovenosa|subcutanea)|via (?:oral|intravenosa|endovenosa|subcutanea|intramuscular|topica|inhalatoria|sublingual"
    r"|orale|sc|iv|ev|im)|oral(?:ly|e|es)?|p\.?\s?o\.?|v\.?\s?o\.?|i\.?\s?v\.?|e\.?\s?v\.?|i\.?\s?m\.?|s\.?\s?c\.?|s\.?\s?l\.?"
    r"|intravenous(?:ly)?|intravenos[oae]|intraveineux|endovenos[oa]|intramuscular(?:ly|e)?|intramuskular|subq|sq"
    r"|subcutaneous(?:ly)?|subcutane[oa]|subkutan|sottocute|sous-cutanee?|sublingual(?:e|ly)?|topical(?:ly)?|topic[oa]"
    r"|inhaled|inhalad[oa]|inhalativ|nebuli[sz]ed|nebulizad[oa]|rectal(?:ly)?|pr|vaginal(?:ly)?|transdermal"
    r"|transdermic[oa]|intranasal(?:ly)?|ophthalmic|oftalmic[oa]|intrathecal)"
)
_TIMES = r"(?:once|twice|(?:one|two|three|four|five|six|\d+) times)"
_A_DAY = r"/\s?(?:\d+\s?(?:h|horas|std)|d|dia|day|j|jour|die|tag)"
_FREQUENCY = (
    rf"(?:{_TIMES} (?:daily|weekly|monthly|(?:a|per|each|every) (?:day|week|month|night))"
    r"|every (?:other (?:day|week)|\d+(?:\s?(?:-|to)\s?\d+)?\s?(?:hours?|hrs?|h|days?|weeks?|months?)"
    r"|(?:four|six|eight|twelve|two|three) (?:hours|weeks|months|days)|morning|evening|night|day|week|month)"
    r"|q\.?\s?\d+(?:\s?-\s?\d+)?\s?h(?:rs?|ours)?|q\.?d\.?|b\.?i\.?d\.?|t\.?i\.?d\.?|q\.?i\.?d\.?|q\.?h\.?s\.?|qam|qpm|qod"
    r"|once daily|twice daily|(?:at )?bedtime|nightly|daily|weekly|monthly|as needed|as directed|prn|stat"
    r"|(?:with|before|after) meals|in the (?:morning|evening)|at night|per day|a day"
    # Spanish and Portuguese
    r"|(?:a )?cada \d+(?:\s?-\s?\d+)?\s?(?:h|hs|hrs|horas?|dias?|semanas|meses)"
    r""
    r"|cada (?:dia|noche|manana|semana|ocho horas|doce horas|seis horas)|c\s?/\s?\d+\s?(?:h|hs|hrs|horas)?"
    r"|de \d+ (?:em|en) \d+ (?:h|horas)|\d+/\d+\s?(?:h|horas)"
    r"|(?:una|dos|tres|uma|duas|\d+) (?:vez|veces|vezes) (?:al dia|ao dia|por dia|a la semana|por semana|al mes)"
    r"|al dia|ao dia|por dia|diari[oa]s?|diariamente|por las? (?:manana|noche|tarde)s?"
    r"|(?:en|con) (?:el )?(?:desayuno|comida)"
    r"|(?:en|con) la (?:cena|comida)|en ayunas|em jejum|al acostarse|ao deitar|pela manha|a noite"
    r"|antes de (?:dormir|acostarse)"
    r"|a demanda|si precisa|si dolor|si fiebre|se necessario|s\.?o\.?s\.?|semanal(?:mente)?"
    # French
    r"|(?:une|deux|trois|quatre|\d+) fois (?:par jour|/\s?j(?:our)?|par semaine|par mois)|par jour"
    r"|toutes les \d+\s?(?:h|heures)"
    r"|(?:le )?matin(?:,? midi)?(?: et (?:le )?soir)?|le soir|au coucher|si besoin|par semaine"
    # Italian
    r"|ogni \d+\s?(?:h|ore)|(?:una|due|tre|\d+) volt[ae] (?:al giorno|al di|a settimana)|al giorno"
    r"|(?:x\s?\d\s?/\s?)?die|al di"
    r"|al mattino|(?:al)?la sera|al bisogno|prima di (?:dormire|coricarsi)"
    # German
    r"|alle \d+\s?(?:stunden|std\.?|h)|(?:ein|zwei|drei|vier)mal (?:taglich|tgl\.?|pro (?:tag|woche))"
    r"|\d\s?x\s?(?:tgl\.?|taglich|/\s?(?:tag|d)|pro (?:tag|woche)|wochentlich)|taglich|tgl\.?|morgens|mittags|abends"
    r"|zur nacht|nachts|bei bedarf|pro tag|wochentlich"
    # Everywhere: morning-noon-evening(-night)
    r"|\d(?:[.,/]\d)?\s?-\s?\d(?:[.,/]\d)?\s?-\s?\d(?:[.,/]\d)?(?:\s?-\s?\d)?)"
)
_DAYS = (
    r"(?:days?|weeks?|months?|years?|dias?|semanas?|mes(?:es)?|anos?|jours?|semaines?|mois|giorni|settiman[ae]|mesi"
    r"|tagen?|wochen?|monaten?)"
)
_DURATION = (
    rf"(?:(?:for|x|durante|por|pendant|per|fur|uber)(?: the next| otros| unos)?\s?"
    rf"(?:{_NUMBER}|four|five|six|seven|ten|fourteen|cinco|siete|diez|sette|sept|dix|sieben|zehn)\s?(?:more )?{_DAYS})"
)
# '7 dias' alone, but not 'hace 7 dias' or '7 days ago'.
_BARE_DURATION = rf"(?<!hace )(?<!vor )(?<!depuis )(?<!ha )\d+\s{_DAYS}(?! ago| antes| fa| atras)"
_DOSE_OF_FORM = rf"{_NUMBER}\s?{_FORM}"


def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?<![.,]\b){pattern}(?![^\W_])")


# In the order of precedence: what one pattern took the later ones do not see.
_GRAMMAR: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("DURATION", _whole(_DURATION)),
    ("FREQUENCY", _whole(_FREQUENCY)),
    ("FREQUENCY", re.compile(rf"{_A_DAY}(?![^\W_])")),
    ("STRENGTH", re.compile(rf"(?<![\w.,]){_STRENGTH}(?![^\W_])")),
    ("DOSAGE", _whole(_DOSE_OF_FORM)),
    ("DOSAGE", _whole(rf"{_NUMBER}\s?{_UNIT}(?!\s?/\s?(?:d?l|ml))")),
    ("ROUTE_OR_MODE", _whole(_ROUTE)),
    ("FORM", _whole(_FORM)),
    ("DURATION", _whole(_BARE_DURATION)),
)
_FORM_ONLY = re.compile(_FORM + "$")
# The stop of an abbreviation ('comp.', 'tgl.', 'v.o.') ends no sentence.
_SENTENCE_END = re.compile(
    r"\n|;|(?<!\b\w)(?<!\b\w\w)(?<!\bcomp)(?<!\bcompr)(?<!\btab)(?<!\btabs)(?<!\bcap)(?<!\bcaps)(?<!\bcpr)(?<!\btbl)(?<!\btgl)"
    r"(?<!\bamp)(?<!\bstd)\.(?= |$)"
)
_LEADING_DOSE = re.compile(rf"(?<![^\W_])({_NUMBER}\s?(?:{_UNIT}|{_FORM}))(?: (?:of|de|di|von) | d'| )$")


@dataclass(frozen=True, slots=True)
class _Part:
    type: str
    begin: int
    end: int


@cache
def _names(language: str) -> tuple[Terms, tuple[str, ...]]:
    terms: list[str] = []
    types: list[str] = []
    for row in read_table("medications.tsv"):
        for name in _variants(row, language):
            terms.append(name)
            types.append(row["type"])
    return Terms(terms), tuple(types)


def _variants(row: dict[str, str], language: str) -> Iterator[str]:
    """The names of a medication in a language; the English one is understood in all."""
    yield from row["en"].split("|")
    if language == "en" or row["type"] == "BRAND_NAME":
        return
    own = row.get(language) or ""
    yield from own.split("|") if own else (localised(name, language) for name in row["en"].split("|"))


def localised(name: str, language: str) -> str:
    """An English nonproprietary name in another language, by its suffix and spelling; without accents."""
    endings = [rule for rule in SUFFIXES[language] if rule[0].endswith("$")]
    for pattern, replacement in endings:
        changed = re.sub(pattern, replacement, name)
        if changed != name:
            name = changed
            break
    for pattern, replacement in SUFFIXES[language]:
        if not pattern.endswith("$"):
            name = name.replace(pattern, replacement)
    return name


def find(text: str, language: str) -> list[Mention]:
    """Medications by name, in order, each with the attributes found beside it in its sentence.

    Types are GENERIC_NAME and BRAND_NAME. An amount in mass or volume is the DOSAGE, but a STRENGTH where a form
    follows it or a count of forms is given besides ('500 mg tablet', '500 mg, 1 comp').
    """
    if language not in LANGUAGES:
        return []
    terms, types = _names(language)
    folded = read(text)
    matches = terms.find_folded(folded)
    mentions = []
    for at, match in enumerate(matches):
        after = matches[at + 1].begin if at + 1 < len(matches) else len(folded.text)
        before = matches[at - 1].end if at else 0
        parts = _behind(folded.text, match.end, min(after, match.end + BEHIND))
        parts += _before(folded.text, max(before, match.begin - BEFORE), match.begin)
        attributes = tuple(_attribute(text, folded, part, match) for part in sorted(parts, key=lambda part: part.begin))
        span = folded.span(match.begin, match.end)
        mentions.append(Mention("MEDICATION", types[match.index], (span,), SCORE, attributes=attributes))
    return mentions


def _behind(text: str, begin: int, limit: int) -> list[_Part]:
    """The parts of a prescription behind a name: up to the sentence's end or a gap too wide to belong together."""
    stop = _SENTENCE_END.search(text, begin, limit)
    limit = stop.start() if stop else limit
    taken: list[_Part] = []
    for kind, pattern in _GRAMMAR:
        for found in pattern.finditer(text, begin, limit):
            if all(found.end() <= part.begin or part.end <= found.start() for part in taken):
                taken.append(_Part(kind, found.start(), found.end()))
    taken.sort(key=lambda part: part.begin)
    parts: list[_Part] = []
    reached = begin
    for part in taken:
        # A second dose after other words is that of a medication whose name is not known.
        again = part.type == "DOSAGE" and any(p.type == "DOSAGE" for p in parts)
        if part.begin - reached > (GAP if not again else len(" and ")):
            break
        parts.append(part)
        reached = part.end
    return _with_strengths(text, parts)


def _with_strengths(text: str, parts: list[_Part]) -> list[_Part]:
    """Tell strengths from dosages, and give the form of each counted dose ('1 comp') as a part of its own."""
    counted = [part for part in parts if part.type == "DOSAGE" and _FORM_ONLY.search(text, part.begin, part.end)]
    result: list[_Part] = []
    for at, part in enumerate(parts):
        form_follows = at + 1 < len(parts) and parts[at + 1].type == "FORM" and parts[at + 1].begin - part.end <= 2
        if part.type == "DOSAGE" and part not in counted and (counted or form_follows):
            part = _Part("STRENGTH", part.begin, part.end)
        result.append(part)
        if part in counted:
            form = _FORM_ONLY.search(text, part.begin, part.end)
            result.append(_Part("FORM", form.start() if form else part.begin, part.end))
    return result


def _before(text: str, begin: int, end: int) -> list[_Part]:
    """A dose right before the name: '500 mg of amoxicillin'."""
    found = _LEADING_DOSE.search(text, begin, end)
    return [_Part("DOSAGE", *found.span(1))] if found else []


def _attribute(text: str, folded: Reading, part: _Part, match: Match) -> Attribute:
    begin, end = folded.span(part.begin, part.end)
    near = part.begin - match.end <= GAP // 4
    return Attribute(part.type, "MEDICATION", text[begin:end], ((begin, end),), SCORE, NEAR if near else FAR, part.type)
