"""Files on an SFTP server of this test's own; skipped without the extra."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt import sftp
from medpipe_assets.etlt.sources import changes, extract, request
from medpipe_assets.lake.lake import Lake
from medpipe_tests.unit.etlt.contracts import people
from medpipe_tests.unit.etlt.test_sources import DATA, TODAY, raw, received

paramiko = pytest.importorskip("paramiko", reason="the extra 'sftp' is not installed")
PASSWORD = "p4ss"  # of the server below


class Login(paramiko.ServerInterface):  # type: ignore[misc, name-defined]
    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == ("ann", PASSWORD)
        return int(paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED)

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


def files_below(root: Path, cuts: list[int]) -> type:
    """A server's files; each number in `cuts` is how often a file may be read from before the connection breaks."""

    class Handle(paramiko.SFTPHandle):  # type: ignore[misc, name-defined]
        def read(self, offset: int, length: int) -> bytes | int:
            if cuts and offset > 0:
                cuts[0] -= 1
                if not cuts[0]:
                    cuts.pop(0)
                    raise EOFError
            return super().read(offset, length)  # type: ignore[no-any-return]

        def stat(self) -> object:
            return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    class Files(paramiko.SFTPServerInterface):  # type: ignore[misc, name-defined]
        def list_folder(self, path: str) -> object:
            entries = []
            for file in sorted((root / path.lstrip("/")).iterdir()):
                entries.append(paramiko.SFTPAttributes.from_stat(file.stat(), file.name))
            return entries

        def stat(self, path: str) -> object:
            try:
                return paramiko.SFTPAttributes.from_stat((root / path.lstrip("/")).stat())
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)

        lstat = stat

        def open(self, path: str, flags: int, attr: object) -> object:
            handle = Handle(flags)
            handle.readfile = (root / path.lstrip("/")).open("rb")
            return handle

    return Files


@dataclass
class Server:
    url: str
    secret: str
    cuts: list[int]
    root: Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "served"
    (root / "out").mkdir(parents=True)
    (root / "out" / "a b.csv").write_bytes(DATA)
    (root / "out" / ".hidden").write_bytes(b"x")
    cuts: list[int] = []
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    transports = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, files_below(root, cuts))
            transports.append(transport)
            transport.start_server(server=Login())

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    host_key = f"{key.get_name()} {key.get_base64()}"
    secret = f'{{"user": "ann", "password": "{PASSWORD}", "host_key": "{host_key}"}}'
    yield Server(f"sftp://127.0.0.1:{port}/out", secret, cuts, root)
    listener.close()
    for transport in transports:
        transport.close()


def test_files_of_an_sftp_server_are_received(lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPIPE_SECRET_PARTNER", server.secret)
    contract = people(uri=server.url, credentials="partner")
    assert changes(lake, contract).files == 1
    assert extract(lake, contract, TODAY, run_id="r1").files == 1
    (row,) = received(lake)
    assert raw(lake, row) == DATA
    assert row["uri"].endswith("/out/a%20b.csv")
    assert extract(lake, contract, TODAY, run_id="r2").files == 0


def test_a_transfer_that_breaks_off_goes_on(lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPIPE_SECRET_PARTNER", server.secret)
    contract = people(uri=server.url, credentials="partner")
    server.cuts.append(3)
    assert extract(lake, contract, TODAY, run_id="r1").files == 1
    assert not server.cuts
    assert raw(lake, received(lake)[0]) == DATA


def test_a_server_with_another_key_is_not_believed(lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPIPE_SECRET_PARTNER", f'{{"user": "ann", "password": "{PASSWORD}"}}')
    with pytest.raises(ConfigurationError, match="known_hosts"):
        request(lake, people(credentials="partner"), [server.url], TODAY)


def test_a_wrong_password_is_a_mistake_of_the_installation(
    lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPIPE_SECRET_PARTNER", server.secret.replace(PASSWORD, "other"))
    with pytest.raises(ConfigurationError, match="refuses the credentials"):
        request(lake, people(credentials="partner"), [server.url], TODAY)


def test_without_the_extra_the_message_names_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(sftp, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"medpipe\[sftp\]"):
        request(lake, people(), ["sftp://example.com/x"], TODAY)
