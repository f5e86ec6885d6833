"""What a text says of a mention: denied, past, of the family, hypothetical or merely suspected.

Belongs here: the rules by which cue words reach mentions. The cues themselves are data (data/cues_*.tsv) and headings
are those of sections.py. Does not belong here: finding mentions.

The rules are those of NegEx and ConText (Chapman 2001, Harkema 2009): a cue reaches forward or backward in its sentence
until a stopping word, another cue's claim or the limit of its strength. Columns of the tables:

    trait      NEGATION, PAST_HISTORY, FAMILY_HISTORY, HYPOTHETICAL, LOW_CONFIDENCE; '*' for all (stop, pseudo)
    direction  forward, backward; 'answer' is backward where nothing follows in its clause ('allergies none known');
               'reply' the same, but only behind a colon or dash ('fever: no'); 'whole' says it of mentions inside
               itself ('non-smoker'); 'stop' ends the reach of the trait's cues; 'pseudo' only keeps shorter cues inside
               it from counting ('no increase')
    strength   'strong' reaches past commas to the limit of the sentence; 'list' past commas only as far as a list goes,
               which shows its end by a conjunction ('sin fiebre, tos ni disnea, dolor en FID'); 'weak' reaches a few
               words and never past a comma; 'next' only what stands right beside the cue ('resolved pneumonia')

A cue in the tables may hold alternatives, some of them empty: '{is|was} {not|never} {clearly|} seen' is eight cues.

What had been and is over ('the cough has resolved') is denied, as the assertion task of i2b2 (Uzuner 2011) has it: the
patient no longer has it. Uncertainty is two traits, because they differ in what may be coded. HYPOTHETICAL: raised
without being held true ('possible', 'rule out', 'risk of', 'if', 'versus'); such a mention is not asserted.
LOW_CONFIDENCE: held true by the author, with a hedge ('probable', 'suspected', 'compatible with', 'suggestive of'); it
stays asserted, as the ICD-10-CM guidelines (section II.H) code such diagnoses of inpatients, and whoever wants less
filters by the trait.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product, zip_longest

from medpipe_assets.recognition.engine import Offsets, Trait
from medpipe_assets.recognition.sections import Section, sections
from medpipe_assets.recognition.terms import LANGUAGES, Match, Terms, canonical, read_table

SCORES = {"strong": 0.95, "list": 0.95, "weak": 0.85, "next": 0.85, "section": 0.9}
"""Trait scores by the kind of evidence: how far to trust the rule, not calibrated probabilities."""

WORDS = {"strong": 30, "list": 30, "weak": 7}
"""How many words a cue reaches."""

LONGEST_SENTENCE = 1_000
"""Code points after which a text without punctuation is cut, so that work grows with the text and not its square."""

_DENIAL = ("NEGATION", "forward")
_SECTION_TRAITS = {"FAMILY_HISTORY": "FAMILY_HISTORY", "PAST_HISTORY": "PAST_HISTORY"}

# A sentence ends at its full stop (also one that lacks its space), at a blank line or bullet, and where the next line
# does not run on in lower case; a label within a line ('Abdomen: ...') begins one.
_BOUNDARY = re.compile(
    r"[.!?;\n•●▪](?:(?<=[.!?;])(?=\s|$)|(?<=[a-zß-ÿ]\.)(?=[A-ZÀ-Þ][a-zß-ÿ])|(?<=[•●▪])"
    r"|(?<=\n)(?=\s*\n|[ \t]*(?:[^\s a-zß-ÿ0-9(,]|\d+[.)]\s)))"
)
_LINE_LABEL = re.compile(r"[A-ZÀ-Þ](?<=\s.)\w{2,}(?: [a-zß-ÿ]{2,})? ?:")
# The full stop of an abbreviation ends none, nor that of a single letter.
_ABBREVIATIONS = frozenset(
    "dr dra sr sra mr mrs ms st vs aa ca bd pt approx aprox fig hab tgl bzw inkl evtl ggf".split()
)
_LONGEST_ABBREVIATION = 6

# The end of a clause, or the next label: 'Otitis: no Retraso del lenguaje: no'.
_CLAUSE_END = re.compile(r"\s*(?:[.,;)|\n]|$|\d+ ?[-.)]|[A-ZÀ-Þ][^.,;\n:]{2,40}:)")
_LABEL = re.compile(r"[:=–-]\s*$")
_BRACKET = re.compile(r"[()]")
_CONJUNCTION = re.compile(r"\b(?:and|or|nor|y|e|o|u|ni|et|ou|nem|ed|né|und|oder|noch|sowie)\b|/", re.IGNORECASE)
_WORD_AHEAD, _WORD_BEHIND = re.compile(r"\s*[^\s,]+"), re.compile(r"[^\s,]+\s*$")
_GAP = re.compile(r"\s+|,(?!\d)|(?<=\w):")


@dataclass(frozen=True, slots=True)
class _Cue:
    trait: str
    direction: str
    strength: str


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a cue reaches; a mention that begins within the cue ('denies any [history of stroke]') is reached too."""

    cue: int
    begin: int
    end: int
    trait: Trait
    forward: bool

    def reaches(self, begin: int, end: int) -> bool:
        if self.forward:
            return self.cue <= begin < self.end and end > self.begin
        return self.begin < end <= self.end


