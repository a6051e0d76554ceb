"""Writes SYNTHETIC cubes of an inspection as ENVI files: what to learn from, and what to inspect.

    python examples/inspection/make_cubes.py [FOLDER]

FOLDER/known holds twenty cubes of clean belts without masks (``good_00`` to ``good_19``) and four
with foreign bodies and masks (``checked_0`` to ``checked_3``). FOLDER/line holds cubes as they come
from the line on a bad day. Values are reflectance times 10,000 as int16.
"""

import sys
from pathlib import Path

import numpy as np
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
FOREIGN = {"anomalies": ("plastic",), "clean_scenes": 0.0}


def scenes(count, seed, **more):
    """So many scenes, each reflectance (H, W, C) and classes (H, W), and their wavelengths."""
    source = Synthetic(
        scenes=count, height=48, width=48, seed=seed, batch_size=1, split=(1.0, 0.0, 0.0), **more
    )
    for batch in source.batches("train"):
        yield batch["cube"][0], batch["mask"][0], batch["wavelengths"]


def counts(reflectance):
    """Reflectance as whole numbers in files."""
    return np.rint(reflectance * 10_000).astype("int16")


def write(path, values, wavelengths):
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


def write_known(folder):
    """Write the cubes to learn from."""
    for number, (cube, _, wavelengths) in enumerate(scenes(KNOWN_GOOD, seed=11, anomalies=())):
        write(folder / f"good_{number:02}", counts(cube), wavelengths)
    for number, (cube, mask, wavelengths) in enumerate(scenes(CHECKED, seed=12, **FOREIGN)):
        path = folder / f"checked_{number}"
        write(path, counts(cube), wavelengths)
        Image.fromarray(mask.astype("uint8")).save(path.with_suffix(".png"))


def write_line(folder):
    """Write the cubes to inspect: some are good, two hold foreign bodies, others are faulty."""
    clean = [cube for cube, _, _ in scenes(ON_THE_LINE, seed=13, anomalies=())]
    foreign = list(scenes(2, seed=14, **FOREIGN))
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


def main(folder):
    """Write both folders."""
    for name, write_cubes in (("known", write_known), ("line", write_line)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_cubes(folder / name)
        cubes = len(list((folder / name).glob("*.hdr")))
        print(f"{cubes} cubes in {folder / name}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "inspection"))
