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
    """Print the answer of a command and end; start again where the libraries are needed."""
    try:
        printed = light.answer(partial(cli.cli.main, standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(cli.interrupted())
    if printed is None:
        light.start_again()
    sys.stdout.write(printed)
    sys.exit(0)


if __name__ == "__main__":
    main()