@cache
def _cues(language: str) -> tuple[Terms, tuple[tuple[_Cue, ...], ...]]:
    """The matcher of a language's cues, and for each of its terms all the roles it plays.

    What stops a trait does so within a longer stop too, which is found in its place ('que acude' for 'acude'). And a
    pseudo cue that begins with a denial denies what is named inside itself ('no [increase of edema]').
    """
    roles: dict[str, list[_Cue]] = {}
    for row in read_table(f"cues_{language}.tsv"):
        role = _Cue(row["trait"], row["direction"], row["strength"])
        for cue in alternatives(row["cue"]):
            roles.setdefault(canonical(cue), []).append(role)
    stops = {cue: stop for cue, played in roles.items() if (stop := [r for r in played if r.direction == "stop"])}
    for cue in stops:
        for inner, stop in stops.items():
            if inner != cue and f" {inner} " in f" {cue} ":
                roles[cue].extend(stop)
    denials = {cue for cue, played in roles.items() if any((r.trait, r.direction) == _DENIAL for r in played)}
    for cue, played in roles.items():
        words = cue.split()
        if played[0].direction == "pseudo" and any(" ".join(words[:n]) in denials for n in range(1, len(words))):
            played.append(_Cue("NEGATION", "whole", "strong"))
    return Terms(roles), tuple(map(tuple, roles.values()))


def alternatives(cue: str) -> Iterator[str]:
    """The cues that a cue of the tables stands for, in order; one without braces stands for itself."""
    parts = [part.split("|") for part in re.split(r"[{}]", cue)]
    for chosen in product(*parts):
        yield " ".join("".join(chosen).split())


def assertion(text: str, language: str, spans: Sequence[Sequence[Offsets]]) -> list[tuple[Trait, ...]]:
    """The traits of each mention, given as its spans in the text; one result a mention, in their order.

    A language without cues gives no traits. A mention without spans has none.
    """
    if language not in LANGUAGES or not spans:
        return [() for _ in spans]
    terms, cues = _cues(language)
    mentioned = sorted(span for mention in spans for span in mention)
    found = list(_counting(terms.find_all(text), cues))
    sentences = _Sentences(text, _breaks(text, mentioned), cues, found, mentioned)
    section_traits = [
        (s.begin, _section_end(s, sentences), Trait(_SECTION_TRAITS[s.kind], SCORES["section"]))
        for s in sections(text, language)
        if s.kind in _SECTION_TRAITS
    ]
    results = []
    for mention in spans:
        traits = [trait for begin, end, trait in section_traits if mention and begin <= mention[0][0] < end]
        for begin, end in mention[:1]:
            traits += [scope.trait for scope in sentences.scopes_at(begin) if scope.reaches(begin, end)]
        results.append(_settle(traits))
    return results


