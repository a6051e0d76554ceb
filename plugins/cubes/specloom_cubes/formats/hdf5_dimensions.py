"""The names and coordinates of the axes of an HDF5 dataset.

The HDF5 library (2.0.0, as h5py 3.16.0 has it) ends the process with a segmentation fault where
``DIMENSION_LABELS`` or ``DIMENSION_LIST`` are attributes of another form than its own, as some
programs write them; so their form is checked before the library reads them.
"""

from __future__ import annotations

from typing import Any

import h5py

LABELS = "DIMENSION_LABELS"
LIST = "DIMENSION_LIST"


def labels(item: Any) -> tuple[str, ...]:
    """The names of a dataset's axes: those of its dimension scales, else its labels."""
    names = []
    for axis in range(len(item.shape)):
        scale = coordinates(item, axis)
        if scale is not None:
            names.append(str(scale.name))
        elif _has_labels(item):
            names.append(str(item.dims[axis].label))
        else:
            names.append("")
    if not any(names):
        return ()
    return tuple(names)


def coordinates(item: Any, axis: int) -> Any:
    """The first dimension scale of an axis, a dataset; None where it has none."""
    if not _has_scales(item):
        return None
    scales = item.dims[axis]
    if len(scales) == 0:
        return None
    return scales[0]


def _has_labels(item: Any) -> bool:
    """Whether a dataset has a text for each axis, as the library writes them."""
    if LABELS not in item.attrs:
        return False
    attribute = item.attrs.get_id(LABELS)
    text = h5py.check_string_dtype(attribute.dtype)
    is_text = text is not None and text.length is None
    return is_text and attribute.shape == (len(item.shape),)


def _has_scales(item: Any) -> bool:
    """Whether a dataset has a list of references for each axis, as the library writes them."""
    if LIST not in item.attrs:
        return False
    attribute = item.attrs.get_id(LIST)
    element = h5py.check_vlen_dtype(attribute.dtype)
    are_references = element is not None and h5py.check_ref_dtype(element) is h5py.Reference
    return are_references and attribute.shape == (len(item.shape),)
