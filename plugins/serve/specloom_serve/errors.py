"""The errors of a server, each with the HTTP status of its answer."""

from __future__ import annotations

from specloom import (
    ConfigError,
    DataError,
    IntegrityError,
    SpecloomError,
    UnavailableError,
)


class QueueFullError(UnavailableError):
    """As many requests wait as may; try again later."""


class TooManyRequestsError(UnavailableError):
    """As many requests are in progress as may; try again later."""


class DeadlineError(UnavailableError):
    """A request was not answered within its time."""


class EngineStoppedError(UnavailableError):
    """The engine stopped, or was not started, and takes no request."""


class RefusedError(SpecloomError):
    """A request is refused before anything is computed.

    Args:
        status: The status of HTTP.
        what: One sentence, with the values that disagree.
        fix: One imperative sentence.
    """

    def __init__(self, status: int, what: str, fix: str) -> None:
        super().__init__(what, fix=fix)
        self.status = status


class AnswerError(UnavailableError):
    """A server refused a request, as its client sees it.

    Args:
        status: The status of HTTP; 0 where there was no answer.
        what: One sentence.
        fix: One imperative sentence.
    """

    def __init__(self, status: int, what: str, fix: str) -> None:
        super().__init__(what, fix=fix)
        self.status = status


STATUSES: tuple[tuple[type[SpecloomError], int], ...] = (
    (DeadlineError, 504),
    (UnavailableError, 503),
    (IntegrityError, 500),
    (ConfigError, 422),
    (DataError, 422),
)


def status_of(error: SpecloomError) -> int:
    """The HTTP status of an error: what does not fit the pipeline is 422."""
    if isinstance(error, RefusedError):
        return error.status
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return status
    return 422


ERROR_KEY = "specloom-error-bin"
"""The key of the metadata of gRPC that hold an error as JSON, as the body of HTTP does."""

CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    500: "INTERNAL",
    503: "RESOURCE_EXHAUSTED",
    504: "DEADLINE_EXCEEDED",
}
"""The status of gRPC for each status of HTTP."""


def code_of(error: SpecloomError) -> str:
    """The name of the status of gRPC of an error."""
    if isinstance(error, EngineStoppedError):
        return "UNAVAILABLE"
    return CODES.get(status_of(error), "INTERNAL")


def http_status(code: str) -> int:
    """The status of HTTP for the name of a status of gRPC, where the server names none."""
    if code == "DEADLINE_EXCEEDED":
        return 504
    for status, name in CODES.items():
        if name == code:
            return status
    return 500
