"""What is downloaded for plugins, how large it is and how far it is, on standard error."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from specloom.contract.errors import printable

TIMEOUT = 5.0  # seconds for the size of one file
INTERVAL = 5.0  # seconds between two lines on one download
TORCH = (
    "torch is among them. To install it into the environment instead, for all projects: "
    "pip install 'specloom[torch]'"
)


def say(text: str) -> None:
    """Print a line of progress."""
    print(printable(text), file=sys.stderr, flush=True)


def size_of(url: str, *, offline: bool = False) -> int | None:
    """Return the size of a file in bytes; None if that is not known."""
    from http.client import HTTPException
    from urllib.request import Request, url2pathname, urlopen

    with suppress(OSError, ValueError, HTTPException):
        parts = urlsplit(url)
        if parts.scheme == "file":
            return Path(url2pathname(parts.path)).stat().st_size
        if parts.scheme in ("http", "https") and not offline:
            with urlopen(Request(url, method="HEAD"), timeout=TIMEOUT) as answer:
                return int(answer.headers.get("Content-Length", ""))
    return None


def announce(pins: Sequence[Mapping[str, Any]]) -> None:
    """Say which packages are downloaded, how large they are, and how torch is better installed."""
    total = sum(pin.get("bytes", 0) for pin in pins)
    unknown = sum(1 for pin in pins if "bytes" not in pin)
    size = format_size(total)
    if unknown == len(pins):
        size = "of unknown size"
    elif unknown:
        size = f"{size} and {unknown} of unknown size"
    names = ", ".join(map(describe, pins))
    say(f"packages that plugins need: {len(pins)} to download, {size}: {names}")
    if any(pin["name"] == "torch" for pin in pins):
        say(TORCH)


def describe(pin: Mapping[str, Any]) -> str:
    """Return a package's name and version, with its size where that is known."""
    text = f"{pin['name']} {pin['version']}"
    if "bytes" in pin:
        return f"{text} ({format_size(pin['bytes'])})"
    return text


def format_size(count: int) -> str:
    """Return a number of bytes for people.

    >>> format_size(755_100_000)
    '755.1 MB'
    >>> format_size(900)
    '0.9 kB'
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


@contextmanager
def reported(folder: Path, label: str) -> Iterator[None]:
    """Say every few seconds how much a download has written into a folder."""
    stopped = threading.Event()

    def report() -> None:
        while not stopped.wait(INTERVAL):
            say(f"{label}: {format_size(_size_of_folder(folder))} so far")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _size_of_folder(folder: Path) -> int:
    """Return the size of the files in a folder that changes meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total
