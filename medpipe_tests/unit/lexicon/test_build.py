"""The compiled lexicon and its cache."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medpipe_assets.lexicon import build, releases, tabular


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path / "medpipe" / "lexicon"


def titles() -> list[str]:
    return build.codes(releases.releases()[-1].effective).texts("title").all()


def artefacts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def test_the_second_use_reads_what_the_first_one_compiled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = titles()
    assert len(artefacts(cache)) == 1
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    monkeypatch.setattr(tabular, "read", lambda *_: pytest.fail("compiled again"))
    build._read.cache_clear()
    assert titles() == first


def test_a_damaged_artefact_is_compiled_again(cache: Path) -> None:
    first = titles()
    (path,) = artefacts(cache)
    path.write_bytes(path.read_bytes()[:1000])
    assert titles() == first
    assert path.stat().st_size > 1000


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert titles()[0] == "Cholera"


def test_several_compile_at_once_and_leave_one_whole_artefact(cache: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: titles(), range(3)))
    assert found[0] == found[1] == found[2]
    assert [path.suffix for path in artefacts(cache)] == [".columns"]


@pytest.fixture(scope="module")
def defaults() -> dict[str, str]:
    release = releases.releases()[-1]
    return build.defaults(tabular.read(release.file, release.confirmed).rows)


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
def test_a_category_stands_for_its_unspecified_leaf(defaults: dict[str, str], category: str, default: str) -> None:
    assert defaults[category].startswith(default)


def test_every_default_lies_at_or_below_its_code(defaults: dict[str, str]) -> None:
    assert [code for code, default in defaults.items() if not default.startswith(code)] == []
