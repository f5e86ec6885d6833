"""What all services' jobs share: ids that do not hang on chance, idempotency tokens, and polls until they are done."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable


class Ids:
    """Ids of jobs: the same request gets the same ids in the same order in every run."""

    def __init__(self, length: int = 64) -> None:
        self._length = length
        self._issued: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, content: str) -> str:
        with self._lock:
            self._issued[content] += 1
            drawn = f"{content}:{self._issued[content]}"
        return hashlib.sha256(drawn.encode()).hexdigest()[: self._length]


class Tokens:
    """Idempotency tokens: who comes again with a token and the same request gets the first answer."""

    def __init__(self, mismatch: Callable[[], Exception]) -> None:
        self._mismatch = mismatch
        self._seen: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def once(self, token: str | None, content: str, start: Callable[[], str]) -> str:
        """The id that `start` gave the first time this token came; without a token it always starts anew.

        Raises:
            Exception: `mismatch()`, when the token came before with other content.
        """
        if token is None:
            return start()
        with self._lock:
            if token not in self._seen:
                self._seen[token] = (content, start())
            before, job = self._seen[token]
        if before != content:
            raise self._mismatch()
        return job
