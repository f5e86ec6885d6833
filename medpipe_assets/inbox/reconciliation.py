"""The nightly comparison of a bucket's listing with what was taken in: what no message announced, and what is gone.

Pure functions; who lists, reads the lake and acts on the difference is elsewhere.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.inbox.s3 import Version

MEMBER_SEPARATOR = "!/"
"""Between the URI of a ZIP and the name of its member; no object's own URI has it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A source as it was last seen: a row of `document_sources`, or an arrival that waits in a receipt."""

    uri: str
    version: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """What a listing has that is not known, and URIs known that it has not (members of ZIPs among them), by URI."""

    unannounced: tuple[Arrival, ...]
    gone: tuple[str, ...]


def compare(listed: Iterable[Arrival], known: Iterable[Known], holds: Callable[[str], bool]) -> Difference:
    """Compare a complete listing with what is known.

    Args:
        listed: everything there now.
        known: oldest first, the last of a URI counts; read before the listing began, or what arrived meanwhile would
            be taken for gone.
        holds: whether a URI is of the place that was listed; other sources are not judged.
    """
    latest = {seen.uri: seen for seen in known if holds(seen.uri.split(MEMBER_SEPARATOR)[0])}
    there: set[str] = set()
    unannounced: list[Arrival] = []
    for arrival in listed:
        there.add(arrival.uri)
        if not _is_known(arrival, latest.get(arrival.uri)):
            unannounced.append(arrival)
    missing = (uri for uri, seen in latest.items() if not seen.deleted and uri.split(MEMBER_SEPARATOR)[0] not in there)
    return Difference(tuple(sorted(unannounced)), tuple(sorted(missing)))


def _is_known(arrival: Arrival, seen: Known | None) -> bool:
    """Whether an object listed is the one last seen; a notification knows its ETag and size, but no time stamp."""
    if seen is None or seen.deleted:
        return False
    if seen.version == arrival.version:
        return True
    listed, known = Version.parse(arrival.version), Version.parse(seen.version)
    return listed is not None and known is not None and listed.same_bytes(known)
