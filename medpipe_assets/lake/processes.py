"""Which process wrote something, and whether it lives: what a lease binds to, and what a dead writer left behind."""

import os
import shutil
import socket
from pathlib import Path

_OWNED = "~"
"""Parts the name of a file's writer from the rest of the file's name."""


def this_process() -> str:
    """This process's name: machine, number, and when it began."""
    return f"{socket.gethostname()} {os.getpid()} {_begin(os.getpid())}"


def lives(process: str) -> bool | None:
    """Whether a process of that name lives; None for another machine's, of which nothing can be seen."""
    host, _, rest = process.partition(" ")
    if host != socket.gethostname():
        return None
    pid, _, begin = rest.partition(" ")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _begin(int(pid)) == begin


def _begin(pid: int) -> str:
    """When a process began, in the kernel's clock ticks, so that a reused number is not taken for the old process.

    Empty for a process that is dead, even where nobody has reaped it yet (in a container perhaps nobody ever does).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def owned_prefix() -> str:
    """The beginning of names of files and folders that are to go when this process is dead."""
    return this_process().replace(" ", _OWNED) + _OWNED


def sweep(folder: Path) -> int:
    """Remove what dead processes of this machine left in a folder under names of theirs; how much there was."""
    swept = 0
    for left in folder.glob(f"{socket.gethostname()}{_OWNED}*"):
        host, pid, begin, *_ = [*left.name.split(_OWNED), "", ""]
        if pid.isdecimal() and lives(f"{host} {pid} {begin}") is False:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
            swept += 1
    return swept
