"""Accuracy as metadata: measured where it costs nothing."""

from pathlib import Path
from types import SimpleNamespace

from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.defs.documents.watch import gold_metadata
from medpipe_assets.documents.line import Engines
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_assets.settings import Settings


def engines(**changed: object) -> Engines:
    own = {"recognition": EmbeddedRecognition(), "coding": EmbeddedCoding()} | changed
    return SimpleNamespace(**own)  # type: ignore[return-value]  # no other engine is asked


def test_accuracy_is_told_in_numbers_that_can_be_plotted() -> None:
    told = gold_metadata(engines(), Settings())
    assert set(told) == {"gold_f1", "gold_precision", "gold_recall", "gold_texts"}
    assert all(isinstance(value, int | float) for value in told.values())


def test_engines_that_are_paid_are_not_asked() -> None:
    paid = SimpleNamespace(io_bound=True)
    assert gold_metadata(engines(coding=paid), Settings()) == {}


def test_a_gold_set_of_ones_own_takes_the_place_of_the_samples(tmp_path: Path) -> None:
    assert gold_metadata(engines(), Settings(gold=str(tmp_path))) == {}
