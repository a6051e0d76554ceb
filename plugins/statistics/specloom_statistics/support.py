"""Whether there are enough pixels for a covariance."""

from __future__ import annotations

import warnings

from specloom import DataError

PIXELS_A_BAND = 10
"""With fewer pixels a band, the inverse of a covariance is mostly noise.

I. S. Reed, J. D. Mallett, L. E. Brennan, IEEE Trans. AES 10(6), 1974: with n pixels of C bands the
mean loss of signal-to-noise ratio is (C - 1) / (n + 1), a tenth at ten pixels a band.
"""


def warn_of_few_pixels(label: str, pixels: int, bands: int, fix: str) -> None:
    """Warn where a covariance was estimated from too few pixels for its number of bands.

    Args:
        label: The node.
        pixels: The number of pixels.
        bands: The number of bands that vary.
        fix: What to do, in one imperative sentence.
    """
    if pixels >= PIXELS_A_BAND * bands:
        return
    what = (
        f"{label}: {pixels} pixels for a covariance of {bands} bands are {pixels / bands:.1f} a "
        f"band; below {PIXELS_A_BAND} its inverse is mostly noise"
    )
    warnings.warn(str(DataError(what, fix=fix)), UserWarning, stacklevel=3)
