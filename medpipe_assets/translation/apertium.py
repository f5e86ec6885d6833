"""Translation by Apertium, a rule-based system in Debian packages, through pipes that stay open.

Here is how text gets in and out of the pipes safely and with exact word alignment, and how the processes are started,
watched and stopped. Which words medicine wants otherwise than a general dictionary has them is in the gloss lexicon.

Quality is 'gist', on purpose: it reads well enough, but takes idioms word by word and has been seen to lose negations
(those it loses whole are put back, see `negation`). Nothing may be coded from it alone.

What goes into a pipe is words, commas and blanks, never anything else. Text is cut at all other punctuation, which is
copied by this module; numbers, doses, acronyms and terms of several words go in as a stand-in word and come out as
they were, or as the lexicon's English. So no document can hold a character that the stream format takes for its own.
"""

import atexit
import contextlib
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import time
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation import gloss
from medpipe_assets.translation.engine import Alignment, Translation
from medpipe_assets.translation.negation import negation_cues, negation_lost

MODES = Path("/usr/share/apertium/modes")
"""Where Debian's packages put their pipelines, one `<pair>.mode` each."""

ROUTES: dict[str, tuple[tuple[str, ...], ...]] = {
    "es": (("spa-eng",), ("es-en",)),
    "fr": (("fra-eng",), ("fra-spa", "spa-eng"), ("fr-es", "spa-eng")),
    "pt": (("por-eng",), ("por-spa", "spa-eng"), ("pt-es", "spa-eng")),
    "it": (("ita-eng",), ("ita-spa", "spa-eng"), ("it-es", "spa-eng")),
}
"""Pipelines into English by language, best first; where no direct pair exists, Spanish stands between."""

TIMEOUT = 20.0
"""Seconds without any answer after which a pipe counts as hung; a sentence takes 2 ms, a cold start 0.3 s."""

_STAND_IN = "xqz"
"""A word no dictionary knows: it passes through all stages, in its place."""

