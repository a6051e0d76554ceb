"""Pictures that hold class numbers: PNG and BMP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".png", ".bmp")


def read_labels(path: Path) -> NDArray[np.int64]:
    """Class numbers (H, W) of a picture.

    One bit and grey levels are the class numbers themselves; of a palette the index is. A colour
    picture whose channels are equal is a grey one; otherwise every pixel that is not black is 1.

    Raises:
        DataError: The file is damaged, or its kind cannot hold class numbers.
    """
    try:
        with Image.open(path) as picture:
            mode = picture.mode
            values: NDArray[Any] = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a picture: {error}", fix="save the mask again"
        ) from error
    if mode in ("LA", "PA"):
        values = values[..., 0]
    elif mode in ("RGB", "RGBA", "RGBX"):
        colours = values[..., :3]
        grey = bool((colours == colours[..., :1]).all())
        values = colours[..., 0] if grey else np.any(colours, axis=-1)
    elif mode not in ("1", "L", "P", "I") and not mode.startswith("I;16"):
        raise DataError(
            f"{path} is a picture of mode {mode}", fix="save the mask as 8-bit grey or palette PNG"
        )
    return values.astype(np.int64)
