"""A local neural model: what happens where it, or what it needs, is not there."""

import builtins
import importlib
from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.translation.ctranslate2 import CTranslate2Translation


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in ("model.bin", "source.spm", "target.spm"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_a_missing_model_is_a_configuration_error_that_says_which_file(tmp_path: Path) -> None:
    engine = CTranslate2Translation(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"model\.bin"):
        engine.translate(["dolor"], "es")
    with pytest.raises(ConfigurationError, match=r"model\.bin"):
        _ = engine.version


def test_a_missing_package_is_a_configuration_error_that_says_what_to_install(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str, package: str | None = None) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigurationError, match=r"medpipe\[ctranslate2\]"):
        CTranslate2Translation(model).translate(["dolor"], "es")


def test_making_the_engine_and_asking_it_loads_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def watched(name: str, *args: Any, **kwargs: Any) -> Any:
        assert name not in ("ctranslate2", "sentencepiece")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", watched)
    engine = CTranslate2Translation(model, ("es", "fr"))
    assert engine.supports("fr") and not engine.supports("de")
    assert engine.version.endswith("es+fr")
    engine.close()


def test_a_language_the_model_does_not_read_is_refused(model: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        CTranslate2Translation(model).translate(["x"], "ja")
    assert caught.value.reason is Reason.UNSUPPORTED_LANGUAGE


def test_another_model_is_another_version(model: Path) -> None:
    before = CTranslate2Translation(model).version
    (model / "model.bin").write_bytes(b"other")
    assert CTranslate2Translation(model).version != before