_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿœŒ]+(?:[-'’·][A-Za-zÀ-ÖØ-öø-ÿœŒ]+)*['’]?")
_JOINT = re.compile(r"\s+|,\s+|")
_UNIT = re.compile(r"\[\[(?P<ids>[^\[\]]*)\]\](?P<text>.*?)\[\[/\]\]", re.DOTALL)
_ID = re.compile(r"t:w:(\d+)")
_MARK = re.compile(r"(?<!\w)[*@#](?=\S)")
_ARTICLES = frozenset(("a", "an", "the", "of", "to", "in", "on"))


class ApertiumTranslation:
    """TranslationEngine by Apertium pipes, for the languages whose pairs are installed.

    A language's processes start with its first translation and stay until `close`, or the end of this process: they
    read from a pipe that only this process holds, so they end with it however it ends. (A death signal would be tied
    to the thread that started them, and worker threads come and go.)

    Args:
        modes: folder of mode files.
        timeout: seconds without an answer after which the pipe is killed.
    """

    name = "apertium"

    def __init__(self, modes: Path = MODES, timeout: float = TIMEOUT) -> None:
        self._modes = modes
        self._timeout = timeout
        self._pipes: dict[str, Pipe] = {}
        _open_engines.add(self)

    @cached_property
    def routes(self) -> dict[str, tuple[str, ...]]:
        """The pipelines to use by language, those of which all programs are there; empty without Apertium."""
        if shutil.which("apertium-wblank-mode") is None:
            return {}
        return {
            language: route
            for language, candidates in ROUTES.items()
            if (route := next((r for r in candidates if all(self._runs(mode) for mode in r)), None))
        }

    def _runs(self, mode: str) -> bool:
        """Whether a pipeline is installed with all its programs: Debian's Italian one only recommends cg-proc."""
        if not self._mode(mode).is_file():
            return False
        parts = self._mode(mode).read_text(encoding="utf-8").split("|")
        return all(shutil.which(part.split()[0]) for part in parts if part.strip())

    @cached_property
    def version(self) -> str:
        """The routes and the versions of the Debian packages behind them; 'none' where nothing is installed."""
        if not self.routes:
            return "none"
        routes = " ".join(f"{language}:{'>'.join(route)}" for language, route in sorted(self.routes.items()))
        return f"{_package_versions()}; {routes}; lexicon {gloss.fingerprint()}"

    def supports(self, language: str) -> bool:
        """Whether pipelines from the language into English are installed."""
        return language in self.routes

    def translate(self, texts: Sequence[str], language: str) -> list[Translation]:
        """Translate each text.

        Raises:
            DocumentError: unsupported_language; engine_crashed where the pipe broke twice; timeout where it hung.
        """
        if not self.supports(language):
            raise DocumentError(Reason.UNSUPPORTED_LANGUAGE, f"no Apertium pair installed from {language!r}")
        drafts = [_draft(text, language) for text in texts]
        wanted = list(dict.fromkeys(chunk.stream for draft in drafts for chunk in draft if chunk.stream))
        answers = dict(zip(wanted, self._exchange(wanted, language), strict=True))
        return [_assemble(text, draft, answers, language) for text, draft in zip(texts, drafts, strict=True)]

    def close(self) -> None:
        """End all child processes."""
        while self._pipes:
            _, pipe = self._pipes.popitem()
            pipe.kill()

    def _mode(self, mode: str) -> Path:
        return self._modes / f"{mode}.mode"

    def _exchange(self, streams: list[str], language: str) -> list[str]:
        """Send streams through the language's pipe; start it anew, once, if it breaks."""
        answers: list[str] = []
        for last_try in (False, True):
            pipe = self._pipes.get(language) or self._start(language)
            self._pipes[language] = pipe
            try:
                pipe.exchange(streams[len(answers) :], answers, self._timeout)
                return answers
            except (BrokenPipeError, EOFError):
                self._drop(language)
                if last_try:
                    raise DocumentError(Reason.ENGINE_CRASHED, f"Apertium {language}-en ended twice") from None
            except TimeoutError:
                self._drop(language)
                raise DocumentError(Reason.TIMEOUT, f"Apertium {language}-en, {self._timeout:g} s") from None
            except BaseException:
                self._drop(language)  # answers still in the pipe would be taken for those of the next call
                raise
        raise AssertionError("unreachable")

    def _drop(self, language: str) -> None:
        self._pipes.pop(language).kill()

    def _start(self, language: str) -> "Pipe":
        route = self.routes[language]
        try:
            commands = [c for mode in route for c in _commands(self._mode(mode), last=mode == route[-1])]
            return Pipe(commands)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise DocumentError(
                Reason.ENGINE_UNAVAILABLE, f"Apertium {'>'.join(route)}: {type(error).__name__}"
            ) from None


_open_engines: "weakref.WeakSet[ApertiumTranslation]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_open_engines):
        engine.close()


def _commands(mode: Path, last: bool) -> list[list[str]]:
    """The programs of a mode with their arguments, flushing at NUL and keeping word-bound blanks.

    Only the last mode of a route marks unknown words: to the next mode, a mark would be part of the word.
    """
    line = subprocess.run(
        ["apertium-wblank-mode", "-z", str(mode)], capture_output=True, text=True, timeout=TIMEOUT, check=True
    ).stdout
    line = line.replace("$1", "-g" if last else "-n").replace("$2", "")
    commands = [shlex.split(part) for part in line.strip().split("|")]
    if not all(commands):
        raise ValueError("empty command in mode")
    return commands


def _package_versions() -> str:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package} ${Version}\n", "apertium*", "lttoolbox"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=TIMEOUT, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return "versions unknown"
    return ", ".join(line[3:].strip() for line in listed.splitlines() if line.startswith("ii")) or "versions unknown"


class Pipe:
    """Programs joined stdin to stdout, in a process group of their own; strings in, as many strings out."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        try:
            for command in commands:
                before = self._processes[-1].stdout if self._processes else None
                self._processes.append(
                    subprocess.Popen(
                        command,
                        stdin=before or subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,  # it may quote the text
                        env=environment,
                        process_group=self._processes[0].pid if self._processes else 0,
                    )
                )
                if before is not None:
                    before.close()
        except BaseException:
            self.kill()
            raise
        stdin, stdout = self._processes[0].stdin, self._processes[-1].stdout
        assert stdin is not None and stdout is not None
        self._in, self._out = stdin.fileno(), stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)

    def exchange(self, streams: Sequence[str], answers: list[str], timeout: float) -> None:
        """Send streams, each ended by NUL, and append their answers as they come.

        Raises:
            BrokenPipeError, EOFError: a program ended.
            TimeoutError: nothing came or went for `timeout` seconds.
        """
        wanted = len(answers) + len(streams)
        sending = memoryview(b"".join(stream.encode() + b"\0" for stream in streams))
        received = b""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            if sending:
                selector.register(self._in, selectors.EVENT_WRITE)
            while len(answers) < wanted:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    if key.fd == self._in:
                        sending = sending[os.write(self._in, sending[:65_536]) :]
                        if not sending:
                            selector.unregister(self._in)
                    else:
                        received = _take(received + _read(self._out), answers)
                        deadline = time.monotonic() + timeout

    def kill(self) -> None:
        """End all programs and collect them."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL) if process is self._processes[0] else process.kill()
        for process in self._processes:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            process.wait()