class _Sentences:
    """The sentences of a text with their cues, each looked at when it is asked for: most have no mention."""

    def __init__(
        self,
        text: str,
        breaks: Sequence[int],
        cues: Sequence[tuple[_Cue, ...]],
        found: Sequence[Match],
        mentioned: Sequence[Offsets],
    ) -> None:
        self.breaks = breaks
        self._text, self._cues, self._found, self._mentioned = text, cues, found, mentioned
        self._begins = [match.begin for match in found]
        self._scopes: dict[int, list[_Scope]] = {}

    def cues(self, sentence: int) -> list[tuple[Match, _Cue]]:
        """The cues of a sentence in order, without those that are part of a mention ('gram negative sepsis')."""
        begin, end = (bisect_left(self._begins, place) for place in self.breaks[sentence : sentence + 2])
        return [(m, cue) for m in self._found[begin:end] if not self._is_mentioned(m) for cue in self._cues[m.index]]

    def scopes_at(self, place: int) -> list[_Scope]:
        """Where the cues of the sentence at a place reach."""
        sentence = bisect_right(self.breaks, place) - 1
        if sentence not in self._scopes:
            begin, end = self.breaks[sentence : sentence + 2]
            self._scopes[sentence] = _scopes(self._text, begin, end, self.cues(sentence))
        return self._scopes[sentence]

    def _is_mentioned(self, match: Match) -> bool:
        before = bisect_right(self._mentioned, (match.begin, len(self._text)))
        return before > 0 and self._mentioned[before - 1][1] >= match.end


def _section_end(section: Section, sentences: _Sentences) -> int:
    """Where a section's trait ends: of one with text behind its heading, also where a sentence is the patient's again
    ('Family history: diabetes. She presents with pneumonia.')."""
    if not section.inline:
        return section.end
    first, last = bisect_right(sentences.breaks, section.begin), bisect_left(sentences.breaks, section.end)
    trait = _SECTION_TRAITS[section.kind]
    turns = (
        at
        for at in range(first, last)
        if any(c.direction == "stop" and c.trait == trait for _, c in sentences.cues(at))
    )
    return min((sentences.breaks[at] for at in turns), default=section.end)


def _breaks(text: str, mentioned: Sequence[Offsets]) -> list[int]:
    """Where sentences begin, never within a mention ('Deep Vein: ...'), and a last one past the end of the text."""
    begins = [begin for begin, _ in mentioned]
    ends = [found.end() for found in _BOUNDARY.finditer(text) if not _is_abbreviated(text, found)]
    for label in _LINE_LABEL.finditer(text):
        around = bisect_left(begins, label.start()) - 1
        if around < 0 or mentioned[around][1] <= label.start():
            ends.append(label.start())
    breaks = [0]
    for end in [*sorted(ends), len(text) + 1]:
        breaks.extend(range(breaks[-1] + LONGEST_SENTENCE, end, LONGEST_SENTENCE))
        breaks.append(end)
    return breaks


def _is_abbreviated(text: str, boundary: re.Match[str]) -> bool:
    at = begin = boundary.start()
    if text[at] != ".":
        return False
    while begin > 0 and at - begin <= _LONGEST_ABBREVIATION and (text[begin - 1].isalnum() or text[begin - 1] == "_"):
        begin -= 1
    word = text[begin:at].lower()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isascii() and word.isalpha())


def _counting(matches: Sequence[Match], cues: Sequence[tuple[_Cue, ...]]) -> Iterator[Match]:
    """The cues that count where some overlap: not one that a pseudo cue behind it takes the end of ('there is [no
    increase]'), nor one that looks back where the next looks ahead ('was [ruled out for]')."""
    for match, following in zip_longest(matches, matches[1:]):
        if following is not None and following.begin < match.end:
            own, others = ({cue.direction for cue in cues[m.index]} for m in (match, following))
            if "pseudo" in others or (own <= {"backward", "answer", "reply"} and "forward" in others):
                continue
        yield match


