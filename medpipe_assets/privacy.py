"""What keeps patient data with its owner whatever process touches it: file modes, and no memory left on disk.

What may be told of documents is decided where it is told; nothing of that is here.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private() -> None:
    """Have this process make files that its user alone can read, and leave no core dump, which holds what it held."""
    os.umask(OTHERS)
    with suppress(ImportError, ValueError, OSError):  # no such limit on this system, or a stricter one
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tighten(folder: Path) -> bool:
    """Take a folder's group's and all others' rights; False where that is not ours to do (others' folder, /tmp)."""
    status = folder.stat()
    if not status.st_mode & OTHERS:
        return True
    if status.st_uid != os.geteuid() or status.st_mode & stat.S_ISVTX:
        return False
    folder.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
    return True


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone; mkdir would go by the umask."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def create_private(file: Path) -> None:
    """Make an empty file that its owner alone can read, for a library that would make it by the process's umask."""
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
