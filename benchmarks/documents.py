"""How fast documents go through the line, against the bare engines on the same documents in the same run.

    python -m benchmarks.documents [--quick] [--seed S] [--rounds N] [--only scans|workers|digital|notes|dagster]

- `documents_scan_cpu`: processor seconds a scanned page of the whole line, from bytes to consumer tables, over those of
  RapidOCR as its library runs it, and of our extraction engine alone; one worker, models loaded before, Dagster's
  graph and Python's start not counted on either side.
- `documents_scan_two_workers`: pages a second of the extraction stage with two workers over those of two bare
  processes of the engine, interleaved.
- `documents_digital_pages`: digital PDF pages a processor second, from bytes to words in the lake (intake and
  extraction stages); pypdfium2 alone, with the box of each letter, beside it.
- `documents_notes`: notes of 500 words a processor second from text to mapped codes (stages entities and
  icd10_mappings); the engines alone beside it. English notes: nothing is translated.
- `documents_dagster_*`: seconds that the run takes beyond the work that assets and checks are made of, on text notes
  and on scans, by the clock and by the processor; for scans also as a share of the run.

Rounds are interleaved, and medians are told. `--quick` takes few documents, no scans, and one round.
"""

import datetime as dt
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data.documents import PDF_PAGES, digital, fill, note, scan
from benchmarks.reporting import arguments, figure
from benchmarks.scale import processor_seconds
from medpipe_assets.defs.resources import make_engines
from medpipe_assets.documents import line
from medpipe_assets.documents.consumers import CONSUMERS, rebuild
from medpipe_assets.documents.intake import receive, take_in
from medpipe_assets.documents.pool import PoolSettings
from medpipe_assets.documents.stage import Stage, Task, run_stage
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.extraction.stage import extract_document
from medpipe_assets.inbox.local import LocalInbox, fetch
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.settings import Settings

DAY = dt.date(2026, 11, 20)


@dataclass(frozen=True)
class Sizes:
    """How many documents of a kind, and rounds."""

    scans: int
    pdfs: int
    notes: int
    rounds: int
    graph_notes: int
    graph_scans: int


FULL = Sizes(scans=12, pdfs=60, notes=300, rounds=3, graph_notes=100, graph_scans=100)
QUICK = Sizes(scans=0, pdfs=6, notes=30, rounds=1, graph_notes=10, graph_scans=0)


class Line:
    """The line without Dagster, over a fresh lake."""

    def __init__(self, root: Path, folder: Path, workers: int = 0) -> None:
        self.lake = Lake(LakeLocation.under(root))
        self.pool = PoolSettings(workers=workers)
        made = make_engines(Settings(), self.lake.location)
        self.stages = line.stages(made, self.lake.raw)
        receive(self.lake, LocalInbox((folder,)).arrivals(), DAY)

    def intake(self) -> None:
        take_in(self.lake, DAY, fetch, run_id="benchmark")

    def run(self, *stages: str) -> None:
        for stage in stages:
            run_stage(self.lake, self.stages[stage], DAY, run_id="benchmark", pool=self.pool)

    def consume(self) -> None:
        for name in CONSUMERS:
            rebuild(self.lake, name, DAY)


def processor(work: Callable[[], Any]) -> float:
    """Processor seconds of this process and of its children that end meanwhile."""
    begun = processor_seconds()
    work()
    return processor_seconds() - begun


def clock(work: Callable[[], Any]) -> float:
    """Seconds by the clock."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


# Scans


def rapidocr_alone(pages: Sequence[bytes]) -> None:
    """The library as it runs itself, with its settings as ours."""
    import numpy as np
    from PIL import Image

    engine = _rapidocr()
    for data in pages:
        engine(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[:, :, ::-1], return_word_box=True)


_LOADED: dict[str, Any] = {}


def _rapidocr() -> Any:
    if not _LOADED:
        from rapidocr import RapidOCR

        _LOADED["engine"] = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
    return _LOADED["engine"]


def engine_alone(pages: Sequence[bytes], media_type: str = "image/jpeg") -> None:
    """Our extraction engine, without a lake."""
    for data in pages:
        EmbeddedExtraction().extract(data, media_type)


def measure_scans(sizes: Sizes, seed: int, scratch: Path) -> None:
    """A page's processor time."""
    pages = [scan(number, seed) for number in range(sizes.scans)]
    fill(scratch / "scans", "scan", sizes.scans, seed=seed)
    engine_alone(pages[:1])
    rapidocr_alone(pages[:1])
    took: dict[str, list[float]] = {"rapidocr": [], "engine": [], "line": []}
    for number in range(sizes.rounds):
        took["rapidocr"].append(processor(partial(rapidocr_alone, pages)) / len(pages))
        took["engine"].append(processor(partial(engine_alone, pages)) / len(pages))
        whole = Line(scratch / f"scans {number}", scratch / "scans")
        took["line"].append(processor(lambda: _through(whole)) / len(pages))  # noqa: B023 - called at once
    median = {name: statistics.median(values) for name, values in took.items()}
    over_rapidocr = statistics.median(a / b for a, b in zip(took["line"], took["rapidocr"], strict=True))
    over_engine = statistics.median(a / b for a, b in zip(took["line"], took["engine"], strict=True))
    figure("documents_scan_cpu", median["line"], "seconds/page", peer={"rapidocr": median["rapidocr"]},
           ratio=over_rapidocr, n=len(pages), config={"rounds": sizes.rounds})  # fmt: skip
    figure("documents_scan_cpu_over_engine", over_engine, "ratio", peer={"engine": median["engine"]}, ratio=over_engine,
           n=len(pages), config={"rounds": sizes.rounds})  # fmt: skip


