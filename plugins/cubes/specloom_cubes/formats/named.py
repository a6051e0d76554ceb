"""The cube of a file of named arrays whose vectors are arrays too: MATLAB and NPZ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_cubes.cube import Cube, Load, Reading
from specloom_cubes.rules.arrays import choose_cube
from specloom_cubes.rules.axes import Arrangement, Evidence, find_arrangement
from specloom_cubes.rules.spectrum import (
    LONGEST,
    by_nearness,
    centre_lengths,
    find_spectrum,
    is_spectral,
)
from specloom_cubes.rules.wavelengths import Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.formats.variable import Variable


@dataclass(frozen=True)
class NamedFile:
    """A file of named arrays.

    Args:
        path: The file.
        format: The name of its format.
        arrays: What it holds, from its headers.
        load: What reads a whole array by its name.
        matlab: Whether matrices hold the pixels column by column, as MATLAB makes them.
    """

    path: Path
    format: str
    arrays: Sequence[Variable]
    load: Callable[[str], NDArray[Any]]
    matlab: bool = False

    def open_cube(
        self,
        name: str | None,
        reading: Reading,
        loader: Callable[[Variable, Arrangement], Load],
    ) -> Cube:
        """Open the cube of the file, or the named array.

        Args:
            name: The name of the array by the user.
            reading: How the user wants it read.
            loader: What makes the reader of the chosen array's pixels.

        Raises:
            DataError: There is none, or several and no name.
        """
        vectors = self._vectors()

        def levels(one: Variable) -> list[list[Vector]]:
            return by_nearness(one.name, vectors)

        chosen = choose_cube(
            self.path,
            self.arrays,
            name,
            shape=reading.shape,
            lengths=lambda one: set(centre_lengths(levels(one)).values()),
        )
        assert chosen.dtype is not None, "a cube is a numeric array"
        own = levels(chosen)
        evidence = Evidence(self.arrays, centre_lengths(own), matlab=self.matlab)
        arrangement = find_arrangement(self.path, chosen, evidence, reading)
        interleave = arrangement.interleave
        if self.matlab:  # its rows lie closest, for which ENVI has no name
            interleave = ""
        spectrum = find_spectrum(own, arrangement.size[2], str(self.path))
        return Cube(
            self.path,
            arrangement.size,
            chosen.dtype.newbyteorder("="),
            loader(chosen, arrangement),
            variable=chosen.name,
            format=self.format,
            interleave=interleave,
            wavelengths=spectrum.centres,
            fwhm=spectrum.widths,
            bad_bands=spectrum.bad_bands,
            wavelengths_from=spectrum.source,
            assumptions=(*arrangement.assumptions, *spectrum.notes),
            reading=reading,
        )

    def _vectors(self) -> list[Vector]:
        """The vectors that may say something of each band."""
        vectors = []
        for one in self.arrays:
            if one.is_vector and one.length <= LONGEST and is_spectral(one.name):
                values = np.asarray(self.load(one.name), np.float64).ravel()
                vectors.append(Vector(one.name, values))
        return vectors
