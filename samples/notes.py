"""What a document says: a cast of facts chosen by the seed, told in the phrasing of a language, as a list of blocks.

How blocks look on paper is layout.py, in which file format is formats.py and paper.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from samples.bank import COMBINED, Condition, Drug, conditions, drugs, phrasing

_REFERENCE_DAY = date(2025, 6, 30)
"""Dates in the documents lie in the months before it; the clock is never read."""

_VOWELS = "aeiouhàâéèêëîïôœAEIOUHÀÂÉÈÊ"
"""Letters before which French `de` is elided: every h in the bank is mute."""


_EUPHONIC = {("es", "i"): " e ", ("es", "í"): " e ", ("it", "e"): " ed "}
"""The `and` of a language before a term's first letter, where it is not the usual one."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a note.

    Attributes:
        kind: 'letterhead', 'title', 'heading', 'paragraph', 'items', 'fields', 'table', 'signature' or 'break' (page).
        lines: the text; for a table or fields, rows of cells.
    """

    kind: str
    lines: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Mention:
    """A fact told in a note; its page is known only after layout."""

    condition: Condition
    assertion: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Prescription:
    """A drug as written in a note."""

    drug: Drug
    name: str
    dose: str
    route: str
    frequency: str


@dataclass(frozen=True, slots=True)
class Note:
    """A document's content before it has pages."""

    language: str
    header: str
    footer: str
    page_label: str
    blocks: tuple[Block, ...]
    mentions: tuple[Mention, ...]
    prescriptions: tuple[Prescription, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """Who has what: all keys distinct, no pair of COMBINED, no term within another's."""

    acute: Condition
    chronic: list[Condition]
    family: Condition
    feared: Condition
    excluded: list[Condition]
    present: list[Condition]
    absent: list[Condition]


@dataclass(slots=True)
class _Draft:
    """A note being written: everything drawn so far. Terms go in only through `say`, so that no mention is missed."""

    rng: Random
    language: str
    sex: str
    age: int
    mentions: list[Mention] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    @property
    def words(self) -> Any:
        return phrasing()[self.language]

    def pick(self, key: str) -> str:
        """One of a key's templates, another one each time while there are any."""
        choices = self.words[key]
        choices = choices[self.sex] if isinstance(choices, dict) else choices
        template = str(self.rng.choice([c for c in choices if c not in self.used] or choices))
        self.used.add(template)
        return template

    def term(self, condition: Condition, assertion: str, capital: bool = False) -> str:
        text = self.rng.choice(condition.terms[self.language])
        text = text[0].upper() + text[1:] if capital else text
        self.mentions.append(Mention(condition, assertion, text))
        return text

    def say(self, key: str, about: Sequence[Condition] = (), assertion: str = "asserted", **numbers: Any) -> str:
        """A sentence of phrasing.yaml with its slots filled."""
        template = self.pick(key)
        relative = self.rng.choice("fm") if len(about) != 1 or not about[0].sex else about[0].sex
        slots = {
            **numbers,
            "r": self.words["relatives"][relative],
            "R": self.words["relatives"][relative].capitalize(),
            "the_r": self.words["the_relatives"][relative],
            "o": "a" if self.sex == "f" else "o",
            "e": "e" if self.sex == "f" else "",
        }
        if about:
            terms = [self.term(c, assertion, capital="{X}" in template) for c in about]
            joined = {"x": terms[0], "X": terms[0], "de_x": elided(terms[0])}
            slots |= joined | {"and": self._joined(terms, "and"), "or": self._joined(terms, "or")}
            with_de = [elided(t) for t in terms]
            slots |= {"and_de": self._joined(with_de, "and"), "or_de": self._joined(with_de, "or")}
        return template.format(**slots)

    def _joined(self, terms: Sequence[str], key: str) -> str:
        link = self.words[key]
        if key == "and":
            link = _EUPHONIC.get((self.language, terms[-1][0].lower()), link)
        return ", ".join(terms[:-1]) + link + terms[-1] if len(terms) > 1 else terms[0]

    def add(self, kind: str, *lines: str | tuple[str, ...]) -> None:
        self.blocks.append(Block(kind, tuple((line,) if isinstance(line, str) else line for line in lines)))

    def section(self, heading: str, *sentences: str) -> None:
        self.add("heading", self.words["headings"][heading])
        self.add("paragraph", " ".join(s for s in sentences if s))

    def number(self, value: float | str) -> str:
        return str(value) if self.language == "en" else str(value).replace(".", ",")

    def day(self, day: date) -> str:
        pattern = {"en": "%m/%d/%Y", "de": "%d.%m.%Y"}.get(self.language, "%d/%m/%Y")
        return day.strftime(pattern)

    def exam(self) -> str:
        return self.say(
            "exam",
            bp=f"{self.rng.randint(112, 134)}/{self.rng.randint(64, 84)}",
            hr=self.rng.randint(62, 92),
            temp=self.number(round(self.rng.uniform(36.2, 37.0), 1)),
            sat=self.rng.randint(95, 99),
        )

    def labelled(self, key: str, value: str) -> str:
        label = str(self.words["labels"][key]).rstrip(" :")
        return f"{label}{' ' if self.language == 'fr' else ''}: {value}"


def elided(term: str) -> str:
    """French `de` before a term."""
    return f"d'{term}" if term[0] in _VOWELS else f"de {term}"


def cast(rng: Random, sex: str, language: str, chronic: int) -> Cast:
    """Draw conditions by their roles."""
    taken: list[Condition] = []

    def draw(role: str, accept: Callable[[Condition], bool] = lambda _: True) -> Condition:
        fitting = [
            c
            for c in conditions()
            if role in c.roles
            and accept(c)
            and (not c.sex or c.sex == sex or role == "f")
            and _fits(c, taken, language)
        ]
        taken.append(rng.choice(fitting))
        return taken[-1]

    acute = draw("a")
    present = [draw("s", lambda c: c.key in acute.presents_with) for _ in range(2)]
    known = [draw("c") for _ in range(chronic)]
    return Cast(
        acute,
        known,
        draw("f"),
        draw("h"),
        [draw("n") for _ in range(2)],
        present,
        [draw("s", lambda c: c.key not in acute.presents_with) for _ in range(3)],
    )


def _fits(new: Condition, taken: Sequence[Condition], language: str) -> bool:
    for old in taken:
        if old.key == new.key or frozenset((old.key, new.key)) in COMBINED:
            return False
        if {c[:3] for c in old.codes} & {c[:3] for c in new.codes}:
            return False
        pairs = ((a.lower(), b.lower()) for a in old.terms[language] for b in new.terms[language])
        if any(a in b or b in a for a, b in pairs):
            return False
    return True


def write(kind: str, language: str, rng: Random) -> Note:
    """Write a note.

    Args:
        kind: 'discharge', 'referral', 'progress', 'laboratory', 'emergency' or 'visit'.
        language: ISO 639-1, one of bank.LANGUAGES.
        rng: all choices come from it.
    """
    draft = _Draft(rng, language, rng.choice("fm"), rng.randint(38, 84))
    people = cast(rng, draft.sex, language, 2 if kind in ("visit", "laboratory") else 3)
    words = draft.words
    given = words["female" if draft.sex == "f" else "male"]
    patient = f"{rng.choice(given)} {rng.choice(words['surnames'])}"
    hospital = rng.choice(words["hospitals"])
    prescriptions = _prescriptions(draft, [people.acute, *people.chronic])
    draft.add("letterhead", hospital, f"{rng.choice(words['departments'])} - {rng.choice(words['streets'])}")
    _WRITERS[kind](draft, people, patient, prescriptions)
    signature = f"{words['doctor']} {rng.choice(words['male'])} {rng.choice(words['surnames'])}"
    draft.add("signature", signature)
    return Note(
        language,
        f"{hospital} - {words['titles'][kind]}",
        words["footer"],
        words["page"],
        tuple(draft.blocks),
        tuple(draft.mentions),
        tuple(prescriptions),
    )


def _prescriptions(draft: _Draft, known: Sequence[Condition]) -> list[Prescription]:
    keys = [c.key for c in known]
    chosen: list[Drug] = []
    for key in keys:
        options = [d for d in drugs() if key in d.treats and d not in chosen]
        if options:
            chosen.append(draft.rng.choice(options))
    if len(chosen) < 2:
        spare = [d for d in drugs() if d not in chosen and d.key in ("enoxaparin", "omeprazole", "acetaminophen")]
        chosen += draft.rng.sample(spare, 2 - len(chosen))
    return [
        Prescription(
            d,
            d.names[draft.language],
            f"{draft.number(draft.rng.choice(d.doses))} {draft.words['unit'][d.unit]}",
            draft.words["route"][d.route],
            draft.words["frequency"][draft.rng.choice(d.frequencies)],
        )
        for d in chosen
    ]


def _line(p: Prescription) -> str:
    return f"{p.name} {p.dose} {p.route} {p.frequency}"


def _identity(draft: _Draft, patient: str, *dated: str) -> None:
    """The patient's block: name, birth, sex, record number, and the dates asked for (keys of labels)."""
    rng, latest = draft.rng, _REFERENCE_DAY - timedelta(days=draft.rng.randint(0, 150))
    born = date(latest.year - draft.age - 1, rng.randint(7, 12), rng.randint(1, 28))
    rows: list[tuple[str, ...]] = [
        (draft.labelled("patient", patient), draft.labelled("record", str(rng.randint(100000, 999999)))),
        (draft.labelled("born", draft.day(born)), draft.labelled("sex", draft.words["sex"][draft.sex])),
    ]
    days = [latest - timedelta(days=n * rng.randint(3, 9)) for n in range(len(dated) - 1, -1, -1)]
    rows.append(tuple(draft.labelled(key, draft.day(day)) for key, day in zip(dated, days, strict=True)))
    draft.add("fields", *rows)


def _story(draft: _Draft, people: Cast) -> tuple[str, str]:
    intro = draft.say("intro", people.present, age=draft.age, days=draft.rng.randint(2, 9))
    return intro, draft.say("denies", people.absent, "negated")


def _plan(draft: _Draft, people: Cast) -> tuple[str, ...]:
    follow_up = draft.say("plan", weeks=draft.rng.randint(2, 8))
    return follow_up, draft.say("hypothetical", [people.feared], "hypothetical")


def _numbered(draft: _Draft, known: Sequence[Condition]) -> None:
    draft.add("items", *(f"{n}. {draft.term(c, 'asserted', capital=True)}" for n, c in enumerate(known, start=1)))


def _discharge(draft: _Draft, people: Cast, patient: str, prescriptions: list[Prescription]) -> None:
    draft.add("title", draft.words["titles"]["discharge"])
    _identity(draft, patient, "admitted", "discharged")
    draft.section("reason", draft.say("confirmed", [people.acute]))

    def history() -> None:
        draft.section("history", draft.say("past", people.chronic, "past"), draft.say("background"))
        draft.section("family", draft.say("family", [people.family], "family"))

    def illness() -> None:
        draft.section("illness", *_story(draft, people), draft.say("course"))

    for part in draft.rng.sample([history, illness], 2):
        part()
    draft.section("exam", draft.exam())
    excluded = (draft.say("ruled_out", [c], "negated") for c in people.excluded)
    draft.section("tests", draft.say("workup"), *excluded)
    draft.add("heading", draft.words["headings"]["diagnoses"])
    _numbered(draft, [people.acute, *people.chronic])
    draft.add("heading", draft.words["headings"]["medication"])
    rows = [(p.name, p.dose, p.route, p.frequency) for p in prescriptions]
    draft.add("table", tuple(draft.words["medication_table"]), *rows)
    draft.section("plan", *_plan(draft, people))


def _progress(draft: _Draft, people: Cast, patient: str, prescriptions: list[Prescription]) -> None:
    draft.add("title", draft.words["titles"]["progress"])
    _identity(draft, patient, "date")
    draft.section("illness", *_story(draft, people))
    draft.section(
        "history", draft.say("past", people.chronic, "past"), draft.say("never", people.excluded[:1], "negated")
    )
    draft.section("family", draft.say("family", [people.family], "family"))
    draft.section("exam", draft.exam())
    draft.section("tests", draft.say("workup"), draft.say("ruled_out", people.excluded[1:], "negated"))
    draft.add("heading", draft.words["headings"]["assessment"])
    _numbered(draft, [people.acute, *draft.rng.sample(people.chronic, 2)])
    continued = draft.say("continues", list=", ".join(_line(p) for p in prescriptions))
    draft.section("plan", continued, *_plan(draft, people))


def _emergency(draft: _Draft, people: Cast, patient: str, prescriptions: list[Prescription]) -> None:
    draft.add("title", draft.words["titles"]["emergency"])
    _identity(draft, patient, "date")
    draft.section(
        "history", draft.say("past", people.chronic, "past"), draft.say("background"), _taken(draft, prescriptions)
    )
    draft.section("illness", *_story(draft, people), draft.say("never", people.excluded[:1], "negated"))
    draft.section("exam", draft.exam())
    draft.section("tests", draft.say("workup"), draft.say("ruled_out", people.excluded[1:], "negated"))
    draft.section("assessment", draft.say("confirmed", [people.acute]))
    draft.section("plan", draft.say("course"), *_plan(draft, people))


def _taken(draft: _Draft, prescriptions: Sequence[Prescription]) -> str:
    return draft.say("takes", list=", ".join(_line(p) for p in prescriptions))


def _referral(draft: _Draft, people: Cast, patient: str, prescriptions: list[Prescription]) -> None:
    words = draft.words
    day = draft.day(_REFERENCE_DAY - timedelta(days=draft.rng.randint(0, 150)))
    colleague = f"{words['doctor']} {draft.rng.choice(words['female'])} {draft.rng.choice(words['surnames'])}"
    draft.add("paragraph", f"{draft.rng.choice(words['towns'])}, {day}")
    draft.add("paragraph", draft.labelled("to", f"{colleague}, {draft.rng.choice(words['hospitals'])}"))
    draft.add("title", words["titles"]["referral"])
    draft.add("paragraph", draft.labelled("subject", patient))
    draft.add("paragraph", draft.pick("opening"))
    draft.add("paragraph", draft.say("seen_for", people.chronic, "past"))
    draft.add("paragraph", " ".join(_story(draft, people)) + " " + draft.say("confirmed", [people.acute]))
    family = draft.say("family", [people.family], "family")
    draft.add("paragraph", " ".join([family, *(draft.say("ruled_out", [c], "negated") for c in people.excluded)]))
    draft.add("paragraph", " ".join([draft.exam(), draft.say("workup")]))
    draft.add("paragraph", " ".join([_taken(draft, prescriptions), draft.say("background")]))
    draft.add("paragraph", " ".join(_plan(draft, people)))
    draft.add("paragraph", draft.pick("closing"))


def _visit(draft: _Draft, people: Cast, patient: str, prescriptions: list[Prescription]) -> None:
    draft.add("paragraph", draft.labelled("patient", patient))
    draft.add(
        "paragraph", draft.labelled("date", draft.day(_REFERENCE_DAY - timedelta(days=draft.rng.randint(0, 150))))
    )
    draft.add("paragraph", " ".join(_story(draft, people)))
    draft.add("paragraph", draft.say("past", people.chronic, "past"))
    draft.add("paragraph", draft.say("ruled_out", people.excluded[:1], "negated"))
    draft.add("paragraph", draft.say("confirmed", [people.acute]))
    draft.add("items", *(f"- {_line(p)}" for p in prescriptions))
    draft.add("paragraph", " ".join(_plan(draft, people)))


_ANALYTES: tuple[tuple[str, str, float, float, int, str, float], ...] = (
    # name, unit, reference low and high, decimals, condition that moves it, factor by which it does
    ("hemoglobin", "g/dL", 12.0, 16.0, 1, "iron_deficiency_anemia", 0.72),
    ("leukocytes", "x10^9/L", 4.0, 10.0, 1, "pneumonia", 1.6),
    ("platelets", "x10^9/L", 150, 400, 0, "cirrhosis", 0.4),
    ("glucose", "mg/dL", 70, 105, 0, "t2dm", 1.7),
    ("hba1c", "%", 4.0, 5.9, 1, "t2dm", 1.5),
    ("creatinine", "mg/dL", 0.6, 1.2, 2, "chronic_kidney_disease", 1.9),
    ("sodium", "mmol/L", 136, 145, 0, "hyponatremia", 0.9),
    ("potassium", "mmol/L", 3.5, 5.0, 1, "hypokalemia", 0.7),
    ("tsh", "mIU/L", 0.4, 4.0, 2, "hypothyroidism", 3.2),
    ("ferritin", "ng/mL", 30, 300, 0, "iron_deficiency_anemia", 0.08),
)
"""Usual adult reference ranges, rounded."""


def _results(draft: _Draft, known: Sequence[Condition]) -> list[tuple[str, ...]]:
    keys = {c.key for c in known}
    rows: list[tuple[str, ...]] = []
    for name, unit, low, high, decimals, mover, factor in _ANALYTES:
        value = draft.rng.uniform(low + 0.25 * (high - low), high - 0.25 * (high - low))
        value = round(value * factor if mover in keys else value, decimals)
        flag = "H" if value > high else "L" if value < low else "-"
        result, bounds = f"{value:.{decimals}f}", f"{low:.{decimals}f} - {high:.{decimals}f}"
        rows.append((draft.words["analytes"][name], draft.number(result), unit, draft.number(bounds), flag))
    return rows


def _laboratory(draft: _Draft, people: Cast, patient: str, prescriptions: list[Prescription]) -> None:
    draft.add("title", draft.words["titles"]["laboratory"])
    _identity(draft, patient, "date")
    draft.section("history", draft.say("past", people.chronic, "past"))
    draft.add("table", tuple(draft.words["result_table"]), *_results(draft, [people.acute, *people.chronic]))
    draft.add("break")
    draft.section("tests", *(draft.say("ruled_out", [c], "negated") for c in people.excluded))
    draft.section("assessment", draft.say("confirmed", [people.acute]), draft.say("denies", people.absent, "negated"))
    draft.section("plan", _taken(draft, prescriptions), draft.say("plan", weeks=draft.rng.randint(2, 8)))


_WRITERS: dict[str, Callable[[_Draft, Cast, str, list[Prescription]], None]] = {
    "discharge": _discharge,
    "referral": _referral,
    "progress": _progress,
    "laboratory": _laboratory,
    "emergency": _emergency,
    "visit": _visit,
}
