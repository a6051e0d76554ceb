"""Outlines and run lengths of COCO as runs of pixels.

Pixels are numbered down the columns of an image, from 0. pycocotools 2.0.11 is the reference in the
tests, and not the reader: it ends the process on coordinates that are NaN, infinite or large and on
damaged strings of run lengths, and it reads memory that is not its own where run lengths do not
cover the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINE = 5
"""Outlines are drawn on a grid that is so many times finer than the pixels."""

MAX_VALUES = 2**22
"""The most run lengths, or characters of them, or coordinates of one annotation."""

MAX_DIGITS = 7
"""The most characters of one run length: 5 bits each."""

CHUNK = 2**20
"""The points of outlines that are computed in one piece."""


class Runs(NamedTuple):
    """Runs of pixels, which do not overlap, in their order.

    Args:
        starts: The first pixel of each run.
        ends: The pixel after the last one.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def area(self) -> int:
        """The number of pixels."""
        return int((self.ends - self.starts).sum())


def runs_of_counts(counts: NDArray[np.int64], pixels: int) -> Runs:
    """Runs of alternate lengths outside and inside, of which the first is outside.

    Raises:
        ValueError: A length is negative, or they do not cover the image.
    """
    if counts.size and counts.min() < 0:
        raise ValueError(f"a run length is {counts.min()}")
    if counts.size and counts.max() > pixels:
        raise ValueError(f"a run length is {counts.max()}, the image has {pixels} pixels")
    total = int(counts.sum())
    if total != pixels:
        raise ValueError(f"its run lengths sum to {total}, the image has {pixels} pixels")
    edges = np.cumsum(counts)
    starts = edges[:-1:2]
    ends = edges[1::2]
    return _without_empty(starts[: len(ends)], ends)


def counts_of_list(values: Sequence[Any]) -> NDArray[np.int64]:
    """Run lengths that are written as numbers.

    Raises:
        ValueError: One is no whole number, or there are too many.
    """
    if len(values) > MAX_VALUES:
        raise ValueError(f"it has {len(values)} run lengths, more than {MAX_VALUES}")
    for value in values:
        if type(value) is not int or not 0 <= value < 2**40:
            raise ValueError(f"{_shown(value)} is no run length")
    return np.array(values, np.int64)


def counts_of_string(text: str) -> NDArray[np.int64]:
    """Run lengths that are compressed as by pycocotools.

    Each is written in groups of 5 bits, from the lowest, as the character 48 + group, plus 32 where
    another group follows; the highest bit of the last group is the sign. From the fourth on it is
    the difference to the length before the last.

    Raises:
        ValueError: The string is damaged or too long.
    """
    if len(text) > MAX_VALUES:
        raise ValueError(f"its run lengths have {len(text)} characters, more than {MAX_VALUES}")
    if not text:
        return np.zeros(0, np.int64)
    if not text.isascii():
        raise ValueError("its run lengths contain letters that are not ASCII")
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if codes.min() < 0 or codes.max() > 63:
        wrong = text[int(np.flatnonzero((codes < 0) | (codes > 63))[0])]
        raise ValueError(f"its run lengths contain {wrong!r}, which is no character of them")
    lasts = np.flatnonzero(codes & 32 == 0)
    if not len(lasts) or lasts[-1] != len(codes) - 1:
        raise ValueError("its run lengths are cut off")
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    digits = lasts - firsts + 1
    if digits.max() > MAX_DIGITS:
        raise ValueError(f"a run length has {digits.max()} characters, more than {MAX_DIGITS}")
    places = np.arange(len(codes)) - np.repeat(firsts, digits)
    values = np.add.reduceat((codes & 31) << (5 * places), firsts)
    negative = codes[lasts] & 16 != 0
    values[negative] -= np.int64(1) << (5 * digits[negative])
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def steps_of_outline(points: NDArray[np.float64]) -> int:
    """The number of points of an outline (points, 2) on the fine grid."""
    fine = _on_fine_grid(points)
    lengths = np.abs(np.roll(fine, -1, axis=0) - fine).max(axis=1) + 1
    return int(lengths.sum())


