"""English for learned words by their Greek and Latin parts: the last resort before a word passes through untouched.

A word is rewritten only where its ending is a known one; then its roots are respelled too ('nefrolitiasis' ->
'nephrolithiasis', 'adénopathie' -> 'adenopathy'). Everyday words are the lexicon's business.
"""

import re
import unicodedata

_ROMANCE: list[tuple[str, str, str]] = [
    # ending, English, kind
    (r"(?:ectom[ií]a|ectomie)(s?)$", "ectomy", "n"),
    (r"(?:(?<=[oa])tom[ií]a|(?<=o)tomie)(s?)$", "tomy", "n"),
    (r"(?:stom[ií]a|stomie)(s?)$", "stomy", "n"),
    (r"(?:plast[ií]a|plastie|plastica)(s?)$", "plasty", "n"),
    (r"(?:scop[ií]a|scopie)(s?)$", "scopy", "n"),
    (r"(?:graf[ií]a|graphie)(s?)$", "graphy", "n"),
    (r"(?:grama|gramme|gramma)(s?)$", "gram", "n"),
    (r"(?:log[ií]a|logie)(s?)$", "logy", "n"),
    (r"(?:pat[ií]a|pathie)(s?)$", "pathy", "n"),
    (r"(?:terapia|thérapie)(s?)$", "therapy", "n"),
    (r"(?:trofia|trophie)(s?)$", "trophy", "n"),
    (r"(?:megalia|mégalie)(s?)$", "megaly", "n"),
    (r"(?:metr[ií]a|métrie)(s?)$", "metry", "n"),
    (r"(?:[ií]tis|ite|ites)()$", "itis", "n"),
    (r"(?:osis|óse|ose|osi|oses)()$", "osis", "n"),
    (r"(?:íase|iase|iasi|iasis)()$", "iasis", "n"),
    (r"(?:oma|ome)(s?)$", "oma", "n"),
    (r"(?:emia|émie|êmia|émia)(s?)$", "emia", "n"),
    (r"(?:uria|urie|úria)(s?)$", "uria", "n"),
    (r"(?:algia|algie)(s?)$", "algia", "n"),
    (r"(?:plejia|plégie|plegia)(s?)$", "plegia", "n"),
    (r"(?:fagia|phagie)(s?)$", "phagia", "n"),
    (r"(?:plasia|plasie)(s?)$", "plasia", "n"),
    (r"(?:ectasia|ectasie)(s?)$", "ectasia", "n"),
    (r"(?:ción|cion|tion|ção|zione)()$", "tion", "n"),
    (r"(?:ciones|tions|ções|zioni)()$", "tions", "n"),
    (r"(?:sión|sion|são|sione)()$", "sion", "n"),
    (r"(?:siones|sions|sões|sioni)()$", "sions", "n"),
    (r"(?:idad|ité|idade|ità)()$", "ity", "n"),
    (r"(?:idades|ités)()$", "ities", "n"),
    (r"(?:ismo|isme|ismi)(s?)$", "ism", "n"),
    (r"(?:icamente|iquement)()$", "ically", "r"),
    (r"(?:osamente|eusement)()$", "ously", "r"),
    (r"[áa]neamente()$", "aneously", "r"),
    (r"(?:ivamente|ivement)()$", "ively", "r"),
    (r"(?:almente|ellement|alement)()$", "ally", "r"),
    (r"(?:[ií]aco|[ií]aca|íacos|íacas|iaque|iaques|iaci|iache)()$", "iac", "a"),
    (r"(?:l[óo]gic[oi]s?|l[óo]gi[cq][au]e?s?|logiche)()$", "logical", "a"),
    (r"(?:gráfic[oa]s?|grafic[oi]|grafiche|graphiques?)()$", "graphic", "a"),
    (r"(?:ico|ica|icos|icas|ique|iques|ici|iche)()$", "ic", "a"),
    (r"(?:oso|osa|osos|osas|eux|euse|euses|osi|ose)()$", "ous", "a"),
    (r"(?:ivo|iva|ivos|ivas|if|ive|ifs|ives|ivi)()$", "ive", "a"),
    (r"(?:ario|aria|arios|arias|aire|aires|ário|ária|ários|árias|ari)()$", "ary", "a"),
    (r"(?:ales|al|aux|ale|ali|ais)()$", "al", "a"),
    (r"(?:ares|ar|are|ari)()$", "ar", "a"),
    (r"(?:ables|able|ável|áveis|abile|abili)()$", "able", "a"),
    (r"(?:ibles|ible|ível|íveis|ibile|ibili)()$", "ible", "a"),
    (r"(?:encia|ência|enza)(s?)$", "ence", "n"),
    (r"(?:ancia|ância|anza)(s?)$", "ance", "n"),
]
_GERMAN: list[tuple[str, str, str]] = [
    (r"ektomien?()$", "ectomy", "n"), (r"tomien?()$", "tomy", "n"), (r"plastik()$", "plasty", "n"),
    (r"skopien?()$", "scopy", "n"), (r"gra(?:ph|f)ien?()$", "graphy", "n"), (r"gramme?()$", "gram", "n"),
    (r"logien?()$", "logy", "n"), (r"pathien?()$", "pathy", "n"), (r"therapien?()$", "therapy", "n"),
    (r"trophien?()$", "trophy", "n"), (r"megalie()$", "megaly", "n"), (r"itis()$", "itis", "n"),
    (r"osen?()$", "osis", "n"), (r"ome?()$", "oma", "n"), (r"ämien?()$", "emia", "n"), (r"urien?()$", "uria", "n"),
    (r"algien?()$", "algia", "n"), (r"tion()$", "tion", "n"), (r"tionen()$", "tions", "n"), (r"sion()$", "sion", "n"),
    (r"ität()$", "ity", "n"), (r"ismus()$", "ism", "n"), (r"isch(?:e[nrsm]?)?()$", "ic", "a"),
    (r"(?<=[a-z]{4})al(?:e[nrsm]?)?()$", "al", "a"), (r"iv(?:e[nrsm]?)()$", "ive", "a"),
    (r"ös(?:e[nrsm]?)?()$", "ous", "a"),
]  # fmt: skip
_SUFFIXES = {
    language: [(re.compile(pattern), english, kind) for pattern, english, kind in rules]
    for language, rules in {"es": _ROMANCE, "fr": _ROMANCE, "pt": _ROMANCE, "it": _ROMANCE, "de": _GERMAN}.items()
}

