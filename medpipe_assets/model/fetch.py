"""Gets the CodiEsp corpus from its public record: only what a model is built from, checked and resumed.

A record of Zenodo names its files with sizes and MD5 sums and never changes. What is downloaded is kept beside the
corpus under its own name until it is whole; a download that was cut off goes on where it ended.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from medpipe_assets.errors import ConfigurationError

RECORD: Final = "https://zenodo.org/api/records/3837305"
"""CodiEsp, version 4: with the gold standards of train, development and test; CC BY 4.0."""
PARTS: Final = ("train", "dev", "test")
_SECONDS: Final = 60
_CHUNK: Final = 1 << 20
_LARGEST: Final = 1 << 30
"""Bytes that an archive may unpack to; the corpus has some 30 million."""

Progress = Callable[[str], None]


def fetch(folder: Path, record: str = RECORD, told: Progress = lambda _: None) -> list[Path]:
    """Download the corpus into a folder and unpack it; the folders of its parts, those that have a gold standard.

    Raises:
        ConfigurationError: if the record can't be had, or a file isn't what the record says it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session:
        for name, address, size, checksum in _archives(session, record):
            archive = folder / name
            if not (archive.is_file() and _md5(archive) == checksum):
                _download(session, address, archive, size, checksum, told)
            unpack(archive, folder)
    found = [folder / part for part in PARTS if any((folder / part).glob("*D.tsv"))]
    if not found:
        raise ConfigurationError(f"{record}: its archives hold no corpus in CodiEsp's layout")
    return found


def _archives(session: requests.Session, record: str) -> Iterator[tuple[str, str, int, str]]:
    """Name, address, size and MD5 of each ZIP file of a record."""
    with _asked(session, record) as answer:
        try:
            told = answer.json()
            files = [
                (PurePosixPath(f["key"]).name, f["links"]["self"], int(f["size"]), f["checksum"].partition(":")[2])
                for f in told["files"]
                if f["key"].endswith(".zip") and f["checksum"].startswith("md5:")
            ]
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{record}: this is no record of Zenodo's") from None
    yield from files


def _asked(session: requests.Session, address: str, **headers: str) -> Any:
    try:
        answer = session.get(address, timeout=_SECONDS, stream=True, headers=headers)
    except requests.RequestException as error:
        raise ConfigurationError(
            f"{urlsplit(address).netloc} does not answer ({type(error).__name__}). Run the command again, or build the "
            "model from a corpus of your own: medpipe model build --corpus DIR"
        ) from None
    if answer.status_code >= 400:
        raise ConfigurationError(f"{address} answers with status {answer.status_code}")
    return answer


def _download(session: requests.Session, address: str, target: Path, size: int, checksum: str, told: Progress) -> None:
    """Download a file, going on where an earlier try ended."""
    draft = target.with_name(f"{target.name}.part")
    have = draft.stat().st_size if draft.exists() else 0
    if have >= size:
        draft.unlink(missing_ok=True)
        have = 0
    told(f"{target.name}: {size / 1e6:.1f} MB" + (f", {have / 1e6:.1f} of them here" if have else ""))
    with _asked(session, address, **({"Range": f"bytes={have}-"} if have else {})) as answer:
        goes_on = have > 0 and answer.status_code == requests.codes.partial
        try:
            with draft.open("ab" if goes_on else "wb") as file:
                answer.raw.enforce_content_length = False  # what came before the cut is worth keeping
                while chunk := answer.raw.read(_CHUNK):
                    file.write(chunk)
        except HTTPError as error:
            raise ConfigurationError(
                f"{target.name} was cut off ({type(error).__name__}): run the command again, and it goes on from here"
            ) from None
    if draft.stat().st_size < size:
        raise ConfigurationError(f"{target.name} was cut off: run the command again, and it goes on from here")
    if _md5(draft) != checksum:
        draft.unlink()
        raise ConfigurationError(f"{target.name} is not what its record says: its checksum differs. Try again")
    draft.replace(target)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the texts and gold standards of an archive's parts into `folder/PART`, whatever folder holds them there.

    Raises:
        ConfigurationError: if it is no ZIP file, or larger than any such corpus.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [(info, place) for info in opened.infolist() if (place := _place(info.filename)) is not None]
            if sum(info.file_size for info, _ in members) > _LARGEST:
                raise ConfigurationError(f"{archive} unpacks to more than a gigabyte: this is not the corpus")
            for info, place in members:
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.read(info))
    except zipfile.BadZipFile:
        raise ConfigurationError(f"{archive} is no ZIP file") from None


def _place(member: str) -> Path | None:
    """Where a member of the archive belongs: PART/FILE.tsv or PART/text_files.../FILE.txt; None for all else."""
    parts = PurePosixPath(member).parts
    at = next((i for i, part in enumerate(parts) if part in PARTS), None)
    if at is None or ".." in parts or "__MACOSX" in parts:
        return None
    rest = parts[at:]
    is_gold = len(rest) == 2 and rest[1].endswith(".tsv")
    is_text = len(rest) == 3 and rest[1].startswith("text_files") and rest[2].endswith(".txt")
    return Path(*rest) if is_gold or is_text else None
