"""Paid calls answered on the spot: what the test's functions say is what the service answers."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.responses import ResponseStore


class Services:
    """Stands where Clients stands; every service is this one, its operations the functions given by method name.

    `sent` has each request in order: (method name, parameters).
    """

    def __init__(self, answers: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
        self._answers = answers
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str) -> "Services":
        return self

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        if name not in self._answers:
            raise AttributeError(name)

        def method(**request: Any) -> dict[str, Any]:
            self.sent.append((name, request))
            return self._answers[name](**request)

        return method

    def texts(self) -> list[str]:
        """The Text of each request, in order."""
        return [request["Text"] for _, request in self.sent]


def paid(services: Services, store: Path | None = None) -> PaidCalls:
    """Paid calls of these services, with or without a store; whoever polls looks again at once."""
    return PaidCalls(services, ResponseStore(str(store)) if store else None, sleep=lambda _: None)  # type: ignore[arg-type]


def entities_of(text: str, terms: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """An entity for each place where a term stands; what the mapping says of a term is added to it."""
    for term, more in terms.items():
        begin = text.find(term)
        while begin >= 0:
            yield {
                "Id": begin,
                "BeginOffset": begin,
                "EndOffset": begin + len(term),
                "Text": term,
                "Score": 0.9,
                "Category": "MEDICAL_CONDITION",
                "Type": "DX_NAME",
                "Traits": [],
                "Attributes": [],
                **more,
            }
            begin = text.find(term, begin + 1)