_ROOTS: list[tuple[str, str]] = [
    (r"^es(?=[cptqf])", "s"),
    (r"^(?=emat|emo|epat|ister|iper|ipo|idr|erp)", "h"),
    (r"spondil", "spondyl"), (r"cromat", "chromat"), (r"posib", "possib"),
    (r"(?<!he)pato$", "patho"),
    (r"lit$", "lith"),
    (r"sfinter", "sphincter"),
    (r"cito(?=lo|meg|log|sta|pen|t)|cito$", "cyto"),
    (r"querat", "kerat"),
    (r"^crio", "cryo"),
    (r"^asimet", "asymmet"),
    (r"espectr", "spectr"),
    (r"aplic", "applic"),
    (r"patolog", "patholog"),
    (r"hiper", "hyper"), (r"hipo", "hypo"), (r"hidr", "hydr"), (r"hister", "hyster"), (r"nefr", "nephr"),
    (r"litia", "lithia"), (r"lito", "litho"), (r"linf", "lymph"), (r"eritr", "erythr"), (r"tromb", "thromb"),
    (r"cardiopa", "cardiopa"), (r"colec", "cholec"), (r"coledoc", "choledoc"), (r"colang", "cholang"),
    (r"(?<![a-z])cist|(?<=o|e)cist", "cyst"), (r"artr", "arthr"), (r"tiroid", "thyroid"), (r"tiro(?=[a-z])", "thyro"),
    (r"oft[ah]*lm", "ophthalm"), (r"(?<![a-z])psic", "psych"), (r"^neum", "pneum"), (r"cefal", "cephal"),
    (r"faring", "pharyng"), (r"laring", "laryng"), (r"esofag", "esophag"), (r"fibril", "fibrill"), (r"^leuc", "leuk"),
    (r"mielo", "myelo"), (r"miocard", "myocard"), (r"^mio", "myo"), (r"dism", "dysm"), (r"displas", "dysplas"),
    (r"^disn", "dysn"), (r"^disf", "dysph"), (r"^disu", "dysu"), (r"fleb", "phleb"), (r"^(?:qu|k)imio", "chemo"),
    (r"ritm", "rhythm"), (r"^rino", "rhino"), (r"diafrag", "diaphrag"), (r"morf", "morph"), (r"plaquet", "platelet"),
    (r"anestes", "anesthes"), (r"siquiatr", "sychiatr"), (r"pediatr", "pediatr"), (r"reum", "rheum"),
    (r"esquel", "skelet"), (r"quist", "cyst"), (r"orqui", "orchi"), (r"bronqui", "bronchi"), (r"arquia", "archia"),
    (r"isquem", "ischem"), (r"^trasplant", "transplant"), (r"lapar", "lapar"), (r"pio(?=ner|der)", "pyo"),
    (r"^pielo", "pyelo"), (r"glic|gluc(?=em)", "glyc"), (r"lipem", "lipidem"), (r"^ictio", "ichthyo"),
    (r"trof", "troph"), (r"ff(?=icul)", "ff"), (r"ecogra", "echogra"), (r"^eco(?=cardio)", "echo"), (r"xant", "xanth"),
    (r"hepatoesplen", "hepatosplen"), (r"esplen", "splen"), (r"prostat", "prostat"), (r"parestes", "paresthes"),
    (r"simpat", "sympath"), (r"sinto", "sympto"), (r"torac", "thorac"), (r"(?<=.)ssi(?=on)", "ssi"),
]  # fmt: skip
_GERMAN_ROOTS = [(r"k(?!$)", "c"), (r"z", "c"), (r"oe", "e"), (r"ae", "e")]
_FIXED = [(re.compile(pattern), english) for pattern, english in _ROOTS]
_FIXED_GERMAN = [(re.compile(pattern), english) for pattern, english in _GERMAN_ROOTS]
_SHORTEST = 6
"""Shorter words end in these letters by chance."""


def cognate(word: str, language: str) -> tuple[str, str] | None:
    """(English, 'n', 'a' or 'r') for a lower-case word with a known ending; None for all others."""
    if len(word) < _SHORTEST or not word.isalpha():
        return None
    for pattern, english, kind in _SUFFIXES.get(language, ()):
        match = pattern.search(word)
        if match is not None and match.start() >= 2:
            plural = english[:-1] + "ies" if english.endswith("y") else english + "s"
            return _respelled(word[: match.start()], language) + (plural if match[1] else english), kind
    return None


def _respelled(stem: str, language: str) -> str:
    if language == "de":
        stem = stem.replace("ä", "ae").replace("ö", "oe")
        for pattern, english in _FIXED_GERMAN:
            stem = pattern.sub(english, stem)
    plain = "".join(c for c in unicodedata.normalize("NFKD", stem.replace("œ", "e")) if not unicodedata.combining(c))
    for pattern, english in _FIXED:
        plain = pattern.sub(english, plain)
    return plain
