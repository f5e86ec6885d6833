"""How well the engines in force code the gold set, as metadata that the web UI plots over materialisations."""

from pathlib import Path

from medpipe_assets.coding.gold import accuracy, own_gold
from medpipe_assets.documents.line import Engines
from medpipe_assets.settings import Settings


def gold_metadata(engines: Engines, settings: Settings) -> dict[str, float]:
    """F1, precision and recall on the gold set; nothing where there is no such set, or the engines would be paid."""
    folder = Path(settings.gold).expanduser() if settings.gold else own_gold()
    if any(getattr(engine, "io_bound", False) for engine in (engines.recognition, engines.coding)):
        return {}
    found = accuracy(engines.recognition, engines.coding, folder)
    if found is None:
        return {}
    return {
        "gold_f1": round(found.f1, 4),
        "gold_precision": round(found.precision, 4),
        "gold_recall": round(found.recall, 4),
        "gold_texts": found.texts,
    }
