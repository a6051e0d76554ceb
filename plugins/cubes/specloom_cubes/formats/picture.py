"""Pictures that hold class numbers: PNG and BMP."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from specloom import DataError
from specloom_cubes.rules.colours import Colours, classes_of
from specloom_cubes.rules.masks import check_size, lossy

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHITE = 255
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "JPEG2000")
"""What Pillow calls such pictures."""

FEW_BITS = {"L;2": 85, "L;4": 17}
"""Grey of 2 and 4 bits, and what Pillow multiplies its levels with."""

DAMAGE = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    MemoryError,
    Image.DecompressionBombError,
)


def read_labels(
    path: Path, size: tuple[int, ...], table: Mapping[str, int] | None = None
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Class numbers (H, W) of a picture, and what a user should know of them.

    One bit, grey levels of any depth and colours are class numbers by ``rules.colours``.

    Args:
        path: The picture.
        size: Rows and columns of the cube, and maybe its bands, for messages.
        table: The class numbers by colour, as the user wrote them.

    Raises:
        DataError: The file is damaged or of another size, or its kind cannot hold class numbers.
    """
    read = read_picture(path, size)
    if isinstance(read, Colours):
        return classes_of(read, path, table)
    if table is not None:
        raise DataError(
            f"{path} has 16 bits of grey, which are class numbers and no colours",
            fix="remove colors, or save the mask with 8 bits",
        )
    return read, ()


def read_picture(path: Path, size: tuple[int, ...] | None = None) -> Colours | NDArray[np.int32]:
    """The colours of a picture; the class numbers (H, W) of one that has 16 bits of grey.

    Args:
        path: The picture.
        size: Rows and columns that it must have, and maybe bands of the cube, for messages.

    Raises:
        DataError: The file is damaged or of another size, or its kind cannot hold class numbers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path)
        with picture:
            stored = _stored_as(picture)
            if picture.format in LOSSY_FORMATS:
                raise lossy(path, picture.format or "")
            # Before its pixels are read: a damaged header may promise very many.
            if size is not None:
                check_size(path, (picture.height, picture.width), size)
            picture.load()
            return _colours(picture, stored, path)
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read as a picture: {error}", fix="save the mask again"
        ) from error


def colours_of(channels: NDArray[np.uint8]) -> Colours:
    """The colours of an array of red, green, blue and maybe opacity, uint8 (H, W, 3 or 4)."""
    if channels.shape[2] == 4:
        return _with_alpha(channels)
    return _seen(_rgb(channels))


def _stored_as(picture: ImageFile.ImageFile) -> str:
    """How the samples are stored, as Pillow names it, such as ``L;4``, before they are read."""
    for tile in picture.tile:
        arguments = tile.args
        if isinstance(arguments, tuple):
            arguments = arguments[0]
        return str(arguments)
    return ""


def _colours(picture: Image.Image, stored: str, path: Path) -> Colours | NDArray[np.int32]:
    mode = picture.mode
    transparent = picture.info.get("transparency")
    if mode == "I" or mode.startswith("I;16"):
        return _numbers(picture, transparent)
    if stored.endswith("16B"):
        raise DataError(
            f"{path} has 16 bits for each of its channels", fix="save the mask as 16-bit grey PNG"
        )
    if mode in ("1", "L"):
        return _grey(picture, FEW_BITS.get(stored, 1))
    if mode == "P":
        return _of_palette(picture)
    if mode == "RGB" and transparent is not None:
        rgb = _rgb(np.asarray(picture))
        red, green, blue = transparent
        return _seen(rgb, rgb != (red << 16 | green << 8 | blue))
    if mode in ("RGB", "RGBX"):
        return _seen(_rgb(np.asarray(picture)))
    if mode in ("LA", "PA", "RGBA"):
        return _with_alpha(np.asarray(picture.convert("RGBA")))
    raise DataError(
        f"{path} is a picture of mode {mode}", fix="save the mask as 8-bit grey or palette PNG"
    )


def _numbers(picture: Image.Image, transparent: int | None) -> NDArray[np.int32]:
    """Class numbers of 16 bits; 0 where the picture is transparent."""
    numbers: NDArray[np.int32] = np.asarray(picture).astype(np.int32)
    if transparent is None:
        return numbers
    return np.where(numbers == transparent, 0, numbers)


def _grey(picture: Image.Image, factor: int) -> Colours:
    """Grey levels as they are stored, in the three channels of a colour.

    Args:
        picture: A grey picture of 8 bits or fewer.
        factor: What Pillow has multiplied the stored levels with.
    """
    levels = np.asarray(picture.convert("L")).astype(np.int32) // factor
    transparent = picture.info.get("transparency")
    visible = None
    if transparent is not None:
        if picture.mode == "1" and transparent > 0:
            transparent = WHITE
        visible = levels != transparent
    return replace(_seen(levels * 0x010101, visible), is_one_bit=picture.mode == "1")


def _of_palette(picture: Image.Image) -> Colours:
    indices = np.asarray(picture).astype(np.int32)
    channels = np.asarray(picture.convert("RGBA"))
    return replace(_with_alpha(channels), indices=indices)


def _with_alpha(channels: NDArray[np.uint8]) -> Colours:
    """Colours with how opaque they are; one opacity for all that is visible is not faint."""
    alpha = channels[..., 3]
    visible = alpha > 0
    faint = 0
    if visible.any():
        most = alpha.max()
        has_steps = alpha[visible].min() < most
        if has_steps:
            faint = int((visible & (alpha < most)).sum())
    return _seen(_rgb(channels), visible, faint)


def _seen(
    rgb: NDArray[np.int32], visible: NDArray[np.bool_] | None = None, faint: int = 0
) -> Colours:
    """Colours of a picture; one that is transparent nowhere, or everywhere, has no shape."""
    if visible is not None and (visible.all() or not visible.any()):
        return Colours(rgb)
    return Colours(rgb, visible, faint)


def _rgb(channels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The colours 0xRRGGBB of channels (H, W, 3 or more)."""
    rgb = channels[..., 0].astype(np.int32)
    for channel in (1, 2):
        rgb = (rgb << 8) | channels[..., channel]
    return rgb
