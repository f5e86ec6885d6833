"""The interface of an inbox: what has arrived, by URI and version, and how to fetch its bytes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """A version of a source as an inbox lists it, before its bytes are read.

    Attributes:
        uri: where it is, percent-encoded.
        version: changes whenever the bytes may have: size and times of a file, an ETag or version id of an object.
        size: bytes.
    """

    uri: str
    version: str
    size: int

    @property
    def source_id(self) -> str:
        return source_id(self.uri)


def source_id(uri: str) -> str:
    """The name of a source outside the lake, where its URI may not go: the first 32 hex digits of the URI's SHA-256."""
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


class Inbox(Protocol):
    """A place where documents arrive."""

    def arrivals(self) -> Iterator[Arrival]:
        """Everything there now, in a fixed order."""
        ...
