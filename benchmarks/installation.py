"""What an installation knows beside what medpipe ships, for a benchmark that runs in this process.

`with installed(index): ...` measures what a user gets who has added that Alphabetic Index and nothing else, and
`with installed(None): ...` what one gets who has added nothing, whatever is on this machine.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medpipe_assets.lexicon import releases


@contextmanager
def installed(index: Path | None) -> Iterator[None]:
    """Only this Index is installed; afterwards all is as it was.

    Raises:
        ConfigurationError: `index` is none.
    """
    before = os.environ.get("XDG_DATA_HOME")
    with tempfile.TemporaryDirectory() as folder:
        _look_in(folder)
        try:
            if index is not None:
                releases.add(index)
            yield
        finally:
            _look_in(before)


def _look_in(folder: str | None) -> None:
    if folder is None:
        os.environ.pop("XDG_DATA_HOME", None)
    else:
        os.environ["XDG_DATA_HOME"] = folder
    releases.releases.cache_clear()
    releases.index.cache_clear()