def _scopes(text: str, begin: int, end: int, cues: Sequence[tuple[Match, _Cue]]) -> list[_Scope]:
    """Where each cue of one sentence reaches."""
    scopes = []
    for match, cue in cues:
        if cue.direction == "forward":
            ahead = (m.begin for m, c in cues if m.begin >= match.end and _stops(c, cue, text, match.end, m.begin))
            limit = next(ahead, end)
            limit = _reach_forward(text, match.end, _within_brackets(text, match.end, limit), cue.strength)
            scopes.append(_Scope(match.begin, match.end, limit, Trait(cue.trait, SCORES[cue.strength]), True))
        elif _looks_back(text, match, cue.direction):
            behind = (m.end for m, c in reversed(cues) if m.end <= match.begin and _stops(c, cue, text, 0, 0))
            limit = next(behind, begin)
            limit = _reach_backward(text, limit, match.begin, cue.strength)
            scopes.append(_Scope(match.begin, limit, match.begin, Trait(cue.trait, SCORES[cue.strength]), False))
        elif cue.direction == "whole":
            scopes.append(_Scope(match.begin, match.begin, match.end, Trait(cue.trait, SCORES[cue.strength]), True))
    return scopes


def _looks_back(text: str, match: Match, direction: str) -> bool:
    if direction == "reply" and not _LABEL.search(text, max(0, match.begin - 12), match.begin):
        return False
    return direction == "backward" or (
        direction in ("answer", "reply") and _CLAUSE_END.match(text, match.end) is not None
    )


def _stops(other: _Cue, cue: _Cue, text: str, begin: int, end: int) -> bool:
    """Whether a cue ends the reach of another; between them stands text[begin:end].

    A history behind a comma is a statement of its own: 'no allergies, history of asthma'.
    """
    if other.direction == "stop":
        return other.trait in ("*", cue.trait)
    return other.trait == "PAST_HISTORY" and cue.trait == "NEGATION" and text.find(",", begin, end) >= 0


def _reach_forward(text: str, begin: int, end: int, strength: str) -> int:
    if strength == "next":
        following = _WORD_AHEAD.match(text, begin, end)
        return following.end() if following else begin
    past = begin
    if strength == "list":
        past = max((m.end() for m in _CONJUNCTION.finditer(text, begin, end)), default=begin)
    words = 0
    for gap in _GAP.finditer(text, begin, end):
        if gap.group() in (",", ":"):
            ended = gap.start() > past or (gap.group() == "," and gap.start() == begin)  # 'ruled out, pneumonia'
            if strength != "strong" and ended:
                return gap.start()
            continue
        words += 1
        if words > WORDS[strength]:
            return gap.start()
    return end


def _within_brackets(text: str, begin: int, end: int) -> int:
    """The end, or the bracket before it that closes one opened before the beginning."""
    depth = 0
    for bracket in _BRACKET.finditer(text, begin, end):
        depth += 1 if bracket.group() == "(" else -1
        if depth < 0:
            return bracket.start()
    return end


def _reach_backward(text: str, begin: int, end: int, strength: str) -> int:
    opened = text.rfind("(", begin, end)
    if opened >= 0 and ")" not in text[opened:end] and text[opened + 1 : end].strip():
        begin = opened
    if strength == "next":
        before = _WORD_BEHIND.search(text, begin, end)
        return before.start() if before else end
    words = 0
    for gap in reversed(list(_GAP.finditer(text, begin, end))):
        if gap.group() == "," and strength == "weak":
            return gap.end()
        words += gap.group() not in (",", ":")
        if words > WORDS[strength]:
            return gap.end()
    return begin


def _settle(traits: Iterable[Trait]) -> tuple[Trait, ...]:
    """One trait of a name, the best; the stronger statement replaces the weaker one.

    What is denied never was (no PAST_HISTORY) and is not suspected (no LOW_CONFIDENCE).
    """
    best: dict[str, Trait] = {}
    for trait in traits:
        if trait.name not in best or best[trait.name].score < trait.score:
            best[trait.name] = trait
    if "NEGATION" in best:
        best.pop("PAST_HISTORY", None)
    if best.keys() & {"NEGATION", "HYPOTHETICAL"}:
        best.pop("LOW_CONFIDENCE", None)
    return tuple(best[name] for name in sorted(best))
