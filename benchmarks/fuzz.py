"""Breaks files at random, and hands them to the parsers' front doors: each must answer with a document or a reason.

    python -m benchmarks.fuzz [--quick] [--minutes 30] [--seed 0] [--keep DIR] [DOOR ...]

A door is what takes bytes from outside: pdf, image, docx, rtf, html, zip, csv, json, notification. Seeds are small
files made on the spot; a mutation flips, cuts, repeats and swaps their bytes, or puts in what parsers trip over. Tries
run in worker processes, so that a crash, a hang or a full memory is a finding, too. `--keep` takes the files that were
findings. Where `atheris` is installed, `--atheris` has it look for new paths through one door, in this process.
"""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random

from benchmarks.reporting import arguments, figure
from medpipe_assets.documents.pool import PoolSettings, map_tasks
from medpipe_assets.errors import DocumentError, Reason
from medpipe_tests.unit.extraction import make

SECONDS, MEMORY = 20.0, 1 << 30
"""What a try may take; a file of a few kilobytes needs a hundredth of that."""

EXPECTED = frozenset(Reason) - {Reason.ENGINE_CRASHED, Reason.TIMEOUT, Reason.INCONSISTENT}
"""Reasons that a broken file may have; the others are findings."""

MOST_CHANGES = 6
TOKENS = (
    b"\0", b"\xff\xfe", b"\xff" * 4, b"-1", b"0", b"2147483648", b"99999999999999999999", b"1e999", b"%s%n", b"\n",
    b"\r", b'"', b"'", b"<", b">", b"&#0;", b"&#xD800;", b"<!--", b"-->", b"<![CDATA[", b"<!DOCTYPE x [", b"{", b"}",
    b"[" * 50, b"\\u", b"\\bin9999999 ", b"obj", b"endobj", b"stream", b"endstream", b"/Length -1", b"/Kids [1 0 R]",
    b"<<", b">>", b"PK\x03\x04", b"PK\x01\x02", b"../", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"%2F%00", b"null", b"\x1a",
)  # fmt: skip


@dataclass(frozen=True)
class Door:
    """A front door: files that it takes, and what is done with bytes that come. A result is worth nothing here."""

    seeds: Callable[[], list[bytes]]
    open: Callable[[bytes], object]


def _read(media_type: str) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        from medpipe_assets.extraction.embedded import EmbeddedExtraction
        from medpipe_assets.extraction.media_type import sniff
        from medpipe_assets.extraction.stage import extract_document

        sniff(data)
        tables, _ = extract_document(EmbeddedExtraction(), data, media_type)
        pages = dict(zip(tables["pages"]["page"], tables["pages"]["text"], strict=True))
        words = tables["words"]
        for page, text, begin, end in zip(*(words[c] for c in ("page", "text", "text_begin", "text_end")), strict=True):
            if pages[page][begin:end] != text:
                raise AssertionError("a word is not where it is said to be")
        return len(pages)

    return read


def _pictures(data: bytes) -> object:
    """Pixels alone: what OCR makes of them is another matter, and takes a second."""
    from medpipe_assets.extraction.images import pictures
    from medpipe_assets.extraction.media_type import IMAGES, sniff

    kind = sniff(data)
    return [getattr(p, "shape", None) for p in pictures(data, kind)] if kind in IMAGES else None


def _docx(data: bytes) -> object:
    package = data if data.startswith(b"PK") else make.docx(data.decode("latin-1"))
    return _read("application/vnd.openxmlformats-officedocument.wordprocessingml.document")(package)


def _archive(data: bytes) -> object:
    from medpipe_assets.extraction.archive import members

    return sum(len(content) for _, content in members(data) if isinstance(content, bytes))


def _csv(data: bytes) -> object:
    from medpipe_assets.etlt.drift import infer

    return _of_a_file(data, ".csv", lambda path: infer(path, "fuzzed"))


def _json(data: bytes) -> object:
    from medpipe_assets.etlt.drift import infer
    from medpipe_assets.extraction.media_type import sniff

    sniff(data)
    return _of_a_file(data, ".json", lambda path: infer(path, "fuzzed"))


def _of_a_file(data: bytes, ending: str, read: Callable[[Path], object]) -> object:
    import tempfile

    from medpipe_assets.errors import ConfigurationError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{ending}")
        path.write_bytes(data)
        with suppress(ConfigurationError):  # how a person at the command line is told of a bad file
            return read(path)
    return None


def _notification(data: bytes) -> object:
    from medpipe_assets.inbox.notifications import parse

    return parse(data.decode("utf-8", errors="surrogateescape"))


def _pdf_seeds() -> list[bytes]:
    page = make.note_page()
    return [make.pdf([page, page]), make.pdf([page], entries="/Rotate 90"), make.portfolio(), make.encrypted_pdf()]


def _picture_seeds() -> list[bytes]:
    image = make.picture(["asthma"], 60, 30, 12)
    stack = {"save_all": True, "append_images": [image.copy()]}
    kinds = (("PNG", {}), ("JPEG", {}), ("TIFF", stack), ("GIF", stack), ("WEBP", stack), ("BMP", {}), ("JPEG2000", {}))
    return [make.saved(image.copy(), kind, **options) for kind, options in kinds]


def _docx_seeds() -> list[bytes]:
    """Packages, and parts to be put into one: few changes of a package get past its checksums."""
    table = make.table([[make.paragraph("a"), make.paragraph("b")]])
    parts = [table.encode(), make.paragraph("asthma &amp; <w:tab/> gout").encode()]
    return [*parts, *parts, make.docx(make.paragraph("asthma") + table, header=make.paragraph("ward"))]