def _read(descriptor: int) -> bytes:
    data = os.read(descriptor, 65_536)
    if not data:
        raise EOFError
    return data


def _take(received: bytes, answers: list[str]) -> bytes:
    """Move complete answers out of what was received; the rest."""
    *complete, rest = received.split(b"\0")
    answers.extend(answer.decode(errors="replace") for answer in complete)
    return rest


@dataclass(frozen=True, slots=True)
class _Word:
    """A word or term to translate.

    `sent` goes into the pipe. `fixed` is its English whatever the pipe says; `preferred` its English where the pipe
    kept it a single word; `fallback` its English where the pipe does not know it (the word itself where nobody does).
    """

    begin: int
    end: int
    sent: str
    fixed: str | None
    preferred: str | None
    fallback: str
    kind: str
    known: bool


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What goes through the pipe at once: words with nothing but commas and blanks between."""

    begin: int
    end: int
    words: list[_Word]
    stream: str


@dataclass(slots=True)
class _Unit:
    """A stretch of English and the words (by place in the chunk) that it came from; none for words Apertium added."""

    text: str
    ids: tuple[int, ...]
    gap: str = field(default="")


def _draft(text: str, language: str) -> list[_Chunk]:
    """Cut a text into chunks."""
    shouted = text.isupper()
    chunks: list[_Chunk] = []
    words: list[_Word] = []
    for piece in gloss.pieces(text, language):
        if words and not _JOINT.fullmatch(text, words[-1].end, piece.begin):
            chunks.append(_chunk(text, words))
            words = []
        words.append(_word(text, piece, language, shouted))
    if words:
        chunks.append(_chunk(text, words))
    return chunks


def _word(text: str, piece: gloss.Piece, language: str, shouted: bool) -> _Word:
    source = text[piece.begin : piece.end]
    target = piece.target
    listed = source.lower().replace("’", "'") in gloss.lexicon(language).entries
    sent, fixed, preferred = source.replace("’", "'"), None, None
    if any(map(str.isspace, source)):
        # a noun's first word carries gender and number for the whole term
        head = source.split()[0] if piece.kind in "nu" else _STAND_IN
        sent, fixed = (head if _LATIN.fullmatch(head) else _STAND_IN), target
    elif source.isdecimal() and source.isascii():
        fixed = source
    elif _only_stands_in(source, piece, shouted) or (listed and piece.kind == "x"):
        sent, fixed = _STAND_IN, target
    elif listed and piece.kind in "nuavr":
        preferred = target
    return _Word(piece.begin, piece.end, sent, fixed, preferred, target, piece.kind, piece.known)


def _only_stands_in(source: str, piece: gloss.Piece, shouted: bool) -> bool:
    """Numbers with letters, acronyms, compounds and foreign scripts: a pipe would take them apart."""
    if "-" in source or not _LATIN.fullmatch(source):
        return True
    return source.isupper() and not shouted and _is_acronym(source, piece)


def _is_acronym(source: str, piece: gloss.Piece) -> bool:
    return len(source) <= 6 and (len(source) > 1 or piece.kind not in "fr" or not piece.known)


def _chunk(text: str, words: list[_Word]) -> _Chunk:
    if all(word.fixed is not None for word in words):
        return _Chunk(words[0].begin, words[-1].end, words, "")
    stream = ""
    for i, word in enumerate(words):
        if i:
            gap = text[words[i - 1].end : word.begin]
            stream += ", " if "," in gap else " " if gap else ""
        stream += f"[[t:w:{i}]]{word.sent}[[/]]"
    return _Chunk(words[0].begin, words[-1].end, words, stream + ".[]\n")


def _assemble(text: str, chunks: list[_Chunk], answers: dict[str, str], language: str) -> Translation:
    """Put the answers between the text that was not sent, and note which word became what."""
    out: list[str] = []
    length = position = unknown = 0
    alignment: list[Alignment] = []
    for chunk in chunks:
        units, lost = _units(text, chunk, answers, language)
        unknown += lost
        between = text[position : chunk.begin]
        out.append(between)
        length += len(between)
        for unit in units:
            out.append(unit.gap + unit.text)
            begin, length = length + len(unit.gap), length + len(unit.gap) + len(unit.text)
            if unit.text:
                alignment += (
                    Alignment(chunk.words[i].begin, chunk.words[i].end, begin, length) for i in sorted(set(unit.ids))
                )
        position = chunk.end
    out.append(text[position:])
    return Translation("".join(out), tuple(sorted(alignment)), "gist", unknown)


def _units(text: str, chunk: _Chunk, answers: dict[str, str], language: str) -> tuple[list[_Unit], int]:
    """A chunk's English in order, gaps set, and how many words nobody knew."""
    source = text[chunk.begin : chunk.end]
    if not chunk.stream:
        units = [_Unit(word.fixed or "", (i,)) for i, word in enumerate(chunk.words)]
        for i, unit in enumerate(units[1:], 1):
            unit.gap = text[chunk.words[i - 1].end : chunk.words[i].begin]
        return units, sum(not word.known for word in chunk.words)
    units = _parsed(answers[chunk.stream])
    unknown = _settle(units, chunk.words, text)
    _restore_missing(units, chunk.words)
    target = "".join(unit.gap + unit.text for unit in units)
    if negation_lost(source, target, language):
        _restore_negation(units, chunk, source, language)
    if units and units[0].text.lower() == "it" and not units[0].ids:
        units = units[1:]  # Spanish leaves 'he' and 'she' out, and so do clinical notes: 'Denies fever.'
    units = _adjectives_first(_joined(units), chunk.words)
    if units:
        units[0].gap = ""
        if source[0].isupper() and units[0].text[:1].islower():
            units[0].text = units[0].text[0].upper() + units[0].text[1:]
    return units, unknown


