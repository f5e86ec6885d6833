"""The compiled lexicon and its cache."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medpipe_assets.coding import icd10cm
from medpipe_assets.lexicon import build, releases, tabular
from medpipe_tests.unit.lexicon.test_tabular import XML


@pytest.fixture(autouse=True)
def small_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A release of four codes in place of the shipped one."""
    file = tmp_path / "tabular.xml"
    file.write_text(XML, encoding="utf-8")
    monkeypatch.setattr(releases, "releases", lambda: (releases.Release("2026-10-01", file),))
    yield
    build._read.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "medpipe" / "lexicon"


def titles() -> list[str]:
    return build.codes("2026-10-01").texts("title").all()


TITLES = ["Odd ache", "Odd ache, left", "Odd ache, unspecified", "Oddity"]


def artefacts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def test_the_second_use_reads_what_the_first_one_compiled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert titles() == TITLES
    assert len(artefacts(cache)) == 1
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    monkeypatch.setattr(tabular, "read", lambda *_: pytest.fail("compiled again"))
    build._read.cache_clear()
    assert titles() == TITLES


def test_a_damaged_artefact_is_compiled_again(cache: Path) -> None:
    titles()
    (path,) = artefacts(cache)
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:100])
    assert titles() == TITLES
    assert path.stat().st_size == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert titles() == TITLES


def test_several_compile_at_once_and_leave_one_whole_artefact(cache: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda _: titles(), range(3))) == [TITLES] * 3
    assert [path.suffix for path in artefacts(cache)] == [".columns"]


def test_what_was_compiled_from_other_lists_is_removed_after_a_month(cache: Path) -> None:
    cache.mkdir(parents=True)
    for name in ("en-old.columns", "en-new.columns"):
        (cache / name).write_text("", encoding="utf-8")
    os.utime(cache / "en-old.columns", (0, 0))
    titles()
    assert [path.name for path in artefacts(cache) if path.name.startswith("en")] == ["en-new.columns"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_compiling_again_gives_the_same_bytes(language: str, cache: Path) -> None:
    contents = []
    for _ in range(2):
        build.language(language)
        (path,) = (path for path in artefacts(cache) if path.name.startswith(language))
        contents.append(path.read_bytes())
        path.unlink()
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("category", "default"),
    [
        ("E11", "E11.9"),
        ("J47", "J47.9"),
        ("I10", "I10"),
        ("D72.1", "D72.10"),
        ("S72.00", "S72.009"),
        ("K35", "K35.80"),
        ("S06.0", "S06.0XA"),
        ("F17", "F17.200"),
    ],
)
def test_a_category_stands_for_its_unspecified_leaf(
    category: str, default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the shipped release
    entry = icd10cm.lookup(category)
    assert entry is not None
    assert entry.default.startswith(default)


def test_every_default_lies_at_or_below_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    compiled = build.codes("2026-04-01")
    codes = compiled.texts("code").all()
    defaults = [codes[place] for place in compiled.arrays["default"].tolist()]
    assert len(codes) > 46_000
    assert [pair for pair in zip(codes, defaults, strict=True) if not pair[1].startswith(pair[0])] == []
