"""EnMAP: the band centres and widths in the metadata beside a spectral image."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from specloom import DataError
from specloom_cubes.rules.wavelengths import Vector

IMAGE = re.compile(r"(.+)-SPECTRAL_IMAGE(?:_COG)?$", re.IGNORECASE)
"""The name of a spectral image without its ending."""

METADATA = "-METADATA.XML"

LARGEST = 1 << 26
"""Bytes of metadata that are read."""

BANDS = "specific/bandCharacterisation/bandID"
CENTRE = "wavelengthCenterOfBand"
WIDTH = "FWHMOfBand"
"""Where the metadata say what each band is, in nm."""


def metadata_of(image: Path) -> Path | None:
    """The metadata beside a spectral image; None where the file is none or has none."""
    named = IMAGE.match(image.stem)
    if named is None:
        return None
    for name in (named[1] + METADATA, named[1] + METADATA.lower()):
        path = image.with_name(name)
        if path.is_file():
            return path
    return None


def vectors_beside(image: Path) -> list[Vector]:
    """Band centres and widths in the metadata beside a spectral image; nothing without metadata.

    Raises:
        DataError: The metadata are damaged.
    """
    path = metadata_of(image)
    if path is None:
        return []
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        bands = ElementTree.fromstring(path.read_bytes()).findall(BANDS)
        centres = [float(band.findtext(CENTRE, "")) for band in bands]
        widths = [float(band.findtext(WIDTH, "")) for band in bands]
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise DataError(
            f"the metadata {path} cannot be read: {error}", fix="copy the product again"
        ) from error
    return [
        Vector(f"{path.name}/{CENTRE}", np.array(centres), "nm"),
        Vector(f"{path.name}/{WIDTH}", np.array(widths), "nm"),
    ]
