"""Writes SYNTHETIC cubes as a camera would: ENVI files, a PNG mask of class numbers beside each.

    python examples/own_cubes/make_cubes.py [FOLDER] [HOW_MANY]

They stand in for cubes of your own. Values are reflectance times 10,000 as uint16; the mask says
0 belt, 1 lentil, 2 foreign body, 3 stone.
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
data type = 12
interleave = bsq
byte order = 0
data ignore value = 0
wavelength units = nm
map info = {{UTM, 1, 1, {east}, 3618830.5, 3.5, 3.5, 11, North, WGS-84, units=Meters}}
wavelength = {{{wavelengths}}}
"""


def main(folder: Path, cubes: int = 6) -> None:
    """Write ``cubes`` scenes under ``folder``, 4 or more: fewer cannot be split in three."""
    if cubes < 4:
        sys.exit("make_cubes: give 4 cubes or more, so that train, val and test have some")
    folder.mkdir(parents=True, exist_ok=True)
    source = Synthetic(scenes=cubes, height=48, width=48, seed=3, batch_size=1, clean_scenes=0)
    batches = [b for split in ("train", "val", "test") for b in source.batches(split)]
    for number, batch in enumerate(batches):
        cube, name = batch["cube"][0], folder / f"belt_{number:02}"
        height, width, bands = cube.shape
        stored = np.clip(cube * 10_000, 1, 65_535).astype("<u2")
        stored[0, :3] = 0  # three pixels that the camera lost: "data ignore value"
        stored.transpose(2, 0, 1).tofile(name.with_suffix(".img"))
        centres = ", ".join(f"{nm:.1f}" for nm in batch["wavelengths"])
        about = {"width": width, "height": height, "bands": bands, "wavelengths": centres}
        header = HEADER.format(**about, east=480_805.5 + 200 * number)
        name.with_suffix(".hdr").write_text(header, "utf-8")
        Image.fromarray(batch["mask"][0].astype("uint8")).save(name.with_suffix(".png"))
    print(f"{len(batches)} cubes with masks in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "cubes"), *map(int, sys.argv[2:3]))
