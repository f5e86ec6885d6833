"""Which releases of ICD-10-CM there are, and the user's Alphabetic Index: files in one folder, and what they are.

One release comes with the package simple_icd_10_cm; more are added as files of the CDC (`medpipe codes add`), kept in
`medpipe/codes` below XDG_DATA_HOME under the day from which they are in force. A process looks once and keeps to what
it found; what is added counts for those that start after.
"""

import datetime as dt
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lexicon import alphabetic_index, tabular

_SHIPPED: Final = "icd10c*-tabular-*.xml"
INDEX: Final = "index"
_MONTHS: Final = ("January February March April May June July August September October November December").split()
_MONTH: Final = re.compile(rf"({'|'.join(_MONTHS)})[-_ ]?(?:(\d{{1,2}})[-_ ])?(20\d\d)", re.IGNORECASE)
_YEAR: Final = re.compile(r"(?<!\d)(20\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the code set.

    Attributes:
        effective: the day from which it is in force, ISO 8601; it names the release.
        file: its tabular list or order file.
        confirmed: the list of all its codes, where one came with it.
    """

    effective: str
    file: Path
    confirmed: Path | None = None


def folder() -> Path:
    """Where the user's own files are kept."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "medpipe" / "codes"


@cache
def releases() -> tuple[Release, ...]:
    """All releases, oldest first. An added one stands for a shipped one of the same day.

    Raises:
        ConfigurationError: there is none.
    """
    found = {release.effective: release for release in (*_shipped(), *_added())}
    if not found:
        raise ConfigurationError(
            "No release of ICD-10-CM is installed. Install the package simple-icd-10-cm (pip install -c "
            "constraints.txt .), or add a release of the CDC's: medpipe codes add icd10cm-tabular-2027.xml"
        )
    return tuple(found[day] for day in sorted(found))


@cache
def index() -> Path | None:
    """The user's Alphabetic Index; None where there is none."""
    with suppress(OSError, RuntimeError):  # no home folder, or one that is not ours: nothing was added
        return next(iter(sorted(folder().glob(f"{INDEX}.*"))), None)
    return None


def add(file: Path, effective: dt.date | None = None) -> str:
    """Keep a copy of a release's tabular list or order file, or of the Alphabetic Index; it replaces what was there of
    the same day, or the Index before it. Returned is the day from which the release is in force, or 'index'.

    Args:
        effective: that day; None where the file's name says it.

    Raises:
        ConfigurationError: the file is none of them, or its name says no day and none is given.
    """
    name = INDEX
    if not _is_index(file):
        tabular.read(file)
        name = effective.isoformat() if effective else effective_day(file.name)
    kept = folder() / f"{name}{file.suffix.lower() or '.txt'}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_name(f".{kept.name}")
    shutil.copyfile(file, draft)
    for before in kept.parent.glob(f"{name}.*"):
        before.unlink()
    draft.replace(kept)
    releases.cache_clear()
    index.cache_clear()
    return name


def effective_day(name: str) -> str:
    """The day from which a release is in force, by its file's name: 'icd10cm-tabular-2027.xml' is that of fiscal year
    2027, from 1 October 2026; 'icd10cm-order-April-2026.txt' that of 1 April 2026.

    Raises:
        ConfigurationError: the name says none.
    """
    month, year = _MONTH.search(name), _YEAR.search(name)
    if month:
        number = _MONTHS.index(month.group(1).capitalize()) + 1
        return dt.date(int(month.group(3)), number, int(month.group(2) or 1)).isoformat()
    if year:
        return dt.date(int(year.group(1)) - 1, 10, 1).isoformat()
    raise ConfigurationError(
        f"the name {name} does not say from which day the release is in force: add --effective 2026-10-01"
    )


def _is_index(file: Path) -> bool:
    with suppress(ConfigurationError):
        alphabetic_index.read(file)
        return True
    return False


def _shipped() -> Iterator[Release]:
    spec = find_spec("simple_icd_10_cm")
    for place in (spec.submodule_search_locations if spec else None) or ():
        data = Path(place) / "data"
        lists = sorted(data.glob("code-list-*.txt"))
        for file in data.glob(_SHIPPED):
            yield Release(effective_day(file.name), file, lists[0] if len(lists) == 1 else None)


def _added() -> Iterator[Release]:
    with suppress(OSError, RuntimeError):  # no home folder, or one that is not ours: nothing was added
        for file in sorted(folder().glob("20*")):
            yield Release(file.stem, file)
