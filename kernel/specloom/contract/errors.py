"""Every error a user may meet: what is wrong, where, and how to fix it."""

import errno
import json
import re
import warnings
from collections.abc import Iterable, Sequence

from specloom.contract.memory import (
    find_memory_error,
    is_of_gpu,
    is_out_of_memory,
    memory_limit,
)

#: What moves the cursor, changes the terminal or the order of letters: control characters but for
#: line ends and tabs, line separators, and marks of bidirectional text.
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    r"""Return a text that others may have written as a terminal can show it without harm.

    It stays the same value where it is JSON.

    >>> printable("red: \x1b[31m")
    'red: \\u001b[31m'
    """
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class SpecloomError(Exception):
    """An error meant to be read by a user; the command line shows it without a traceback.

    Args:
        what: One sentence, with the values that disagree.
        where: The place in the user's own files, such as ``run.yaml:14``, or the plugin.
        fix: One imperative sentence.
    """

    exit_code: int = 2
    is_resumable: bool = False
    """Whether a run goes on with ``--resume`` where this error stopped it."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        text = what
        if where:
            text = f"{where}: {text}"
        if fix:
            text = f"{text}\n  fix: {fix}"
        super().__init__(printable(text))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback: the message alone."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(SpecloomError):
    """A run file, an override or a parameter cannot be used as it is written."""


class GraphError(SpecloomError):
    """The nodes and connections do not make a graph."""


class PortError(GraphError):
    """Two ends of a connection, or a value and its port, disagree."""


class PluginError(SpecloomError):
    """A plugin is absent, broken, or does not follow the hook specs."""


class NodeError(SpecloomError):
    """A node cannot do what it should, such as run before it was fitted."""


class DataError(SpecloomError):
    """A file or a batch does not hold what is needed."""


class IntegrityError(SpecloomError):
    """Something saved is not what it says it is."""

    exit_code = 3


class UnavailableError(SpecloomError):
    """Something this machine does not have: a device, a disk, an optional package."""

    exit_code = 4


#: Errors of the system that say something of the machine, never of a program.
MACHINE_ERRORS = frozenset(
    (
        errno.EACCES,
        errno.EPERM,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EMFILE,
        errno.ENFILE,
        errno.ESTALE,
    )
)


def machine_error(error: BaseException) -> "UnavailableError | None":
    """An uncaught error as one of this machine (memory, disk, permissions); None if it is none."""
    if is_out_of_memory(error):
        return memory_error(error)
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        what = f"{error.filename or 'a file'} cannot be used: {error.strerror}"
        return UnavailableError(what, fix="check the path, its permissions and the disk")
    return None


def memory_error(error: BaseException, label: str = "") -> "UnavailableError":
    """An error of memory as one of this machine, with the limit that this process has.

    Args:
        error: The error.
        label: What messages call the part that failed.
    """
    cause = find_memory_error(error) or error
    text = str(cause).strip() or type(cause).__name__
    what = f"there is not enough memory ({text.splitlines()[0]})"
    if label:
        what = f"{label}: {what}"
    fix = "use smaller images, a smaller batch_size, or a machine with more memory"
    limit = memory_limit()
    if is_of_gpu(cause):
        fix = "use smaller images, a smaller batch_size, or a larger GPU"
    elif limit is not None:
        fix = f"raise the memory limit of {limit}, or use smaller images or a smaller batch_size"
    return UnavailableError(what, fix=fix)


class SpecloomWarning(UserWarning):
    """Something that works, and that the user should change all the same."""


class Problems(SpecloomError):  # noqa: N818  # several errors, not one
    """Several errors at once, in the order in which the file would be read."""

    def __init__(self, errors: Sequence[SpecloomError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(first.what, where=first.where, fix=first.fix)
        self.args = ("\n".join(str(error) for error in self.errors),)
        codes = {error.exit_code for error in self.errors}
        if len(codes) == 1:
            self.exit_code = first.exit_code


def as_specloom_error(error: Exception, label: str, where: str) -> SpecloomError:
    """``error`` with a place, as a ``SpecloomError`` that names what failed if it is none yet.

    Args:
        error: The error.
        label: What messages call the part that failed, such as ``node 'rx' (RXGlobal)``.
        where: The place of that part in the user's file; an error that has one keeps its own.
    """
    if isinstance(error, Problems):
        return Problems([as_specloom_error(one, label, where) for one in error.errors])
    if isinstance(error, SpecloomError):
        return type(error)(error.what, where=error.where or where, fix=error.fix)
    if is_out_of_memory(error):
        found = memory_error(error, label)
        return UnavailableError(found.what, where=where, fix=found.fix)
    what = f"{label} failed: {type(error).__name__}: {error}"
    fix = "check its inputs; if they are right, report the error to the author of the node"
    return NodeError(what, where=where, fix=fix)


def warn(what: str, where: str) -> None:
    """Warn at a place in the user's file; without one, at the line that called the caller."""
    file, _, line = where.rpartition(":")
    what = printable(what)
    if line.isdigit():
        warnings.warn_explicit(what, SpecloomWarning, file, int(line))
        return
    message = f"{where}: {what}" if where else what
    warnings.warn(message, SpecloomWarning, stacklevel=4)


def warn_of(note: SpecloomError) -> None:
    """Warn of what an error says, with its fix, at its place in the user's file.

    Without a place, the warning is at the line that called the caller.
    """
    file, _, line = note.where.rpartition(":")
    if line.isdigit():
        text = str(type(note)(note.what, fix=note.fix))
        warnings.warn_explicit(text, SpecloomWarning, file, int(line))
        return
    warnings.warn(str(note), SpecloomWarning, stacklevel=3)


def shown(value: object) -> str:
    """A value much as a run file has it, cut where it is long.

    >>> shown([1, "a", None])
    '[1, "a", null]'
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) < 80:
        return text
    return f"{text[:77]}..."


def raise_all(errors: Sequence[SpecloomError]) -> None:
    """Raise nothing, the one error, or all of them as ``Problems``."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Problems(errors)


def in_file_order(errors: Iterable[SpecloomError]) -> list[SpecloomError]:
    """Errors as a reader of the file meets them; what has no line comes last."""

    def place(error: SpecloomError) -> tuple[bool, str, int]:
        file, _, line = error.where.rpartition(":")
        if not line.isdigit():
            return True, file, 0
        return False, file, int(line)

    return sorted(errors, key=place)


def did_you_mean(wrong: str, options: Iterable[str], *, otherwise: str = "") -> str:
    """A fix that names the nearest of ``options``, or lists them.

    >>> did_you_mean("temprature", ["temperature", "hard"])
    "did you mean 'temperature'?"
    >>> did_you_mean("x", ["scores"])
    'use one of: scores'
    """
    from difflib import get_close_matches

    known = sorted(set(options))
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(wrong.lower(), by_lower, n=1, cutoff=0.6)
    if near:
        return f"did you mean {by_lower[near[0]]!r}?"
    if known:
        return f"use one of: {', '.join(known)}"
    return otherwise
