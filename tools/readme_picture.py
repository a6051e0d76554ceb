"""The picture of the README: anomalies of a synthetic scene, as ``specloom detect`` finds them.

``python tools/readme_picture.py`` writes docs/images/detect.png.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from PIL import Image

from specloom_cubes import Synthetic
from specloom_detect import detect

if TYPE_CHECKING:
    from numpy.typing import NDArray

PICTURE = Path(__file__).parents[1] / "docs/images/detect.png"
SEED = 8
COLOURS = 256
"""As many as a file with a palette may have: with fewer, yellow becomes pink."""
WAVELENGTHS = np.linspace(430, 910, 61)


def scene() -> NDArray[np.float32]:
    """A scene of lentils with stones and foreign bodies among them, (120, 160, 61)."""
    source = Synthetic(scenes=16, seed=SEED, height=120, width=160)
    batch = next(iter(source.batches("test")))
    return np.asarray(batch["cube"][0])


def main() -> None:
    """Write the picture."""
    mpl.use("agg")
    figure = detect(scene(), wavelengths=WAVELENGTHS).plot()
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=70)
    PICTURE.parent.mkdir(exist_ok=True)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
