"""``python -m specloom`` and the ``specloom`` command."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from specloom import cli, light

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


def main() -> None:
    """Run the command line, without importing torch where that is enough."""
    if light.is_tried(sys.argv[1:]):
        _try_without_libraries()
    cli.main()


def _try_without_libraries() -> None:
    """Print the answer of a command and end, or come back where it is to be run with the libraries.

    The process starts again where something of it stands for a library.
    """
    try:
        written = light.answer(partial(cli.cli.main, standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(cli.interrupted())
    if written is not None:
        sys.exit(_write(written))
    if not light.remove_stand_ins():
        light.start_again()


def _write(written: Iterable[tuple[TextIO, str]]) -> int:
    """Write texts to their streams; the exit code, which is that of any command that cannot."""
    try:
        for stream, text in written:
            stream.write(text)
            stream.flush()
    except BrokenPipeError:
        # The interpreter flushes the stream once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 1
    except OSError as error:
        return cli.report_unexpected(error)
    return 0


if __name__ == "__main__":
    main()
