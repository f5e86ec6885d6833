"""The translation stage for one document: its pages in, columns of `segments` out. Pure but for the engine."""

from collections.abc import Mapping, Sequence
from typing import Any

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.language import identify_or
from medpipe_assets.translation.engine import Translation, TranslationEngine
from medpipe_assets.translation.segments import split

Columns = dict[str, list[Any]]
UNDETERMINED = "und"


def translate_document(engine: TranslationEngine, pages: Sequence[Mapping[str, Any]]) -> Columns:
    """Split each page into segments and translate them, one call of the engine a language.

    Args:
        pages: rows of `pages` with page, language, text.

    Raises:
        DocumentError: unsupported_language where a page is in a language that the engine does not translate; whatever
            the engine raises.
    """
    found: list[tuple[int, int, str, int, int, str]] = []
    for page in pages:
        text, page_language = page["text"], page["language"]
        spans = split(text, page_language)
        if page_language == UNDETERMINED:
            page_language = "en"  # numbers and codes alone: nothing that a translation could change
        elif spans and not engine.supports(page_language):
            raise DocumentError(Reason.UNSUPPORTED_LANGUAGE, f"page in '{page_language}'", page["page"])
        for index, (begin, end) in enumerate(spans):
            segment = text[begin:end]
            language = identify_or(segment, page_language)
            if not engine.supports(language):
                language = page_language
            found.append((page["page"], index, language, begin, end, segment))
    translations = _translate_by_language(engine, [(language, text) for _, _, language, _, _, text in found])
    return {
        "page": [f[0] for f in found],
        "segment_index": [f[1] for f in found],
        "language": [f[2] for f in found],
        "source_begin": [f[3] for f in found],
        "source_end": [f[4] for f in found],
        "source_text": [f[5] for f in found],
        "target_text": [t.target_text for t in translations],
        "alignment": [_alignment_rows(t) for t in translations],
        "quality": [t.quality for t in translations],
    }


def _translate_by_language(engine: TranslationEngine, segments: list[tuple[str, str]]) -> list[Translation]:
    translated: dict[int, Translation] = {}
    for language in sorted({language for language, _ in segments}):
        indices = [i for i, (other, _) in enumerate(segments) if other == language]
        results = engine.translate([segments[i][1] for i in indices], language)
        translated.update(zip(indices, results, strict=True))
    return [translated[i] for i in range(len(segments))]


def _alignment_rows(translation: Translation) -> list[dict[str, int]] | None:
    if translation.alignment is None:
        return None
    return [
        {
            "source_begin": a.source_begin,
            "source_end": a.source_end,
            "target_begin": a.target_begin,
            "target_end": a.target_end,
        }
        for a in translation.alignment
    ]
