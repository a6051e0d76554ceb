"""``python -m specloom`` and the ``specloom`` command."""

import sys
from functools import partial

from specloom import cli, light


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
        for stream, text in written:
            stream.write(text)
            stream.flush()
        sys.exit(0)
    if not light.remove_stand_ins():
        light.start_again()


if __name__ == "__main__":
    main()
