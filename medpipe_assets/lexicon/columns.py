"""Columns of numbers and texts in one file that is mapped into memory: opening it costs the same however much is in it.

    line 1    JSON: {"about": {...}, "arrays": {name: [dtype, length, offset]}, "bytes": size of what follows}
    then      the arrays, each at a multiple of 64 bytes

No code is stored and none is run when a file is opened. What the columns mean is the affair of those who write them.
"""

import json
import mmap
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

_ALIGNED: Final = 64


class Texts:
    """A column of texts, decoded one at a time as they are asked for."""

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.uint32]) -> None:
        self._data = data.data
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, place: int) -> str:
        begin = int(self._ends[place - 1]) if place else 0
        return str(self._data[begin : int(self._ends[place])], "utf-8")

    def all(self) -> list[str]:
        """Every text, in order."""
        return [self[place] for place in range(len(self))]


@dataclass(frozen=True, slots=True)
class Columns:
    """A file's content; `about` is plain JSON."""

    about: Mapping[str, Any]
    arrays: Arrays

    def texts(self, name: str) -> Texts:
        """A column that was written by `texts`."""
        return Texts(self.arrays[name], self.arrays[f"{name}.ends"])


def texts(name: str, values: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a column of texts."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([len(value) for value in encoded], dtype=np.uint32)
    return {name: np.frombuffer(b"".join(encoded), np.uint8), f"{name}.ends": ends}


def write(path: Path, columns: Columns) -> None:
    """Write a file in one step, private to the user; its folder is made where there is none.

    Raises:
        OSError: if it cannot be written.
    """
    places: dict[str, tuple[str, int, int]] = {}
    parts: list[bytes] = []
    size = 0
    for name, array in columns.arrays.items():
        places[name] = array.dtype.str, len(array), size
        data = array.tobytes()
        data += bytes(-len(data) % _ALIGNED)
        parts.append(data)
        size += len(data)
    header = json.dumps({"about": columns.about, "arrays": places, "bytes": size}, ensure_ascii=False).encode()
    header += b" " * (-(len(header) + 1) % _ALIGNED) + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([header, *parts])
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def opened(path: Path) -> Columns:
    """A file's content, mapped into memory.

    Raises:
        OSError, ValueError, KeyError: if there is no such file, or it is cut off or something else.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    begin = data.find(b"\n") + 1
    header = json.loads(data[:begin])
    if len(data) != begin + header["bytes"]:
        raise ValueError("cut off")
    arrays = {
        name: np.frombuffer(data, dtype, length, begin + offset)
        for name, (dtype, length, offset) in header["arrays"].items()
    }
    return Columns(header["about"], arrays)
