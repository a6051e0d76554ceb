"""What the parts of one scene hold that are in a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from specloom_cubes.masks import valid_source
from specloom_cubes.paths import there
from specloom_cubes.rules.coco import class_names
from specloom_cubes.sources.description import (
    ClassCounts,
    Excluded,
    MaskDescription,
    SplitDescription,
    describe_cubes,
    summarise,
    wavelength_range,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube
    from specloom_cubes.rules.masks import ValidityArrays

Window: TypeAlias = tuple[slice, slice]
"""Rows and columns."""

Labels: TypeAlias = "tuple[NDArray[np.int32] | None, NDArray[np.bool_] | None]"
"""Class numbers and which pixels are valid, (H, W) each, or None where nothing is known."""


class DescribableScene(Protocol):
    """What a description needs of a scene."""

    cube: str
    mask: str | None
    mask_variable: str | None
    wavelengths: str | None
    valid: str | None
    valid_variable: str | None

    def opened(self) -> Cube:
        """The scene, its pixels not yet read."""

    def counted_labels(self) -> Labels | None:
        """Its labels, or None where they were not read yet and have very many pixels."""

    def centres(self) -> NDArray[np.float64] | None:
        """Band centres in nm, or None where they are not known."""

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where it has none."""

    def mask_array(self) -> str | None:
        """The array of its own file that is its mask, or None."""

    def validity_arrays(self) -> ValidityArrays:
        """The arrays of its own file that say which pixels are valid."""


def describe_scene(
    scene: DescribableScene, split: str, noun: str, names: Sequence[str], windows: Sequence[Window]
) -> SplitDescription | None:
    """The description of a split that consists of parts of a scene.

    Args:
        scene: The scene.
        split: The split.
        noun: What the parts are called.
        names: The name of each part.
        windows: The rows and columns of each part.

    Returns:
        None where a file of the scene is absent.

    Raises:
        DataError: A file cannot be used.
    """
    files = (scene.cube, scene.mask, scene.valid, scene.wavelengths)
    if not all(there(file) for file in files if file is not None):
        return None
    labels = scene.counted_labels()
    table = scene.wavelengths
    table_range = None
    if table is not None:
        table_range = wavelength_range(scene.centres())
    excluded = []
    if labels is not None and labels[1] is not None:
        valid = labels[1]
        pixels = sum(int((~valid[window]).sum()) for window in windows)
        excluded.append(Excluded(f"not valid by {_valid_source(scene)}", pixels))
    return describe_cubes(
        noun,
        names,
        [replace(summarise(scene.opened()), valid_from="")],  # it is in what is excluded
        _masks(scene, split, labels, windows),
        table=table,
        table_range=table_range,
        excluded=excluded,
    )


def _masks(
    scene: DescribableScene, split: str, labels: Labels | None, windows: Sequence[Window]
) -> MaskDescription:
    """The masks of the parts."""
    if "mask" in scene.missing_outputs(split):
        return MaskDescription()
    source = _mask_source(scene)
    counts = ClassCounts()
    keys = list(range(len(windows)))
    if labels is not None and labels[0] is not None:
        for key, window in enumerate(windows):
            counts.add(key, labels[0][window])
    names = {}
    if scene.mask is not None:
        names = dict(class_names(scene.mask))
    return counts.describe(source, keys, names)


def _mask_source(scene: DescribableScene) -> str:
    if scene.mask is None:
        return f"the array {scene.mask_array()!r} of the scene's file"
    return _array_of(scene.mask, scene.mask_variable)


def _valid_source(scene: DescribableScene) -> str:
    """Where it is stated which pixels are valid."""
    sources = []
    if scene.valid is not None:
        sources.append(_array_of(scene.valid, scene.valid_variable))
    elif scene.valid_variable is not None:
        sources.append(f"the array {scene.valid_variable!r} of the scene's file")
    own = valid_source(scene.opened(), scene.validity_arrays())
    if own:
        sources.append(own)
    return " and ".join(sources)


def _array_of(file: str, variable: str | None) -> str:
    name = Path(file).name
    if variable is None:
        return name
    return f"the array {variable!r} of {name}"