def _through(whole: Line) -> None:
    whole.intake()
    whole.run(*STAGES)
    whole.consume()


def measure_workers(sizes: Sizes, seed: int, scratch: Path) -> None:
    """Two workers against two bare processes; models loaded in both before the clock starts is not possible for the
    workers, which a run starts: so both sides start their processes, and load them, inside."""
    count = max(4, 2 * sizes.scans)
    pages = [scan(number, seed) for number in range(count)]
    fill(scratch / "for two", "scan", count, seed=seed)
    ratios, rates = [], []
    for number in range(sizes.rounds):
        bare = clock(lambda: _bare_pool(pages))
        whole = Line(scratch / f"for two {number}", scratch / "for two", workers=2)
        whole.intake()
        whole.run("raw_documents")
        took = clock(lambda: whole.run("extracted_text"))  # noqa: B023 - called at once
        ratios.append(bare / took)
        rates.append(count / took)
    figure("documents_scan_two_workers", statistics.median(rates), "pages/second", ratio=statistics.median(ratios),
           peer={"two_bare_processes": statistics.median(rates) / statistics.median(ratios)}, n=count,
           config={"rounds": sizes.rounds})  # fmt: skip


def _bare_pool(pages: Sequence[bytes]) -> None:
    import multiprocessing

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(engine_alone, [[page] for page in pages]))


# Digital pages


def pdfium_alone(documents: Sequence[bytes]) -> None:
    """pypdfium2: each page's text, and the box of each letter."""
    import pypdfium2

    for data in documents:
        with pypdfium2.PdfDocument(data) as pdf:
            for page in pdf:
                text = page.get_textpage()
                text.get_text_range()
                for index in range(text.count_chars()):
                    text.get_charbox(index)


def measure_digital(sizes: Sizes, seed: int, scratch: Path) -> None:
    """Pages a processor second."""
    documents = [digital(number, seed) for number in range(sizes.pdfs)]
    fill(scratch / "digital", "digital", sizes.pdfs, seed=seed)
    pages = sizes.pdfs * PDF_PAGES
    engine_alone(documents[:1], "application/pdf")
    took: dict[str, list[float]] = {"pypdfium2": [], "engine": [], "line": []}
    for number in range(sizes.rounds):
        took["pypdfium2"].append(pages / processor(partial(pdfium_alone, documents)))
        took["engine"].append(pages / processor(partial(_extracted, documents)))
        whole = Line(scratch / f"digital {number}", scratch / "digital")
        took["line"].append(pages / processor(lambda: _extract_stage(whole)))  # noqa: B023 - called at once
    median = {name: statistics.median(values) for name, values in took.items()}
    figure("documents_digital_pages", median["line"], "pages/second", ratio=median["line"] / median["pypdfium2"],
           peer={"pypdfium2": median["pypdfium2"], "engine": median["engine"]}, n=pages,
           config={"rounds": sizes.rounds})  # fmt: skip


def _extracted(documents: Sequence[bytes]) -> None:
    """The engine and what makes rows of it, without a lake."""
    for data in documents:
        extract_document(EmbeddedExtraction(), data, "application/pdf")


def _extract_stage(whole: Line) -> None:
    whole.intake()
    whole.run("raw_documents", "extracted_text")


# Notes


