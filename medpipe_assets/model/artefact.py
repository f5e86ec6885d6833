"""The model file: named arrays behind a JSON header, the same bytes for the same content, mapped into memory to read.

    line 1    medpipe-model FORMAT SHA-256 of all that follows the line
    line 2    JSON: {"about": {...}, "arrays": {name: [dtype, shape, offset]}}, offsets from the end of line 2
    then      the arrays, each at a multiple of 64 bytes of the file

No code is stored and none is run when a file is opened. What the arrays mean is the affair of those who write them.
"""

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.errors import ConfigurationError

FORMAT: Final = 1
_NAME: Final = "medpipe-model"
_ALIGNED: Final = 64

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model file's content. `about` is plain JSON; `fingerprint` twelve hex digits of its hash."""

    about: Mapping[str, Any]
    arrays: Arrays
    fingerprint: str

    def part(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays whose names begin with `prefix/`, by the rest of their names."""
        begin = f"{prefix}/"
        return {name.removeprefix(begin): array for name, array in self.arrays.items() if name.startswith(begin)}


def written(about: Mapping[str, Any], arrays: Arrays) -> bytes:
    """A file's bytes."""
    places: dict[str, Any] = {}
    parts: list[bytes] = []
    position = 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        places[name] = [array.dtype.str, list(array.shape), position]
        data = array.tobytes()
        data += bytes(-len(data) % _ALIGNED)
        parts.append(data)
        position += len(data)
    header = json.dumps({"about": about, "arrays": places}, sort_keys=True, separators=(",", ":")).encode()
    first = f"{_NAME} {FORMAT} {'':64}\n"
    header += b" " * (-(len(first) + len(header) + 1) % _ALIGNED) + b"\n"
    body = header + b"".join(parts)
    return f"{_NAME} {FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def write(path: Path, about: Mapping[str, Any], arrays: Arrays) -> str:
    """Write a file in one step, private to the user; its fingerprint."""
    data = written(about, arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return _first_line(data, path)


def fingerprint(path: Path) -> str:
    """A file's fingerprint, by its first line.

    Raises:
        ConfigurationError: if it is no model file, or one of another format.
    """
    with path.open("rb") as file:
        return _first_line(file.read(128), path)


def opened(path: Path) -> Artefact:
    """A file's content, mapped into memory.

    Raises:
        ConfigurationError: if it is no model file, one of another format, or damaged.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    digest = _first_line(data[:128], path)
    begin = data.find(b"\n") + 1
    if not hashlib.sha256(memoryview(data)[begin:]).hexdigest().startswith(digest):
        raise ConfigurationError(f"{path}: the model is damaged; build it anew with `medpipe model build`")
    end = data.find(b"\n", begin) + 1
    header = json.loads(data[begin:end])
    arrays = {
        name: np.frombuffer(data, dtype, int(np.prod(shape)), end + offset).reshape(shape)
        for name, (dtype, shape, offset) in header["arrays"].items()
    }
    return Artefact(header["about"], arrays, digest)


def _first_line(data: bytes, path: Path) -> str:
    words = data.partition(b"\n")[0].decode("ascii", "replace").split(" ")
    if len(words) != 3 or words[0] != _NAME:
        raise ConfigurationError(f"{path}: not a model; make one with `medpipe model build`")
    if words[1] != str(FORMAT):
        raise ConfigurationError(
            f"{path}: a model of format {words[1]}, while this medpipe reads {FORMAT}; build it anew with "
            "`medpipe model build`"
        )
    return words[2][:12]