def runs_of_outline(points: NDArray[np.float64], height: int, width: int) -> Runs:
    """The pixels within an outline (points, 2) of columns and rows, as pycocotools has them.

    The closed outline is drawn on the fine grid, a point for each step along the longer axis of
    each edge. Where it crosses the middle of a column of pixels, the first pixel whose centre is
    not above the crossing is noted. Between an odd crossing and the next one pixels are inside.
    """
    crossings = []
    for columns, rows in _drawn(points):
        crossings.append(_crossings(columns, rows, height, width))
    edges = np.sort(np.concatenate(crossings))
    if len(edges) % 2 == 1:
        edges = np.append(edges, height * width)
    return _without_empty(edges[::2], edges[1::2])


def pixels_of(runs: Runs) -> Iterator[slice | NDArray[np.int64]]:
    """The numbers of the pixels of runs, in pieces of about ``CHUNK`` pixels."""
    lengths = runs.ends - runs.starts
    for run in np.flatnonzero(lengths > CHUNK):
        end = int(runs.ends[run])
        for start in range(int(runs.starts[run]), end, CHUNK):
            yield slice(start, min(start + CHUNK, end))
    short = lengths <= CHUNK
    runs = Runs(runs.starts[short], runs.ends[short])
    lengths = lengths[short]
    before = np.cumsum(lengths) - lengths
    pieces = before // CHUNK
    for piece in np.unique(pieces):
        chosen = pieces == piece
        lengths_here = lengths[chosen]
        shifts = runs.starts[chosen] - (np.cumsum(lengths_here) - lengths_here)
        yield np.repeat(shifts, lengths_here) + np.arange(lengths_here.sum())


def _on_fine_grid(points: NDArray[np.float64]) -> NDArray[np.int64]:
    # As in C, a cast to int cuts towards 0.
    return (FINE * points + 0.5).astype(np.int64)


def _drawn(points: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The points of a closed outline on the fine grid, in pieces that share one point."""
    begins = _on_fine_grid(points)
    spans = np.roll(begins, -1, axis=0) - begins
    lengths = np.abs(spans).max(axis=1) + 1
    pieces = (np.cumsum(lengths) - lengths) // CHUNK
    last = np.zeros((0, 2), np.int64)
    for piece in np.unique(pieces):
        chosen = np.flatnonzero(pieces == piece)
        drawn = _draw_edges(begins[chosen], spans[chosen], lengths[chosen])
        joined = np.concatenate([last, drawn])
        last = joined[-1:]
        yield joined[:, 0], joined[:, 1]


def _draw_edges(
    begins: NDArray[np.int64], spans: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The points (points, 2) of edges, one after the other, each with both of its ends."""
    edge = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    wide = np.abs(spans[:, 0]) >= np.abs(spans[:, 1])
    longer = np.where(wide, spans[:, 0], spans[:, 1])
    shorter = np.where(wide, spans[:, 1], spans[:, 0])
    # An edge is drawn from its lower end on the longer axis, whichever way it goes.
    backward = longer < 0
    slopes = shorter / np.where(longer == 0, 1, longer)
    step = np.where(backward[edge], lengths[edge] - 1 - step, step)
    lower = np.where(backward[:, None], begins + spans, begins)
    on_longer = np.where(wide, lower[:, 0], lower[:, 1])[edge] + step
    base = np.where(wide, lower[:, 1], lower[:, 0])[edge]
    on_shorter = (base + slopes[edge] * step + 0.5).astype(np.int64)
    columns = np.where(wide[edge], on_longer, on_shorter)
    rows = np.where(wide[edge], on_shorter, on_longer)
    return np.stack([columns, rows], axis=1)


def _crossings(
    columns: NDArray[np.int64], rows: NDArray[np.int64], height: int, width: int
) -> NDArray[np.int64]:
    """The pixels at which drawn points cross the middle of a column."""
    at = np.flatnonzero(columns[1:] != columns[:-1])
    left = np.minimum(columns[at], columns[at + 1])
    top = np.minimum(rows[at], rows[at + 1])
    middle = (left - FINE // 2) % FINE == 0
    column = (left - FINE // 2) // FINE
    within = middle & (column >= 0) & (column < width)
    row = np.clip((top[within] + 0.5) / FINE - 0.5, 0, height)
    pixels: NDArray[np.int64] = column[within] * height + np.ceil(row).astype(np.int64)
    return pixels


def _without_empty(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Runs:
    some = ends > starts
    return Runs(starts[some], ends[some])


def _shown(value: object) -> str:
    text = repr(value)
    if len(text) > 40:
        text = f"{text[:37]}..."
    return text
