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
