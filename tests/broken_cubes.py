"""Files that are wrong, each in one way, as beginners give them: for the troubleshooting page."""

import re
import shutil
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy.io import savemat


def make(folder: Path) -> None:
    """Write all of them under ``folder``, beside the ENVI ``cubes`` of the example."""
    rng = np.random.default_rng(0)
    cube = rng.normal(1.0, 0.1, size=(40, 30, 12)).astype("float32")
    mask = np.zeros((40, 30), "uint8")
    mask[5:8, 5:9] = 1
    np.save(folder / "scene.npy", cube + mask[..., None])
    Image.fromarray(mask).save(folder / "scene.png")
    Image.fromarray(mask[:20]).save(folder / "half.png")
    Image.fromarray(np.zeros_like(mask)).save(folder / "nothing.png")
    colours = rng.integers(0, 255, (40, 30, 3), "uint8")
    tifffile.imwrite(folder / "colours.tif", colours, photometric="rgb")
    tifffile.imwrite(folder / "grey.tif", colours[..., 0])
    np.save(folder / "bands_first.npy", np.moveaxis(cube, -1, 0))
    np.save(folder / "all_nan.npy", np.full_like(cube, np.nan))
    (folder / "empty").mkdir()
    (folder / "cut").mkdir()
    for ending in ("hdr", "img"):
        shutil.copy(folder / f"cubes/belt_00.{ending}", folder / "cut")
    data = folder / "cut/belt_00.img"
    data.write_bytes(data.read_bytes()[:100_000])
    savemat(folder / "two.mat", {"dark": cube[:5], "data": cube, "map": mask})
    text = (folder / "cubes/belt_00.hdr").read_text("utf-8")
    smaller = re.sub(r"\b(\d{3})\.0\b", r"0.\1", text.partition("wavelength = ")[2])
    (folder / "um.hdr").write_text(text.partition("wavelength = ")[0] + "wavelength = " + smaller)
    shutil.copy(folder / "cubes/belt_00.img", folder / "um.img")
    for old in ("samples = 48", "lines = 48"):
        text = text.replace(old, old.replace("48", "200000"))
    (folder / "huge.hdr").write_text(text, "utf-8")
    with (folder / "huge.img").open("wb") as sparse:
        sparse.truncate(200_000 * 200_000 * 61 * 2)
