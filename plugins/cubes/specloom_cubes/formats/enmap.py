"""EnMAP: band centres, widths, gains and offsets in the metadata beside a spectral image."""

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
GAIN = "GainOfBand"
OFFSET = "OffsetOfBand"
"""What the metadata say of each band: nm, and physical = stored * gain + offset."""

UNITS = {CENTRE: "nm", WIDTH: "nm"}


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


def vectors_beside(image: Path) -> dict[str, Vector]:
    """What the metadata beside a spectral image say of each band, by the names of the fields.

    Fields that not every band has are omitted; without metadata there is nothing.

    Raises:
        DataError: The metadata are damaged.
    """
    path = metadata_of(image)
    if path is None:
        return {}
    vectors = {}
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        bands = ElementTree.fromstring(path.read_bytes()).findall(BANDS)
        for field in (CENTRE, WIDTH, GAIN, OFFSET):
            texts = [band.findtext(field) for band in bands]
            values = np.array([float(text) for text in texts if text is not None])
            if 0 < len(values) == len(bands):
                vectors[field] = Vector(f"{path.name}/{field}", values, UNITS.get(field, ""))
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise DataError(
            f"the metadata {path} cannot be read: {error}", fix="copy the product again"
        ) from error
    return vectors
