"""``python -m specloom`` and the ``specloom`` command."""

from specloom.cli import main

if __name__ == "__main__":
    main()
