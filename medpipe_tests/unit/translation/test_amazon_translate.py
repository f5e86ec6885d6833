"""Amazon Translate as a translation engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.metering import collecting
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation.amazon_translate import TranslateTranslation
from medpipe_assets.translation.engine import Alignment
from medpipe_tests.unit.answers import Services, paid


def reversible(Text: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - the service's own parameter
    return {"TranslatedText": Text.upper(), "SourceLanguageCode": "es", "TargetLanguageCode": "en"}


def engine(
    answer: Callable[..., dict[str, Any]] = reversible, store: Path | None = None, **settings: Any
) -> tuple[TranslateTranslation, Services]:
    services = Services({"translate_text": answer})
    return TranslateTranslation(paid(services, store), **settings), services


SEGMENTS = st.lists(st.text(alphabet="aé ñ\n天\u2028\t", max_size=40) | st.just("fiebre " * 600), max_size=40)


@given(SEGMENTS)
def test_each_segment_gets_its_own_translation_and_no_request_is_too_long(texts: list[str]) -> None:
    translate, services = engine()
    found = translate.translate(texts, "es")
    assert [t.target_text.split() for t in found] == [text.upper().split() for text in texts]
    assert all(t.quality == "machine" and t.alignment is None for t in found)
    assert all(0 < len(text.encode()) <= 10_000 for text in services.texts())


def test_many_segments_share_a_request() -> None:
    translate, services = engine()
    translate.translate([f"Sin fiebre el día {i}." for i in range(400)], "es")
    assert len(services.sent) < 100


def test_a_repeated_segment_is_sent_once() -> None:
    translate, services = engine()
    translate.translate(["Hospital General"] * 5 + ["Sin fiebre."], "es")
    assert "\n".join(services.texts()).count("Hospital General") == 1


@pytest.mark.parametrize("spoil", [lambda t: t.replace("\n", " "), lambda t: t + "\nMORE", lambda t: "\n" + t])
def test_segments_that_come_back_joined_or_cut_are_sent_one_by_one(spoil: Callable[[str], str]) -> None:
    def answer(Text: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"TranslatedText": spoil(Text.upper()) if "\n" in Text else Text.upper()}

    translate, _ = engine(answer)
    texts = [f"frase {i}" for i in range(30)]
    assert [t.target_text for t in translate.translate(texts, "es")] == [text.upper() for text in texts]


def test_a_segment_longer_than_a_request_is_translated_in_parts() -> None:
    translate, services = engine()
    (found,) = translate.translate(["Tiene fiebre alta. " * 1200], "es")
    assert found.target_text == ("TIENE FIEBRE ALTA. " * 1200).strip()
    assert len(services.sent) == 3


def test_english_is_not_sent_and_the_saving_is_recorded() -> None:
    translate, services = engine()
    with collecting() as costs:
        (found,) = translate.translate(["No fever."], "en")
    assert (found.target_text, found.quality, found.alignment) == ("No fever.", "source", (Alignment(0, 9, 0, 9),))
    assert services.sent == []
    assert [(c.dollars, c.units, c.reason_saved) for c in costs] == [(0.0, 9, "english")]
    assert costs[0].saved_dollars == pytest.approx(9 * 15e-6)


def test_characters_sent_are_billed() -> None:
    translate, services = engine()
    with collecting() as costs:
        translate.translate(["Sin fiebre.", "Sin tos."], "es")
    assert sum(c.units for c in costs) == sum(map(len, services.texts()))
    assert sum(c.dollars for c in costs) == pytest.approx(sum(map(len, services.texts())) * 15e-6)


def test_a_page_that_stood_in_another_document_is_mostly_not_paid_for_again(tmp_path: Path) -> None:
    translate, _ = engine(store=tmp_path)
    page = [f"El paciente número {i} refiere dolor abdominal desde hace {i} días." for i in range(60)]
    translate.translate(["Carta primera.", *page, "Fin."], "es")
    with collecting() as costs:
        translate.translate(["Informe de alta, segunda carta.", "Motivo.", *page], "es")
    assert sum(c.saved_dollars for c in costs) > 2 * sum(c.dollars for c in costs)


def test_a_custom_terminology_is_part_of_request_key_and_version(tmp_path: Path) -> None:
    plain, plain_services = engine(store=tmp_path)
    custom, custom_services = engine(store=tmp_path, terminology=("cardiology-2",))
    plain.translate(["Sin fiebre."], "es")
    custom.translate(["Sin fiebre."], "es")
    assert "TerminologyNames" not in plain_services.sent[0][1]
    assert custom_services.sent[0][1]["TerminologyNames"] == ["cardiology-2"]
    assert plain.version != custom.version


def test_a_language_that_translate_lacks_is_refused_unsent() -> None:
    translate, services = engine()
    assert translate.supports("es") and translate.supports("nb") and not translate.supports("eu")
    with pytest.raises(DocumentError) as error:
        translate.translate(["Kaixo"], "eu")
    assert error.value.reason is Reason.UNSUPPORTED_LANGUAGE
    assert services.sent == []
