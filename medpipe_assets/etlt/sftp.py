"""Files on an SFTP server, by paramiko: an extra, since its licence (LGPL) is not this package's.

The server must prove that it is the one that is meant: by a key that this machine knows, or that the secret names.
"""

import datetime as dt
import io
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from medpipe_assets.aws.secrets import Secret
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.etlt.credentials import Login, login_of
from medpipe_assets.etlt.places import BLOCK, TRIES, ChangedError, Draft, Found
from medpipe_assets.inbox.engine import Arrival

TIMEOUT_SECONDS = 30.0
AT_ONCE = 8 << 20
"""Bytes asked for before the first of them is read: one block after another would wait for the line each time."""
MAX_DEPTH = 20
"""Folders within folders that are looked into: a server may have loops of links."""


@dataclass(frozen=True)
class SftpPlace:
    """Files on SFTP servers, `sftp://user@host:22/path`.

    Attributes:
        secret: gives the credentials: a password, or JSON (see credentials.login_of).
    """

    secret: Callable[[], Secret] | None = None

    def listing(self, address: str) -> Iterator[Found]:
        with self._connected(address) as files:
            path = _path(address)
            try:
                status = files.stat(path)
                if stat.S_ISDIR(status.st_mode or 0):
                    yield from self._below(files, address, path.rstrip("/"), MAX_DEPTH)
                else:
                    yield _found(address, path, status)
            except OSError as error:
                raise _unreadable(error) from None

    def _below(self, files: Any, address: str, folder: str, depth: int) -> Iterator[Found]:
        for status in sorted(files.listdir_attr(folder or "/"), key=lambda found: str(found.filename)):
            path = f"{folder}/{status.filename}"
            if status.filename.startswith("."):
                continue
            if stat.S_ISDIR(status.st_mode or 0) and depth:
                yield from self._below(files, address, path, depth - 1)
            elif stat.S_ISREG(status.st_mode or 0):
                yield _found(address, path, status)

    def current(self, uri: str) -> Arrival:
        for found in self.listing(uri):
            return found.arrival
        raise DocumentError(Reason.UNREADABLE, "gone")

    def fetch(self, arrival: Arrival, draft: Draft) -> str:
        for _ in range(TRIES):
            try:
                with self._connected(arrival.uri) as files:
                    self._read_on(files, arrival, draft)
                return arrival.version
            except FileNotFoundError:
                raise ChangedError from None
            except OSError as error:
                trouble = type(error).__name__
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, f"the transfer broke off {TRIES} times: {trouble}")

    def _read_on(self, files: Any, arrival: Arrival, draft: Draft) -> None:
        path = _path(arrival.uri)
        if _found(arrival.uri, path, files.stat(path)).arrival != arrival:
            raise ChangedError
        with files.open(path, "rb") as file:
            while draft.size < arrival.size:
                end = min(draft.size + AT_ONCE, arrival.size)
                file.seek(draft.size)
                file.prefetch(end)  # from there on
                while draft.size < end and (block := file.read(min(BLOCK, end - draft.size))):
                    draft.write(block)
                if draft.size < end:
                    raise ChangedError
        if draft.size != arrival.size or _found(arrival.uri, path, files.stat(path)).arrival != arrival:
            raise ChangedError

    @contextmanager
    def _connected(self, address: str) -> Iterator[Any]:
        paramiko = _paramiko()
        parts = urlsplit(address)
        login = login_of(self.secret()) if self.secret is not None else Login()
        with paramiko.SSHClient() as client:  # which refuses servers that it does not know
            client.load_system_host_keys()
            host, port = parts.hostname or "", parts.port or 22
            if login.host_key:
                kind, _, rest = login.host_key.partition(" ")
                entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{_named(host, port)} {kind} {rest}")
                if entry is None:
                    raise ConfigurationError("the secret's host_key is none: 'ssh-ed25519 AAAA...'")
                client.get_host_keys().add(_named(host, port), kind, entry.key)
            try:
                client.connect(
                    host,
                    port,
                    username=login.user or (unquote(parts.username) if parts.username else None),
                    password=login.password.reveal() or None,
                    pkey=_key(paramiko, login),
                    timeout=TIMEOUT_SECONDS,
                    banner_timeout=TIMEOUT_SECONDS,
                    auth_timeout=TIMEOUT_SECONDS,
                    allow_agent=False,
                    look_for_keys=not login.user,
                )
            except paramiko.AuthenticationException:
                raise ConfigurationError("the SFTP server refuses the credentials: see source.credentials") from None
            except (paramiko.BadHostKeyException, paramiko.SSHException) as error:
                if "known_hosts" in str(error) or isinstance(error, paramiko.BadHostKeyException):
                    raise ConfigurationError(
                        "the SFTP server's key is not the one known: put it into ~/.ssh/known_hosts, or into the "
                        "secret as host_key"
                    ) from None
                raise DocumentError(Reason.ENGINE_UNAVAILABLE, type(error).__name__) from None
            except OSError as error:
                raise DocumentError(Reason.ENGINE_UNAVAILABLE, type(error).__name__) from None
            try:
                with client.open_sftp() as files:
                    files.get_channel().settimeout(TIMEOUT_SECONDS)
                    yield files
            except (paramiko.SSHException, EOFError) as error:  # a server that goes away is no OSError to paramiko
                raise ConnectionError(type(error).__name__) from None


def _paramiko() -> Any:
    try:
        return import_module("paramiko")
    except ImportError:
        raise ConfigurationError("sftp:// needs an extra: pip install 'medpipe[sftp]'") from None


def _key(paramiko: Any, login: Login) -> Any:
    text = login.private_key.reveal()
    if not text:
        return None
    passphrase = login.passphrase.reveal() or None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text), password=passphrase)
        except (paramiko.SSHException, ValueError):
            continue
    raise ConfigurationError(
        "the secret's private_key cannot be read: PEM of Ed25519, ECDSA or RSA, and its passphrase"
    )


def _named(host: str, port: int) -> str:
    """A server as lists of known hosts name it."""
    return host if port == 22 else f"[{host}]:{port}"


def _path(address: str) -> str:
    return unquote(urlsplit(address).path) or "/"


def _found(address: str, path: str, status: Any) -> Found:
    parts = urlsplit(address)
    arrival = Arrival(
        f"sftp://{parts.netloc}{quote(path)}", f"{status.st_size}-{status.st_mtime}", int(status.st_size or 0)
    )
    return Found(arrival, dt.datetime.fromtimestamp(status.st_mtime or 0, dt.UTC))


def _unreadable(error: OSError) -> DocumentError:
    return DocumentError(Reason.UNREADABLE, error.strerror or type(error).__name__)
