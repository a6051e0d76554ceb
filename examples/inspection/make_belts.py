"""Writes SYNTHETIC cubes of an inspection as ENVI files: what to learn from, and what to inspect.

    python examples/inspection/make_belts.py [FOLDER]

FOLDER/known holds twenty cubes of clean belts without masks (``good_00`` to ``good_19``) and four
with foreign bodies and masks (``checked_0`` to ``checked_3``). FOLDER/line holds cubes as they come
from the line on a bad day. Values are reflectance times 10,000 as int16.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from specloom_cubes import Synthetic

HEADER = """ENVI
samples = {width}
lines = {height}
bands = {bands}
data type = {code}
interleave = bsq
byte order = 0
wavelength units = nm
wavelength = {{{wavelengths}}}
"""
CODES = {"int16": 2, "float32": 4}
KNOWN_GOOD = 20
CHECKED = 4
ON_THE_LINE = 6
PLASTIC = ("plastic",)


def scenes(
    count: int, seed: int, anomalies: tuple[str, ...] = ()
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]]:
    """So many scenes, each reflectance (H, W, C) and classes (H, W), and their wavelengths."""
    source = Synthetic(
        scenes=count,
        height=48,
        width=48,
        anomalies=anomalies,
        clean_scenes=0.0,
        batch_size=1,
        seed=seed,
        split=(1.0, 0.0, 0.0),
    )
    for batch in source.batches("train"):
        yield batch["cube"][0], batch["mask"][0], batch["wavelengths"]


def counts(reflectance: NDArray[np.floating]) -> NDArray[np.int16]:
    """Reflectance as whole numbers in files."""
    numbers: NDArray[np.int16] = np.rint(reflectance * 10_000).astype(np.int16)
    return numbers


def write(path: Path, values: NDArray[np.number], wavelengths: NDArray[np.floating]) -> None:
    """Write a cube (H, W, C) as PATH.hdr and PATH.img."""
    height, width, bands = values.shape
    values.transpose(2, 0, 1).tofile(path.with_suffix(".img"))
    header = HEADER.format(
        width=width,
        height=height,
        bands=bands,
        code=CODES[values.dtype.name],
        wavelengths=", ".join(f"{centre:.1f}" for centre in wavelengths),
    )
    path.with_suffix(".hdr").write_text(header, "utf-8")


def write_known(folder: Path) -> None:
    """Write the cubes to learn from."""
    for number, (cube, _, wavelengths) in enumerate(scenes(KNOWN_GOOD, 11)):
        write(folder / f"good_{number:02}", counts(cube), wavelengths)
    for number, (cube, mask, wavelengths) in enumerate(scenes(CHECKED, 12, PLASTIC)):
        path = folder / f"checked_{number}"
        write(path, counts(cube), wavelengths)
        Image.fromarray(mask.astype("uint8")).save(path.with_suffix(".png"))


def write_line(folder: Path) -> None:
    """Write the cubes to inspect: some are good, two hold foreign bodies, others are faulty."""
    clean = [cube for cube, _, _ in scenes(ON_THE_LINE, 13)]
    foreign = list(scenes(2, 14, PLASTIC))
    wavelengths = foreign[0][2]
    random = np.random.default_rng(0)
    write(folder / "belt_01", counts(clean[0]), wavelengths)
    write(folder / "belt_02_foreign", counts(foreign[0][0]), wavelengths)
    write(folder / "belt_03", counts(clean[1]), wavelengths)
    dark = random.normal(30, 5, clean[2].shape) / 10_000
    write(folder / "belt_04_dark", counts(dark), wavelengths)
    write(folder / "belt_05_scaled", clean[3].astype("float32"), wavelengths)
    write(folder / "belt_06_broken", counts(clean[4]), wavelengths)
    data = folder / "belt_06_broken.img"
    data.write_bytes(data.read_bytes()[:100_000])
    write(folder / "belt_07_foreign", counts(foreign[1][0]), wavelengths)
    write(folder / "belt_08", counts(clean[5]), wavelengths)


def main(folder: Path) -> None:
    """Write both folders."""
    for name, write_cubes in (("known", write_known), ("line", write_line)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_cubes(folder / name)
        cubes = len(list((folder / name).glob("*.hdr")))
        print(f"{cubes} cubes in {folder / name}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "inspection"))
