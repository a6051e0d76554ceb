"""SIGTERM as batch systems send it: the program ends in order, and says how to go on.

The first signal raises :class:`Terminated` where the program is; the second one ends it.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

EXIT_CODE = 128 + signal.SIGTERM
"""The exit code of a program that SIGTERM ended, as shells report it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what can be continued is saved, and the program ends."""


@dataclass
class _State:
    """What is known of the signal in this process.

    Args:
        process: The process that handles it; those that it forks do not.
        received: Whether it came.
        deferrals: How many blocks are under way that must not be interrupted.
        pending: Whether it came in one of these, so that it counts at their end.
    """

    process: int = 0
    received: bool = False
    deferrals: int = 0
    pending: bool = False


_state = _State()


@contextmanager
def terminable() -> Iterator[None]:
    """A context in which the first SIGTERM raises ``Terminated``, and the second one ends all.

    A program that handles the signal itself goes on to do so, and threads have no handlers.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    _state.process = os.getpid()
    _state.received = False
    _state.pending = False
    signal.signal(signal.SIGTERM, _handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A context that SIGTERM does not interrupt: ``Terminated`` is raised at its end.

    For steps that would leave something half done, such as renaming and recording results.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.deferrals += 1
    try:
        yield
    finally:
        _state.deferrals -= 1
        if _state.pending and not _state.deferrals:
            _state.pending = False
            raise Terminated


def was_terminated() -> bool:
    """Whether SIGTERM came in the present or the last ``terminable`` context."""
    return _state.received


def _handle(number: int, frame: Any) -> None:
    """Raise ``Terminated``, or end the process where the signal came before."""
    if _state.received or os.getpid() != _state.process:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        return
    _state.received = True
    if _state.deferrals:
        _state.pending = True
        return
    raise Terminated
