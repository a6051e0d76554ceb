"""Python's warnings while a run goes on: shown by the run's observers instead of on stderr."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Listener = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("_listener", default=None)


class _Redirection:
    """Replaces ``warnings.showwarning`` while at least one run goes on.

    Python has one such function for the whole process. So the first run that begins replaces it
    and the last one that ends restores it, in whatever order they end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved: warnings.catch_warnings[None] | None = None
        self._show: Callable[..., Any] = warnings.showwarning

    def acquire(self) -> None:
        """Count a run; the first replaces the function."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                self._show = warnings.showwarning
                warnings.showwarning = self._dispatch

    def release(self) -> None:
        """Count a run that ended; the last restores the function."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._saved is not None:
                self._saved.__exit__(None, None, None)
                self._saved = None

    def _dispatch(self, message: Warning | str, *arguments: Any, **options: Any) -> None:
        """Pass a warning to the run of this context, or on to where it went before."""
        listener = _listener.get()
        if listener is None:
            self._show(message, *arguments, **options)
        else:
            listener(str(message))


_redirection = _Redirection()


@contextmanager
def warnings_to(listener: Listener) -> Iterator[None]:
    """Pass warnings to ``listener`` while the context lasts.

    Only those of the code that runs inside it: a context variable says whose a warning is, so
    other threads' warnings go where they went before, and two runs in two threads each get their
    own. ``warnings.catch_warnings`` alone cannot do this, because it changes the whole process. A
    thread that the code starts gets the listener if it runs in a copy of the context
    (``contextvars.copy_context().run``).

    Args:
        listener: Called with the text of each warning.
    """
    token = _listener.set(listener)
    _redirection.acquire()
    try:
        yield
    finally:
        _redirection.release()
        _listener.reset(token)
