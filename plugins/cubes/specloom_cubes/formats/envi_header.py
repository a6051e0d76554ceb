"""A tolerant parser of ENVI headers: comments, blocks over several lines, lines of no field."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


OPENS_BLOCK = re.compile(r"\s*([A-Za-z][\w ]*)=\s*\{")
"""The first line of a block: one within another means that the other was not closed."""

LONGEST = 1 << 26
"""Bytes of the longest header that is read."""


class Header(dict[str, str]):
    """The fields of a header by lower-case name; blocks without their braces.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.repeated: list[str] = []
        """The fields that are there more than once, with different values."""

    def add(self, key: str, value: str) -> None:
        """Take in a field; of several with one name the last counts."""
        if self.get(key, value) != value and key not in self.repeated:
            self.repeated.append(key)
        self[key] = value

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number.

        Raises:
            DataError: It is absent and has no default, or is no whole number.
        """
        text = self.get(key)
        if text is None and default is not None:
            return default
        try:
            return int((text or "").strip())
        except ValueError:
            what = f"{key!r} is {text!r}" if text is not None else f"{key!r} is missing"
            raise DataError(
                what, where=str(self.path), fix=f"write {key} = <whole number>"
            ) from None

    def size(self, key: str) -> int:
        """A whole number of 1 or more.

        Raises:
            DataError: It is absent, no whole number, or below 1.
        """
        value = self.number(key)
        if value < 1:
            raise DataError(
                f"{key!r} is {value}", where=str(self.path), fix=f"write the number of {key}"
            )
        return value

    def parts(self, key: str) -> list[str]:
        """The texts between the commas of a field, without empty ones."""
        return [part.strip() for part in self.get(key, "").split(",") if part.strip()]

    def numbers(self, key: str) -> NDArray[np.float64] | None:
        """The numbers of a field, or None where it is absent or empty.

        Raises:
            DataError: Some are no numbers.
        """
        parts = self.parts(key)
        if not parts:
            return None
        try:
            values = np.array([float(part) for part in parts])
        except ValueError as error:
            raise DataError(
                f"{key!r} holds a value that is not a number: {error}",
                where=str(self.path),
                fix=f"correct or remove {key!r}",
            ) from None
        return values

    def per_band(self, key: str, bands: int) -> NDArray[np.float64] | None:
        """One number for each band, or None where the field is absent or empty.

        Raises:
            DataError: There are more or fewer than ``bands``, or some are no numbers.
        """
        values = self.numbers(key)
        self.check_count(key, bands)
        return values

    def check_count(self, key: str, bands: int) -> None:
        """Accept a field that is absent or empty, or has a value for each band.

        Raises:
            DataError: It has more or fewer.
        """
        count = len(self.parts(key))
        if count not in (0, bands):
            raise DataError(
                f"{key!r} lists {count} values for {bands} bands",
                where=str(self.path),
                fix=f"correct or remove {key!r}",
            )


def parse(path: Path) -> Header:
    """Read the fields of an ENVI header; lines that are no fields are skipped.

    Raises:
        DataError: It does not begin with ``ENVI``, or a block is never closed, or not before the
            next one.
    """
    lines = _text(path).splitlines()
    if not lines or not lines[0].strip().upper().startswith("ENVI"):
        raise DataError(
            f"{path} is not an ENVI header: its first line is not ENVI", fix="give the .hdr file"
        )
    header = Header(path)
    numbered = iter(enumerate(lines[1:], start=2))
    for number, line in numbered:
        key, equals, value = line.partition("=")
        if _is_comment(line) or not equals:
            continue
        value = value.strip()
        if not value and number < len(lines) and lines[number].lstrip().startswith("{"):
            value = next(numbered)[1].strip()  # the brace is on the next line
        if value.startswith("{"):
            rest = (more for _, more in numbered)
            block = _block(value.removeprefix("{"), rest)
            flaw = _flaw_of_block(block)
            if block is None or flaw:
                raise DataError(
                    f"the block of {key.strip()!r} is {flaw}",
                    where=f"{path}:{number}",
                    fix="add the missing }",
                )
            value = block
        header.add(" ".join(key.lower().split()), value)
    return header


def _flaw_of_block(block: str | None) -> str:
    """Why a block is not closed where it should be; empty where it is."""
    if block is None:
        return "never closed"
    for line in block.splitlines()[1:]:
        opened = OPENS_BLOCK.match(line)
        if opened is not None:
            return f"not closed before that of {opened[1].strip()!r}"
    return ""


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > LONGEST:
        raise DataError(
            f"{path} is not an ENVI header: it has {size} bytes", fix="give the .hdr file"
        )
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        what = f"{path} is written in UTF-16, which no reader of ENVI headers expects"
        raise DataError(what, fix="save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(";")


def _block(first: str, rest: Iterator[str]) -> str | None:
    """A block from behind its brace to the closing one; None where that is missing."""
    lines = [first]
    while "}" not in lines[-1]:
        line = next(rest, None)
        if line is None:
            return None
        if not _is_comment(line):
            lines.append(line)
    lines[-1] = lines[-1].partition("}")[0]
    return "\n".join(lines).strip()
