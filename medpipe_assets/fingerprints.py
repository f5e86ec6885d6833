"""A short hash of data files, for engine versions: an edited list redoes the work that it changes."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def fingerprint(files: Iterable[Path]) -> str:
    """Twelve hex digits over the names and bytes of files, in the order of their names."""
    return _digest(tuple(sorted(files)))


@cache
def _digest(files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
