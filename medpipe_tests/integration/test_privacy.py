"""Canaries: words that stand for a patient, planted wherever a document can hold them and looked for everywhere else.

Everywhere else is what is outside the lake's own tables and zones: what runs print, Dagster's event database and logs,
metrics, temporary folders, core dumps. Runs that succeed, fail and lose workers are looked at together.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from medpipe_tests.unit.extraction import make

NAME, NUMBER, WORDS = "Zyxwana-Qwertzopol", "MRN-8675309-77", "ploverhaunt marmaladed fjordbank"
"""A name, a number and free text that no program has of its own."""
CANARIES = (NAME, "Qwertzopol", NUMBER, "8675309", *WORDS.split())
NOTE = f"Patient {NAME}, {NUMBER}, has asthma. {WORDS}."


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder of documents with canaries in text, metadata and names; some are bad, and one kills its worker."""
    folder = tmp_path / "in" / f"ward of {NAME}"
    folder.mkdir(parents=True)
    info = f"/Title ({NAME}) /Author ({NUMBER}) /Subject ({WORDS})"
    pdf = make.pdf([make.note_page([NOTE])])
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = WORDS, NAME
    files: dict[str, bytes] = {
        f"{NAME}.txt": NOTE.encode(),
        f"{NUMBER}.pdf": pdf.replace(b"trailer << ", f"trailer << /Info << {info} >> ".encode()),
        f"{WORDS}.docx": make.docx(make.paragraph(NOTE), properties=WORDS),
        f"photo {NAME}.jpg": make.saved(make.picture([NAME], 500, 80), "JPEG", exif=exif),
        f"broken {NAME}.jpg": make.saved(make.picture([NAME], 500, 80), "JPEG", exif=exif)[:2000],
        f"{NAME}.html": f"<html><title>{NAME}</title><p>{NOTE}</p>".encode(),
        f"broken {NAME}.pdf": pdf[:400] + NOTE.encode(),
        f"{NAME}.xml": f"<patient><name>{NAME}</name></patient>".encode(),
        f"{NAME}.rtf": b"{\\rtf1 " + NOTE.encode() + b"\\u99999999999? \\'zz",
        f"{NAME}.zip": make.zipped(
            {"mimetype": f"text/{NAME}", f"{NAME}.txt": NOTE + " again", f"../{NUMBER}.txt": NOTE}
        ),
        f"members {NAME}.zip": make.zipped({f"{NAME}.txt": NOTE + " in it", f"../{NUMBER}.txt": NOTE}),
        f"bomb {NAME}.pdf": make.pdf_of_stream(make.blank_megabytes(700), b"/Filter /FlateDecode"),
        f"latin-1 {NAME}.txt": f"Paciente {NAME} con migraña".encode("latin-1"),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(f"{NAME}\xff\n.txt".encode("latin-1"))).write_bytes(NOTE.encode() + b" in another name")
    return folder


class Station:
    """A shell on a machine of its own: everything that a run could write outside its lake is in one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root / "outside", root / "lake"
        for name in ("tmp", "dagster", "cwd", "home"):
            (self.root / name).mkdir(parents=True)
        folders = {"TMPDIR": "tmp", "DAGSTER_HOME": "dagster", "HOME": "home", "XDG_CACHE_HOME": "home"}
        outside = {name: str(self.root / folder) for name, folder in folders.items()}
        self.environment = {
            **os.environ, **outside, "MEDPIPE_LAKE": str(self.lake), "MEDPIPE_TASK_MEMORY_MB": "500",
            "MEDPIPE_TELEMETRY": str(self.root / "metrics"), "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip

    def medpipe(self, *words: str, **variables: str) -> int:
        """Run the command; what it prints is kept outside."""
        number = len(list(self.root.glob("printed-*")))
        with (self.root / f"printed-{number}").open("wb") as printed:
            return subprocess.run(
                [sys.executable, "-m", "medpipe_assets.cli", *words],
                cwd=self.root / "cwd",
                env={**self.environment, **variables},
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=280,
                preexec_fn=_allow_core_dumps,
            ).returncode

    def printed(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.root.glob("printed-*")))

    def leaks(self) -> Iterator[tuple[str, str]]:
        """Canaries found, with the file each is in."""
        for path in self.root.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            for canary in CANARIES:
                forms = (canary.encode(), canary.encode("utf-16-le"), canary.replace("-", "%2D").encode())
                if any(form.lower() in content.lower() for form in forms) or canary in path.name:
                    yield canary, str(path.relative_to(self.root))


def _allow_core_dumps() -> None:
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


@pytest.mark.long
def test_what_a_document_says_of_a_patient_is_nowhere_outside_the_lake(documents: Path, tmp_path: Path) -> None:
    station = Station(tmp_path)
    assert station.medpipe("run", str(documents)) == 0, station.printed()
    inside = b"".join(path.read_bytes() for path in station.lake.rglob("*") if path.is_file())
    assert NAME.encode() in inside, "the canaries are in the lake, so they could have been anywhere"
    # A run that fails: of what the first one wrote, a file is gone.
    for path in (station.lake / "preprocessed" / "pages").rglob("*.parquet"):
        path.unlink()
    assert station.medpipe("reprocess", "--force", "--from-stage", "translated_text") == 1, station.printed()
    assert station.medpipe("run", str(documents / f"{NAME}-is-not-there.txt")) == 2
    assert "failed with" in station.printed()
    assert list(station.leaks()) == []


@pytest.mark.slow
@pytest.mark.long
def test_everything_in_the_lake_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    station = Station(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("asthma")
    for zone in ("raw", "parquet"):
        (station.lake / zone).mkdir(parents=True, mode=0o755)
    assert station.medpipe("run", str(tmp_path / "in")) == 0, station.printed()
    modes = {path: path.stat().st_mode & 0o077 for path in station.lake.rglob("*")}
    assert not [path for path, mode in modes.items() if mode]
