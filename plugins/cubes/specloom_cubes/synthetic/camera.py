"""SYNTHETIC captures of a line camera: raw counts and references of scenes with known truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specloom_cubes.paths import expand
from specloom_cubes.sources.synthetic import Synthetic

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 16
"""The bits of a count."""

PANEL = 0.99
"""The reflectance of the white panel."""


@dataclass(frozen=True)
class LineCamera:
    """A line camera above a belt that lamps light unevenly.

    counts = dark + sensitivity * light * reflectance * exposure, with photon noise if wanted,
    rounded to whole numbers and limited to those of the sensor. The dark is an offset: it does not
    depend on the exposure.

    Args:
        columns: The pixels of a line.
        wavelengths: Band centres in nm, (C,).
        edge: The light at the edges of the belt, as a share of that in its middle.
        signal: The counts of the panel in the middle of the belt in the best band, at exposure 1.
        noise: Whether counts have photon and read-out noise.
        seed: Other seeds give another sensor.
    """

    columns: int
    wavelengths: NDArray[np.float64]
    edge: float = 0.5
    signal: float = 50_000.0
    noise: bool = True
    seed: int = 0

    def light(self) -> NDArray[np.float64]:
        """The light on each column, as a share of that in the middle, (W, 1)."""
        place = np.linspace(-1, 1, self.columns)[:, None]
        lamps = 1 + 0.05 * np.cos(9 * np.pi * place)
        light: NDArray[np.float64] = (1 - (1 - self.edge) * place**2) * lamps / 1.05
        return light

    def sensitivity(self) -> NDArray[np.float64]:
        """Counts for light and reflectance 1 at exposure 1, by column and band, (W, C)."""
        rng = np.random.default_rng([self.seed, 1])
        nm = self.wavelengths
        middle = (nm.min() + nm.max()) / 2
        curve = 0.25 + 0.75 * np.exp(-(((nm - middle) / (0.3 * np.ptp(nm) + 1)) ** 2))
        pixels = rng.normal(1, 0.02, (self.columns, len(nm)))
        counts: NDArray[np.float64] = self.signal * curve * pixels
        return counts

    def dark(self) -> NDArray[np.float64]:
        """The mean dark counts, (W, C)."""
        rng = np.random.default_rng([self.seed, 2])
        return 800 + rng.normal(0, 40, (self.columns, len(self.wavelengths)))

    def expose(
        self, reflectance: NDArray[np.float64], exposure: float, rng: np.random.Generator
    ) -> NDArray[np.uint16]:
        """The counts of a scene (H, W, C); of the dark where its reflectance is 0.

        Args:
            reflectance: Of each pixel and band.
            exposure: The exposure time.
            rng: What the noise comes from.
        """
        photons = np.maximum(reflectance, 0) * self.light() * self.sensitivity() * exposure
        counts = self.dark() + photons
        if self.noise:
            # Four electrons a count, and three counts of read-out noise.
            counts = counts + rng.normal(0, 1, counts.shape) * np.sqrt(photons / 4 + 9)
        limited: NDArray[np.uint16] = np.clip(np.rint(counts), 0, 2**BITS - 1).astype(np.uint16)
        return limited


def write_captures(
    folder: str | Path,
    scenes: int = 16,
    size: int = 64,
    bands: int = 61,
    seed: int = 7,
    noise: bool = True,
    light: float = 1.0,
    edge: float = 0.5,
) -> list[Path]:
    """Write SYNTHETIC captures as a Specim camera stores them, with masks.

    Each is a folder ``scene_000/capture`` with ``scene_000.hdr``, ``DARKREF_scene_000.hdr``,
    ``WHITEREF_scene_000.hdr``, their data files and ``scene_000_gt.npy``. The scenes are those of
    ``Synthetic``; the lamps have another brightness in each capture.

    Args:
        folder: Where they go.
        scenes: How many.
        size: Rows and columns.
        bands: Bands.
        seed: Other seeds give other scenes.
        noise: Whether scenes and counts have noise.
        light: The brightness of the lamps, 1 for what the sensor can take.
        edge: Their light at the edges of the belt, as a share of that in its middle.

    Returns:
        The headers of the captures.
    """
    source = Synthetic(scenes, size, size, bands, batch_size=1, seed=seed, split=(1.0, 0.0, 0.0))
    camera = LineCamera(size, source.wavelengths, edge, noise=noise, seed=seed)
    headers = []
    for number, batch in enumerate(source.batches("train")):
        rng = np.random.default_rng([seed, number, 3])
        name = f"scene_{number:03d}"
        place = expand(folder) / name / "capture"
        place.mkdir(parents=True, exist_ok=True)
        lamps = light * rng.uniform(0.7, 1.0)
        panel = np.full((64, size, bands), PANEL * lamps)
        parts = {
            name: (batch["cube"][0] * lamps, 2.0),
            f"WHITEREF_{name}": (panel, 1.0),
            f"DARKREF_{name}": (0 * panel, 2.0),
        }
        for part, (reflectance, exposure) in parts.items():
            counts = camera.expose(reflectance.astype(np.float64), exposure, rng)
            write_raw(place / f"{part}.raw", counts, source.wavelengths, tint=exposure)
        np.save(place / f"{name}_gt.npy", batch["mask"][0].astype(np.int32))
        headers.append(place / f"{name}.hdr")
    return headers


def write_raw(
    data: Path, counts: NDArray[np.uint16], wavelengths: NDArray[np.float64], **fields: object
) -> None:
    """Write counts (H, W, C) as a line camera does: an ENVI file, line by line.

    Args:
        data: The data file; the header has its name with ``.hdr``.
        counts: The counts.
        wavelengths: Band centres in nm, (C,).
        **fields: Further fields of the header, with blanks for underscores.
    """
    height, width, bands = counts.shape
    counts.transpose(0, 2, 1).astype("<u2").tofile(data)
    centres = ", ".join(f"{centre:.4f}" for centre in wavelengths)
    lines = [
        "ENVI",
        "description = {SYNTHETIC}",
        f"samples = {width}",
        f"lines = {height}",
        f"bands = {bands}",
        "data type = 12",
        "interleave = bil",
        "byte order = 0",
        f"wavelength = {{{centres}}}",
    ]
    lines += [f"{name.replace('_', ' ')} = {value}" for name, value in fields.items()]
    data.with_suffix(".hdr").write_text("\n".join(lines) + "\n", "utf-8")