def measure_notes(sizes: Sizes, seed: int, scratch: Path) -> None:
    """Notes a processor second."""
    fill(scratch / "notes", "note", sizes.notes, seed=seed)
    alone = Line(scratch / "nothing", scratch / "no folder").stages
    rows = [_rows(alone, note(number, seed)) for number in range(sizes.notes)]
    recognise_and_code(alone, rows[:10])
    took: dict[str, list[float]] = {"engines": [], "line": []}
    for number in range(sizes.rounds):
        took["engines"].append(sizes.notes / processor(partial(recognise_and_code, alone, rows)))
        whole = Line(scratch / f"notes {number}", scratch / "notes")
        whole.intake()
        whole.run(*STAGES[:3])
        took["line"].append(sizes.notes / processor(lambda: whole.run(*STAGES[3:])))  # noqa: B023 - called at once
    median = {name: statistics.median(values) for name, values in took.items()}
    figure("documents_notes", median["line"], "documents/second", ratio=median["line"] / median["engines"],
           peer={"engines": median["engines"]}, n=sizes.notes, config={"rounds": sizes.rounds})  # fmt: skip


Tables = dict[str, list[dict[str, Any]]]


def _rows(stages: Mapping[str, Stage], data: bytes) -> Tables:
    """What the stages before would hand on."""
    tables, _ = extract_document(EmbeddedExtraction(), data, "text/plain")
    pages = [{**row, "ingest_date": DAY} for row in _listed(tables["pages"])]
    translated = stages["translated_text"].process(Task("0" * 64, {"pages": pages}))
    return {"pages": pages, "segments": _listed(translated.tables["segments"])}


def _listed(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def recognise_and_code(stages: Mapping[str, Stage], documents: Sequence[Tables]) -> None:
    """The two engines with their stages' functions, without a lake."""
    for rows in documents:
        found = stages["entities"].process(Task("0" * 64, rows))
        entities = _listed(found.tables["entities"])
        stages["icd10_mappings"].process(Task("0" * 64, {**rows, "entities": entities}))


# Dagster's own share


def measure_dagster(sizes: Sizes, seed: int, scratch: Path) -> None:
    """What the graph takes beyond what its assets and checks do."""
    for kind, count in (("note", sizes.graph_notes), ("scan", sizes.graph_scans)):
        if not count:
            continue
        folder = scratch / f"graph {kind}"
        fill(folder, kind, count, seed=seed)
        seconds, used, whole = _graph(scratch / f"graph lake {kind}", folder)
        figure(f"documents_dagster_seconds_{kind}s", seconds, "seconds", n=count)
        figure(f"documents_dagster_cpu_{kind}s", used, "seconds", n=count)
        figure(f"documents_dagster_share_{kind}s", seconds / whole, "share", n=count, config={"run": round(whole, 1)})


def _graph(root: Path, folder: Path) -> tuple[float, float, float]:
    """Dagster's own seconds, by clock and processor, and the run's, by the clock."""
    from medpipe_assets import running
    from medpipe_assets.defs.documents import assets, checks

    work, work_cpu = [0.0], [0.0]
    private_errors = assets.private_errors

    @contextmanager
    def timed() -> Iterator[None]:
        """Around all that an asset or a check does itself stands `private_errors`."""
        begun, used = time.perf_counter(), time.process_time()
        try:
            with private_errors():
                yield
        finally:
            work[0] += time.perf_counter() - begun
            work_cpu[0] += time.process_time() - used

    lake = Lake(LakeLocation.under(root))
    run_days = _run_days()
    whole = [0.0, 0.0]

    def timed_run(*words: Any, **more: Any) -> Any:
        begun, used = time.perf_counter(), time.process_time()
        try:
            return run_days(*words, **more)
        finally:
            whole[:] = [time.perf_counter() - begun, time.process_time() - used]

    from medpipe_assets.defs import execution

    for module in (assets, checks):
        setattr(module, "private_errors", timed)  # noqa: B010 - not known to type checkers
    setattr(execution, "run_days", timed_run)  # noqa: B010 - likewise
    try:
        result = running.run_inputs(lake, [str(folder)], workers=1)
    finally:
        for module in (assets, checks):
            setattr(module, "private_errors", private_errors)  # noqa: B010 - likewise
        setattr(execution, "run_days", run_days)  # noqa: B010 - likewise
    if result.failures:
        raise RuntimeError(f"the run failed: {result.failures}")
    return whole[0] - work[0], whole[1] - work_cpu[0], whole[0]


def _run_days() -> Any:
    from medpipe_assets.defs.execution import run_days

    return run_days


PARTS: dict[str, Callable[[Sizes, int, Path], None]] = {
    "notes": measure_notes,
    "digital": measure_digital,
    "dagster": measure_dagster,
    "scans": measure_scans,
    "workers": measure_workers,
}


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", choices=PARTS, action="append")
    given = parser.parse_args()
    sizes = QUICK if given.quick else FULL
    if given.rounds:
        sizes = Sizes(**{**sizes.__dict__, "rounds": given.rounds})
    chosen = given.only or [name for name in PARTS if not given.quick or name not in ("scans", "workers")]
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](sizes, given.seed, Path(folder))


if __name__ == "__main__":
    main()