def _adjectives_first(units: list[_Unit], words: list[_Word]) -> list[_Unit]:
    """Turn round nouns and adjectives that Apertium left in source order, since it knew one of them not."""
    found = list(units)
    i = 0
    while i < len(found):
        j = i + 1
        if gloss.takes_adjectives(_kind(found[i], words), found[i].text):
            while j < len(found) and _kind(found[j], words) == "a" and _next(found[j - 1], found[j]):
                j += 1
        if j - i > 1:
            gaps = [unit.gap for unit in found[i:j]]
            found[i:j] = found[i:j][::-1]
            for unit, gap in zip(found[i:j], gaps, strict=True):
                unit.gap = gap
        i = j
    for unit in found[1:]:
        if unit.ids == (0,) and words[0].known and unit.text[1:].islower():
            unit.text = unit.text[0].lower() + unit.text[1:]
    return found


def _kind(unit: _Unit, words: list[_Word]) -> str:
    return words[unit.ids[0]].kind if len(unit.ids) == 1 else ""


def _next(unit: _Unit, after: _Unit) -> bool:
    """Whether two units are of neighbouring words in source order, with a blank between."""
    return after.gap == " " and after.ids[0] == unit.ids[0] + 1


def _parsed(answer: str) -> list[_Unit]:
    """The units of an answer in the stream format, up to the full stop that was sent along."""
    units: list[_Unit] = []
    position = 0
    for match in _UNIT.finditer(answer):
        units.extend(_added(answer[position : match.start()]))
        gap = "" if not units or units[-1].gap != " " or units[-1].text else units.pop().gap
        ids = tuple(int(i) for i in _ID.findall(match["ids"]))
        units.append(_Unit(_plain(match["text"]), ids, gap))
        position = match.end()
    return units


def _added(between: str) -> Iterable[_Unit]:
    """Words, commas and blanks between units, as units without a source; a lone blank as a unit of gap only."""
    for match in re.finditer(r"(\s*)([^\s]*)", _plain(between)):
        if match[1] or match[2]:
            yield _Unit(match[2], (), " " if match[1] else "")


def _plain(stream: str) -> str:
    """Text out of the stream format: superblanks and escapes undone, marks kept."""
    return re.sub(r"\[[^\[\]]*\]|\\(.)", lambda m: m[1] or "", stream)


