"""Translation by Apertium's pipes: with the real programs where they are, and with stand-ins where they must fail."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation import apertium
from medpipe_assets.translation.apertium import ApertiumTranslation
from medpipe_assets.translation.negation import negation_lost

INSTALLED = ApertiumTranslation().routes
needs_spanish = pytest.mark.skipif("es" not in INSTALLED, reason="Apertium's Spanish-English pair is not installed")


@pytest.fixture(scope="module")
def engine() -> Iterator[ApertiumTranslation]:
    engine = ApertiumTranslation()
    yield engine
    engine.close()


STREAM_MARKS = "\0[]{}^$\\/@*#<>~+|😀"


def check(text: str, engine: ApertiumTranslation, language: str = "es") -> None:
    """What must hold for any text."""
    result = engine.translate([text], language)[0]
    assert result.quality == "gist" and result.alignment is not None
    assert list(result.alignment) == sorted(result.alignment)
    for a in result.alignment:
        assert 0 <= a.source_begin < a.source_end <= len(text)
        assert 0 <= a.target_begin < a.target_end <= len(result.target_text)
    assert apertium._STAND_IN not in result.target_text
    assert all(result.target_text.count(mark) == text.count(mark) for mark in STREAM_MARKS)
    assert all(number in result.target_text for number in re.findall(r"\d+(?:[.,/]\d+)*", text))
    assert result.unknown_words >= 0


@needs_spanish
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.text(max_size=8),
            st.sampled_from([*STREAM_MARKS, "\n", ".", ",", ";", "日本", "[[/]]", "[[t:w:0]]"]),
            st.sampled_from(["no", "presenta", "dolor", "torácico", "850", "mg", "3,5", "de", "la", "El", "Dr.", " "]),
        ),
        max_size=14,
    ).map(" ".join)
)
@example("[[t:w:0]]dolor[[/]] ^dolor<n><m><sg>$ \\ \x00")
@example("\ud800 dolor \udfff")
@example("de el a el con mí se lo")
def test_any_text_comes_back_safely(engine: ApertiumTranslation, text: str) -> None:
    check(text.replace("xqz", "xqy"), engine)


@needs_spanish
@pytest.mark.parametrize("text", ["", " ", "\n", "123", "...", "日本語", "a" * 5_000, "dolor " * 400])
def test_texts_that_are_hardly_texts_come_back(engine: ApertiumTranslation, text: str) -> None:
    check(text, engine)


@needs_spanish
def test_answers_keep_the_order_of_the_questions(engine: ApertiumTranslation) -> None:
    texts = [f"Fiebre de {n} días" for n in range(300)]
    assert all(f" {n} " in r.target_text for n, r in enumerate(engine.translate(texts, "es")))


@needs_spanish
@pytest.mark.parametrize(
    "text",
    [
        "Metformina 850 mg 1-0-1 v.o. cada 8h",
        "TA 120/80 mmHg, FC 72 lpm, SatO2 98%",
        "Potasio 3,5 mmol/L y hemoglobina 12.4 g/dL",
        "Ciclosporina 8mg/Kg desde el 12/05/2020",
        "Zyloprimex y Betavanol 100mg/día",
        "masa de 2x1.8x1.5cm <5 [a]",
    ],
)
def test_numbers_doses_and_names_survive(engine: ApertiumTranslation, text: str) -> None:
    target = engine.translate([text], "es")[0].target_text
    kept = [token for token in text.replace("v.o.", "").split() if any(map(str.isdigit, token)) or token in "ZB"]
    assert all(token.split("/d")[0].rstrip(",") in target for token in kept)
    assert all(name in target for name in ("Zyloprimex", "Betavanol") if name in text)


@needs_spanish
def test_words_are_aligned_across_reordering(engine: ApertiumTranslation) -> None:
    text = "El paciente no presenta dolor abdominal ni disnea intensa"
    result = engine.translate([text], "es")[0]
    pairs = {
        text[a.source_begin : a.source_end]: result.target_text[a.target_begin : a.target_end]
        for a in result.alignment or ()
    }
    assert pairs["paciente"] == "patient"
    assert pairs["no presenta"] == "does not present"
    assert pairs["dolor abdominal"] == "abdominal pain"
    assert pairs["disnea"] == "dyspnea" and pairs["intensa"] == "intense"
    assert result.target_text.endswith("intense dyspnea")


@needs_spanish
@pytest.mark.parametrize(
    ("source", "english"),
    [
        ("Sin cambios en la radiografía", "Unchanged in the X-ray"),
        ("Se realizó ecografía renal", "Was performed renal ultrasound"),
        ("En la ecografía se observó un quiste", "In the ultrasound was observed a cyst"),
        ("Paciente de 71 años ingresado por fiebre", "Patient of 71 years admitted for fever"),
        ("No presenta ninguna masa", "Does not present any mass"),
    ],
)
def test_clinical_phrases_read_as_the_lexicon_has_them(engine: ApertiumTranslation, source: str, english: str) -> None:
    assert engine.translate([source], "es")[0].target_text == english


@needs_spanish
def test_unknown_words_are_counted_and_bear_no_mark(engine: ApertiumTranslation) -> None:
    result = engine.translate(["Fiebre y brumafloxia."], "es")[0]
    assert result.target_text == "Fever and brumafloxia."
    assert result.unknown_words == 1


@needs_spanish
@pytest.mark.parametrize(
    "text",
    [
        "No presenta fiebre.",
        "Niega dolor torácico.",
        "Sin alteraciones.",
        "No se palpan masas ni megalias.",
        "Nunca ha fumado.",
        "Ningún familiar afecto.",
        "No hay fiebre, tampoco tos.",
        "En ninguna de las zonas se aprecia tumor.",
    ],
)
def test_a_denial_stays_a_denial(engine: ApertiumTranslation, text: str) -> None:
    assert not negation_lost(text, engine.translate([text], "es")[0].target_text, "es")


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("fr", "Le patient ne présente pas de fièvre depuis 3 jours", {"patient", "not", "fever", "3", "days"}),
        ("pt", "O doente não apresenta febre há 3 dias", {"patient", "not", "fever", "3", "days"}),
        ("it", "Il paziente non presenta febbre da 3 giorni", {"patient", "not", "fever", "3", "days"}),
    ],
)
def test_languages_without_a_pair_of_their_own_go_by_spanish(
    engine: ApertiumTranslation, language: str, text: str, words: set[str]
) -> None:
    if not engine.supports(language):
        pytest.skip(f"no Apertium pipelines from {language} to English installed")
    result = engine.translate([text], language)[0]
    assert words <= set(result.target_text.split())
    pairs = {text[a.source_begin : a.source_end] for a in result.alignment or ()}
    assert "3" in pairs
    check(text, engine, language)


def test_nothing_is_supported_where_nothing_is_installed(tmp_path: Path) -> None:
    engine = ApertiumTranslation(modes=tmp_path)
    assert not engine.supports("es") and engine.version == "none"
    with pytest.raises(DocumentError) as caught:
        engine.translate(["dolor"], "es")
    assert caught.value.reason is Reason.UNSUPPORTED_LANGUAGE


PROGRAM = Callable[[str], ApertiumTranslation]


def test_a_pair_of_which_a_program_is_missing_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "cg-proc" else f"/usr/bin/{name}")
    for mode, pipeline in {
        "spa-eng": "lt-proc -w a.bin | lt-proc b.bin",
        "ita-spa": "lt-proc a.bin | cg-proc c.bin",
    }.items():
        (tmp_path / f"{mode}.mode").write_text(pipeline)
    assert ApertiumTranslation(modes=tmp_path).routes == {"es": ("spa-eng",)}


@pytest.fixture
def behaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PROGRAM]:
    """Makes engines whose Spanish pipe is one shell script."""
    engines = []

    def make(script: str) -> ApertiumTranslation:
        program = tmp_path / "pipe"
        program.write_text(f"#!/bin/sh\n{script}\n")
        names = tmp_path / "apertium-wblank-mode"
        names.write_text(f"#!/bin/sh\necho '{program}'\n")
        for path in (program, names):
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        (tmp_path / "spa-eng.mode").write_text("cat | cat")
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        engines.append(ApertiumTranslation(modes=tmp_path, timeout=0.5))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_a_pipe_that_hangs_is_killed_and_reported(behaving: PROGRAM) -> None:
    engine = behaving("exec sleep 600")
    with pytest.raises(DocumentError) as caught:
        engine.translate(["presenta fiebre"], "es")
    assert caught.value.reason is Reason.TIMEOUT
    assert "fiebre" not in str(caught.value)
    assert engine._pipes == {}


def test_a_pipe_that_ends_is_started_once_more_and_then_reported(behaving: PROGRAM, tmp_path: Path) -> None:
    count = tmp_path / "starts"
    engine = behaving(f"echo x >> {count}; exit 1")
    with pytest.raises(DocumentError) as caught:
        engine.translate(["presenta fiebre"], "es")
    assert caught.value.reason is Reason.ENGINE_CRASHED
    assert count.read_text().count("x") == 2


def test_a_program_that_cannot_start_makes_the_engine_unavailable(behaving: PROGRAM, tmp_path: Path) -> None:
    engine = behaving("cat")
    (tmp_path / "pipe").unlink()
    with pytest.raises(DocumentError) as caught:
        engine.translate(["presenta fiebre"], "es")
    assert caught.value.reason is Reason.ENGINE_UNAVAILABLE


def test_an_engine_recovers_from_a_pipe_killed_behind_its_back(behaving: PROGRAM) -> None:
    engine = behaving("exec cat")
    first = engine.translate(["presenta fiebre"], "es")
    os.kill(engine._pipes["es"]._processes[0].pid, 9)
    assert engine.translate(["presenta fiebre"], "es") == first


def test_closing_ends_the_processes_and_the_engine_works_again(behaving: PROGRAM) -> None:
    engine = behaving("exec cat")
    first = engine.translate(["presenta fiebre"], "es")
    processes = list(engine._pipes["es"]._processes)
    engine.close()
    assert all(process.returncode is not None for process in processes)
    assert engine.translate(["presenta fiebre"], "es") == first


@needs_spanish
def test_the_version_states_the_packages_without_starting_a_pipe() -> None:
    engine = ApertiumTranslation()
    assert "es:" in engine.version and "lexicon" in engine.version
    assert engine._pipes == {}
    if shutil.which("dpkg-query"):
        assert "apertium-eng-spa" in engine.version


@needs_spanish
def test_the_processes_end_with_a_parent_that_was_killed() -> None:
    code = (
        "import os, signal\n"
        "from medpipe_assets.translation.apertium import ApertiumTranslation\n"
        "engine = ApertiumTranslation()\n"
        "engine.translate(['presenta fiebre'], 'es')\n"
        "print(*(p.pid for p in engine._pipes['es']._processes), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) > 5
    # the output above ends only when the last process that holds it has ended, or is ending
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
