"""One image, or each of a batch, as a single strip of rows."""

from typing import Any

import numpy as np

from specloom import Batch, StripWise


def run_images(node: StripWise, **arrays: Any) -> Batch:
    """The outputs of a node that works strip by strip, for images (B, H, W, 1).

    Args:
        node: The node.
        **arrays: Its inputs by name; None for those that are not connected.
    """
    present = {name: array for name, array in arrays.items() if array is not None}
    images = len(next(iter(present.values())))
    made: dict[str, list[Any]] = {}
    for image in range(images):
        strip = {name: array[image : image + 1] for name, array in present.items()}
        passes = node.strip_passes()
        passes.scan(**strip)
        passes.join()
        for name, value in passes.apply(**strip).items():
            made.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in made.items()}


def counted(decisions: Any, valid: Any = None) -> Any:
    """The decisions on pixels that count, bool (H, W), of an image or a strip (1, H, W, 1)."""
    mask = decisions[0, ..., 0]
    if valid is None:
        return mask
    return mask & valid[0, ..., 0]
