"""The bounded sample of pixels that a fit takes of its data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from specloom.torch import usable_pixels
from specloom_statistics.domain.positions import PIXELS, sample_positions
from specloom_statistics.sample import SmallestKeys, content_seed

SEED_STEP = 16
"""Every so many-th pixel of an image is hashed, for the seed of its keys."""

QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
"""The quantiles of each band that a pipeline stores."""


@lru_cache(maxsize=16)
def _positions(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The rows and columns that are looked at in images of one size."""
    rows, columns = sample_positions(height, width)
    return torch.from_numpy(rows), torch.from_numpy(columns)


def _pixels_at(cube: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of (B, H, W, C) ``cube`` at these rows and columns, (B, n, C)."""
    if not cube.is_contiguous():
        return cube[:, rows, columns]
    # Whole pixels are copied faster than the elements that two index tensors choose.
    places = (rows * cube.shape[2] + columns).to(cube.device)
    return cube.flatten(1, 2).index_select(1, places)


def _quantiles(pixels: Tensor) -> Tensor:
    """``QUANTILES`` of each band of pixels (n, C) with linear interpolation, float64 (9, C)."""
    # NumPy sorts plain numbers many times as fast as torch's quantile.
    ranked = torch.from_numpy(np.sort(pixels.T.contiguous().numpy())).double()
    places = torch.tensor(QUANTILES, dtype=torch.float64) * (ranked.shape[1] - 1)
    below = places.floor()
    left = ranked[:, below.long()]
    right = ranked[:, places.ceil().long()]
    return torch.lerp(left, right, places - below).T.contiguous()


class DomainSample:
    """A sample of the pixels of images that arrive in batches: bounded, and it merges.

    Of each image at most 1024 pixels are looked at, spread evenly; of all that are usable the
    1024 with the smallest keys stay. Keys are drawn by a generator that is seeded with some
    of these pixels, so order, batches and processes do not matter. As of a node that is fitted,
    there are ``fit_start``, ``fit_update``, ``fit_state`` and ``fit_merge``.
    """

    def __init__(self) -> None:
        self.fit_start(0)

    def fit_start(self, pass_: int) -> None:
        """Start again without pixels."""
        self._sample: SmallestKeys | None = None
        self._pixels = 0
        self._looked_at = 0
        self._unusable = 0

    def fit_update(self, cube: Tensor, valid: Tensor | None = None) -> None:
        """Look at each image of a batch.

        Args:
            cube: (B, H, W, C).
            valid: Which pixels may be used, bool (B, H, W); None for all.
        """
        height, width = cube.shape[1:3]
        rows, columns = _positions(height, width)
        # All images together: on a GPU the host waits once for a batch.
        images = _pixels_at(cube.detach(), rows, columns).cpu()
        valid_pixels = None if valid is None else valid[:, rows, columns].cpu()
        for number, pixels in enumerate(images):
            is_valid = None if valid_pixels is None else valid_pixels[number]
            self.add_image(height * width, pixels, is_valid)

    def add_image(self, size: int, pixels: Tensor, valid: Tensor | None = None) -> None:
        """Add the pixels of one image that are looked at.

        Args:
            size: How many pixels the image has.
            pixels: Those at ``sample_positions``, (n, C).
            valid: Which of them may be used, bool (n,); None for all.
        """
        self._pixels += size
        looked_at = pixels.detach().cpu().float()
        usable = usable_pixels(looked_at)
        if valid is not None:
            usable &= valid.cpu()
        self._add(looked_at, usable)

    def _add(self, pixels: Tensor, usable: Tensor) -> None:
        contents = pixels[::SEED_STEP].contiguous().numpy().data
        generator = torch.Generator().manual_seed(content_seed(contents))
        keys = torch.rand(len(pixels), generator=generator, dtype=torch.float64)
        drawn = usable
        if self._sample is not None:
            drawn = usable & (keys < self._sample.limit)
        self._add_rows(keys[drawn], pixels[drawn])
        self._looked_at += len(pixels)
        self._unusable += len(pixels) - int(usable.sum())

    def _counts(self) -> Tensor:
        return torch.tensor([self._pixels, self._looked_at, self._unusable], dtype=torch.int64)

    def _add_rows(self, keys: Tensor, rows: Tensor) -> None:
        if not len(rows):
            return
        if self._sample is None:
            self._sample = SmallestKeys(rows.shape[1], PIXELS)
        self._sample.add(keys, rows)

    def fit_state(self) -> dict[str, Tensor]:
        """The sample so far, with its keys."""
        counts = self._counts()
        if self._sample is None:
            nothing = torch.empty(0, dtype=torch.float64)
            return {"keys": nothing, "rows": torch.empty(0, 0), "counts": counts}
        return {
            "keys": self._sample.keys().clone(),
            "rows": self._sample.rows().clone(),
            "counts": counts,
        }

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``fit_state()`` of another one."""
        self._add_rows(state["keys"].cpu(), state["rows"].cpu())
        pixels, looked_at, unusable = state["counts"].tolist()
        self._pixels += pixels
        self._looked_at += looked_at
        self._unusable += unusable

    def record(self) -> dict[str, Tensor]:
        """What a pipeline stores; empty where there was no usable pixel.

        ``pixels`` float32 (n, C), in the order of their keys; ``quantiles`` float64 (9, C), see
        ``QUANTILES``; ``counts`` int64: how many pixels the images have, how many of these were
        looked at, and how many of the latter were excluded.
        """
        if self._sample is None:
            return {}
        order = self._sample.keys().argsort(stable=True)
        pixels = self._sample.rows()[order].clone()
        return {
            "pixels": pixels,
            "quantiles": _quantiles(pixels),
            "counts": self._counts(),
        }
