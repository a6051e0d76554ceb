"""Whether images of one split are in another one, under any name."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError, SpecloomWarning
from specloom_statistics import content_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from specloom import Run


def check_test_images(run: Run, split: str, what: str) -> None:
    """Compare the pixels of a split with those of the test split, by their hashes.

    An error where a phase of the run evaluates the test split, else a warning. Nothing is read
    where there is no test split.

    Args:
        run: The run.
        split: The split that is calibrated on.
        what: What is calibrated.

    Raises:
        DataError: Images are in both splits, and the test split is evaluated.
    """
    if "test" not in run.source.splits() or split == "test":
        return
    calibrated = set(_image_hashes(run, split))
    shared = [one for one in _image_hashes(run, "test") if one in calibrated]
    if not shared:
        return
    problem = DataError(
        f"{what} is calibrated on {split!r}, and the test split has {len(shared)} of the same "
        "images, by their pixels: its metrics would be too good",
        where=run.graph.where("data"),
        fix=f"assign different images to {split} and test, or do not evaluate the test split",
    )
    if any(getattr(phase, "split", None) == "test" for _, phase in run.phases):
        raise problem
    warnings.warn(str(problem), SpecloomWarning, stacklevel=3)


def _image_hashes(run: Run, split: str) -> Iterator[int]:
    """A hash of the pixels of each image."""
    outputs = run.graph.batch
    names = [name for name, port in outputs.items() if _has_pixels(port)]
    for batch in run.source.batches(split):
        arrays = [np.asarray(batch[name]) for name in names if batch.get(name) is not None]
        for images in zip(*arrays, strict=True):
            yield content_seed(*[_as_bytes(image) for image in images])


def _has_pixels(port: Any) -> bool:
    """Whether an output is made of numbers for each pixel of each image, and is no mask."""
    return bool(port.names[:3] == ("B", "H", "W") and len(port.names) == 4 and port.dtype != "bool")


def _as_bytes(image: Any) -> bytes:
    shape = repr(image.shape).encode()
    return shape + bytes(np.ascontiguousarray(image).tobytes())