RTF = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\b asthma\b0\par \'e9\u233?{\*\x y}\trowd a\cell b\cell\row}"
HTML = b"<!DOCTYPE html><head><meta charset=utf-8><title>t</title></head><!-- c --><p>asthma<table><tr><td>a</table>"
CSV = b'NPI, Name,Visited\n1234567893,"Doe, ""J""",2026-01-02\n1111111112,"a\nb",02/01/2026\n'
JSON = b'{"sample_data": [{"id": "a", "n": 1.5, "list": [{"x": null}], "d": "2026-01-02"}, {"id": "b"}]}'
EVENT = {
    "Records": [
        {
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": "2026-11-20T08:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": {"key": "in/a%20b.pdf", "size": 3, "eTag": "x"}},
        }
    ]
}  # fmt: skip
BRIDGE = {
    "detail-type": "Object Created", "source": "aws.s3", "time": "2026-11-20T08:00:00Z",
    "detail": {"bucket": {"name": "b"}, "object": {"key": "in/a b.pdf", "size": 3, "etag": "x"}},
}  # fmt: skip

DOORS: Mapping[str, Door] = {
    "pdf": Door(_pdf_seeds, _read("application/pdf")),
    "image": Door(_picture_seeds, _pictures),
    "docx": Door(_docx_seeds, _docx),
    "rtf": Door(lambda: [RTF], _read("application/rtf")),
    "html": Door(lambda: [HTML], _read("text/html")),
    "zip": Door(lambda: [make.zipped({"a.txt": "x" * 99, "b.zip": make.zipped({"c": "y"})})], _archive),
    "csv": Door(lambda: [CSV, CSV.replace(b",", b";"), CSV.decode().encode("utf-16")], _csv),
    "json": Door(lambda: [JSON, JSON.replace(b"}, {", b"}\n{")[17:-2]], _json),
    "notification": Door(lambda: [json.dumps(EVENT).encode(), json.dumps(BRIDGE).encode()], _notification),
}


@cache
def seeds_of(door: str) -> tuple[bytes, ...]:
    """A door's seeds, made once."""
    return tuple(DOORS[door].seeds())


def mutated(rng: Random, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with a few changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, MOST_CHANGES)):
        at, length = rng.randrange(len(data) + 1), 1 << rng.randrange(9)
        piece = bytes(data[at : at + length])
        change = rng.randrange(7)
        if change == 0 and piece:
            data[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            data[at : at + length] = b""
        elif change == 2:
            data[at:at] = piece * rng.choice((1, 2, 50))
        elif change == 3:
            data[at : at + rng.choice((0, 1, 4))] = rng.choice(TOKENS)
        elif change == 4:
            data[at : at + length] = rng.randbytes(len(piece))
        elif change == 5:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other))
            data[at : at + length] = other[begin : begin + length]
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def enter(task: tuple[str, bytes]) -> str:
    """Hand bytes to a door; 'read', or the reason why not."""
    door, data = task
    try:
        DOORS[door].open(data)
    except DocumentError as error:
        if error.reason not in EXPECTED:
            raise
        return error.reason.value
    return "read"


def fuzz(door: str, seconds: float, seed: int, keep: Path | None) -> tuple[Counter[str], Counter[str]]:
    """Outcomes, and findings by what they say."""
    rng, seeds, until = Random(f"{door} {seed}"), seeds_of(door), time.monotonic() + seconds
    outcomes: Counter[str] = Counter()
    findings: Counter[str] = Counter()

    def tasks() -> Iterator[tuple[str, bytes]]:
        yield from ((door, data) for data in seeds)
        while time.monotonic() < until:
            yield door, mutated(rng, seeds)

    settings = PoolSettings(workers=1, task_seconds=SECONDS, memory_bytes=MEMORY)
    for (_, data), result in map_tasks(enter, tasks(), settings):
        if isinstance(result, str):
            outcomes[result] += 1
            continue
        findings[str(result)] += 1
        if keep is not None and findings[str(result)] <= 3:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{door}-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
    return outcomes, findings


def with_atheris(door: str, seconds: float) -> None:
    """Let atheris look for inputs that take new paths; it prints what it does, and ends at the first finding."""
    import atheris  # type: ignore[import-not-found,unused-ignore]  # not among the dependencies: it has no wheel for many

    with atheris.instrument_imports():
        from medpipe_assets.etlt import drift  # noqa: F401 - imported to be instrumented
        from medpipe_assets.extraction import archive, html, plain_text, rtf, word_processing  # noqa: F401 - likewise
        from medpipe_assets.inbox import notifications  # noqa: F401 - likewise

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds:.0f}"], lambda data: enter((door, bytes(data))) and None)
    atheris.Fuzz()


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that were findings")
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("doors", nargs="*", choices=[*DOORS, []], metavar="DOOR")
    options = parser.parse_args()
    doors = options.doors or list(DOORS)
    seconds = 20.0 / len(doors) if options.quick else options.minutes * 60
    if options.atheris:
        with_atheris(doors[0], seconds)
        return
    for door in doors:
        outcomes, findings = fuzz(door, seconds, options.seed, options.keep)
        config = {"minutes": round(seconds / 60, 2), "seed": options.seed, "outcomes": dict(outcomes.most_common())}
        figure(f"fuzz_{door}_tries", outcomes.total() + findings.total(), "tries", config=config)
        shown = dict(islice(findings.most_common(), 10))
        figure(f"fuzz_{door}_findings", findings.total(), "findings", n=outcomes.total(), config={"findings": shown})


if __name__ == "__main__":
    main()
