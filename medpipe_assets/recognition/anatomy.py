"""Body sites in a text, with the directions beside them.

Belongs here: organs, regions and systems by name (data/anatomy.tsv) and direction words (data/directions.tsv). Does not
belong here: which condition is at the site.
"""

from functools import cache

from medpipe_assets.recognition.engine import Attribute, Mention
from medpipe_assets.recognition.terms import LANGUAGES, Match, Terms, read_concepts

SCORE = 0.9
"""Score of a site or direction found by its whole name: trust in the rule, not a calibrated probability."""


@cache
def _terms(table: str, language: str) -> Terms:
    return Terms(read_concepts(table, language)[0])


def find(text: str, language: str) -> list[Mention]:
    """Sites (ANATOMY / SYSTEM_ORGAN_SITE) in order; a direction word next to one is its DIRECTION attribute."""
    if language not in LANGUAGES:
        return []
    sites = _terms("anatomy.tsv", language).find(text)
    if not sites:
        return []
    directions = _terms("directions.tsv", language).find(text)
    starting = {match.begin: match for match in directions}
    ending = {match.end: match for match in directions}
    mentions = []
    for site in sites:
        beside = _before(site, ending) + _after(site, starting)
        attributes = tuple(
            Attribute("DIRECTION", "ANATOMY", text[d.begin : d.end], ((d.begin, d.end),), SCORE, SCORE, "DIRECTION")
            for d in beside
        )
        span = (site.begin, site.end)
        mentions.append(Mention("ANATOMY", "SYSTEM_ORGAN_SITE", (span,), SCORE, attributes=attributes))
    return mentions


def _before(site: Match, ending: dict[int, Match]) -> list[Match]:
    """The directions in a row before a site, one space apart: 'left upper arm'."""
    row: list[Match] = []
    at = site.begin
    while (match := ending.get(at - 1)) is not None:
        row.insert(0, match)
        at = match.begin
    return row


def _after(site: Match, starting: dict[int, Match]) -> list[Match]:
    """The directions in a row behind a site: 'lobulo superior izquierdo'."""
    row: list[Match] = []
    at = site.end
    while (match := starting.get(at + 1)) is not None:
        row.append(match)
        at = match.end
    return row