def _settle(units: list[_Unit], words: list[_Word], text: str) -> int:
    """Give each unit its final text: what is fixed, else what the lexicon prefers, else what came."""
    places: dict[int, list[int]] = {}
    for place, unit in enumerate(units):
        for i in unit.ids:
            if i < len(words):
                places.setdefault(i, []).append(place)
        unit.ids = tuple(i for i in unit.ids if i < len(words))
    unknown = 0
    for unit in units:
        marked = _MARK.search(unit.text) is not None
        unit.text = _MARK.sub("", unit.text)
        if len(unit.ids) > 1 and any(words[i].fixed is not None for i in unit.ids):
            merged = [i for i in unit.ids if all(units[place].ids != (i,) for place in places[i])]
            unit.text = " ".join(words[i].fallback for i in merged if words[i].fallback)
        elif len(unit.ids) == 1:
            word = words[unit.ids[0]]
            alone = len(places[unit.ids[0]]) == 1
            if word.fixed is None and marked and (not word.known or not word.fallback):
                first = units[places[unit.ids[0]][0]] is unit
                unknown += first and not word.known
                unit.text = text[word.begin : word.end] if first else ""
            elif word.fixed is None:
                unit.text = _best(unit, word, marked, alone, text)
    _settle_fixed(units, words, places)
    return unknown + sum(word.fixed is not None and not word.known for word in words)


def _best(unit: _Unit, word: _Word, marked: bool, alone: bool, text: str) -> str:
    if marked:
        return word.fallback
    if word.preferred is not None and alone:
        return word.preferred
    if unit.text[:1].isupper() and text[word.begin].islower() and not unit.text.startswith("I "):
        return unit.text[0].lower() + unit.text[1:]
    return unit.text


def _settle_fixed(units: list[_Unit], words: list[_Word], places: dict[int, list[int]]) -> None:
    """Put fixed English where its stand-in, or its noun, came out: once, articles that Apertium added kept."""
    for i, found in places.items():
        word = words[i]
        wanted = word.fixed if word.fixed is not None else word.preferred if len(found) > 1 else None
        own = [place for place in found if units[place].ids == (i,)]
        if wanted is None or not own or (word.fixed is None and units[own[0]].text.lower() not in _ARTICLES):
            continue
        for place in own[:-1]:
            if units[place].text.lower() not in _ARTICLES:
                units[place].text = ""
        units[own[-1]].text = wanted


def _restore_missing(units: list[_Unit], words: list[_Word]) -> None:
    """Put back what must not get lost (numbers, terms, acronyms), behind the word before it."""
    present = {i for unit in units for i in unit.ids if unit.text}
    for i, word in enumerate(words):
        if i in present or word.fixed is None:
            continue
        place = max((p for p, unit in enumerate(units) if unit.ids and max(unit.ids) < i), default=-1)
        units.insert(place + 1, _Unit(word.fixed, (i,), " "))


def _restore_negation(units: list[_Unit], chunk: _Chunk, source: str, language: str) -> None:
    """Put the English of a lost negation cue before the word that followed it."""
    cue = negation_cues(source, language)[0]
    begin, end = chunk.begin + cue[0], chunk.begin + cue[1]
    i = next((n for n, word in enumerate(chunk.words) if word.begin < end and begin < word.end), None)
    if i is None or chunk.words[i].fixed is not None:
        return  # 'sin cambios' is in the lexicon as a whole, and 'unchanged' is no loss
    place = next((p for p, unit in enumerate(units) if unit.ids and min(unit.ids) > i), len(units))
    units.insert(place, _Unit(chunk.words[i].fallback or "not", (i,), " "))
    if place + 1 < len(units) and not units[place + 1].gap:
        units[place + 1].gap = " "


def _joined(units: list[_Unit]) -> list[_Unit]:
    """Drop empty units and merge neighbours from the same words ('does', 'not', 'present')."""
    joined: list[_Unit] = []
    gap = ""
    for unit in units:
        gap = gap or unit.gap
        if not unit.text:
            continue
        needs_blank = joined and joined[-1].text[-1:].isalnum() and unit.text[:1].isalnum()
        unit.gap = (gap or (" " if needs_blank else "")) if joined else ""
        gap = ""
        if joined and unit.ids and joined[-1].ids == unit.ids:
            joined[-1].text += unit.gap + unit.text
        else:
            joined.append(unit)
    return joined
