"""Fetching the corpus: from a server on this machine that speaks as the public record does, and cuts off at will."""

import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.model import fetch as fetching
from medpipe_assets.model.fetch import fetch


def archive(files: dict[str, str]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return held.getvalue()


CORPUS = archive(
    {
        "codiesp/train/text_files/a.txt": "Fiebre.",
        "codiesp/train/text_files_en/a.txt": "Fever.",
        "codiesp/train/trainD.tsv": "a\tr50.9\n",
        "codiesp/background/text_files/b.txt": "Tos.",
        "codiesp/test/text_files/c.txt": "Tos.",
        "codiesp/train/../../outside.tsv": "no",
        "codiesp/README.txt": "about",
    }
)


@dataclass
class Server:
    """A record of one archive; `cut` bytes are sent of the first answer with the file."""

    content: bytes = CORPUS
    checksum: str = ""
    cut: int | None = None
    asked: list[str | None] = field(default_factory=list)
    address: str = ""

    def record(self) -> bytes:
        checksum = self.checksum or hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        one = {"key": "codiesp.zip", "size": len(self.content), "checksum": f"md5:{checksum}"}
        return json.dumps({"files": [one | {"links": {"self": f"{self.address}/file"}}]}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/file":
                self.answer(200, told.record())
                return
            asked = self.headers.get("Range")
            told.asked.append(asked)
            begin = int(re.sub(r"\D", "", asked)) if asked else 0
            self.answer(206 if asked else 200, told.content[begin:], told.cut)
            told.cut = None

        def answer(self, status: int, body: bytes, cut: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.address = f"http://127.0.0.1:{running.server_port}"
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield told
    running.shutdown()
    running.server_close()


def test_the_parts_with_a_gold_standard_are_unpacked_and_nothing_else(server: Server, tmp_path: Path) -> None:
    assert fetch(tmp_path / "corpus", server.address) == [tmp_path / "corpus" / "train"]
    held = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    train = {"text_files/a.txt", "text_files_en/a.txt", "trainD.tsv"}
    assert held == {f"corpus/train/{name}" for name in train} | {"corpus/test/text_files/c.txt", "corpus/codiesp.zip"}


def test_a_download_that_was_cut_off_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.cut = 100
    with pytest.raises(ConfigurationError, match="goes on from here"):
        fetch(tmp_path, server.address)
    assert fetch(tmp_path, server.address) == [tmp_path / "train"]
    assert server.asked == [None, "bytes=100-"]


def test_what_is_here_already_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    fetch(tmp_path, server.address)
    fetch(tmp_path, server.address)
    assert len(server.asked) == 1


def test_a_file_that_is_not_what_the_record_says_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.checksum = "0" * 32
    with pytest.raises(ConfigurationError, match="checksum"):
        fetch(tmp_path, server.address)
    assert not list(tmp_path.rglob("*.tsv")) and not list(tmp_path.glob("*.part"))


def test_an_archive_without_a_corpus_is_told(server: Server, tmp_path: Path) -> None:
    server.content = archive({"readme.txt": "nothing"})
    with pytest.raises(ConfigurationError, match="no corpus"):
        fetch(tmp_path, server.address)


def test_a_server_that_does_not_answer_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="medpipe model build --corpus"):
        fetch(tmp_path, "http://127.0.0.1:9")


def test_an_archive_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_LARGEST", 3)
    (tmp_path / "a.zip").write_bytes(CORPUS)
    with pytest.raises(ConfigurationError, match="not the corpus"):
        fetching.unpack(tmp_path / "a.zip", tmp_path)
