"""Known products: where their cubes are in a file, in which order, and where the centres are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specloom_cubes.formats.variable import Variable


@dataclass(frozen=True)
class Layout:
    """The place of a cube in the files of a product.

    Args:
        product: The name of the product.
        cube: The pattern of the whole path of the cube in the file.
        order: The order of its axes: H rows, W columns, C bands.
        mark: The attribute of the root, or the beginning of a path, that such files have.
        centres: The attribute of the root with the band centres; empty where they lie at the cube.
        widths: The attribute of the root with the band widths.
        flags: The attribute of the root that is 0 for bands that are not used.
        zeros_unused: Whether a centre of 0 stands for a band that is not used.
        limits: The attributes of the root with the physical values of the least and the greatest
            number that the element type holds.
    """

    product: str
    cube: re.Pattern[str]
    order: str
    mark: str
    centres: str = ""
    widths: str = ""
    flags: str = ""
    zeros_unused: bool = False
    limits: tuple[str, str] | None = None


def _prisma(sensor: str) -> Layout:
    """PRISMA L1 to L2D: rows x bands x columns, the centres in descending order.

    Reflectance of level 2 is L2ScaleMin + stored * (L2ScaleMax - L2ScaleMin) / 65535 (ASI, PRISMA
    Products Specification Document, 2020).
    """
    name = sensor.title()
    return Layout(
        product="PRISMA",
        cube=re.compile(rf"HDFEOS/SWATHS/PRS_\w+/Data Fields/{sensor}_Cube"),
        order="HCW",
        mark=f"List_Cw_{name}",
        centres=f"List_Cw_{name}",
        widths=f"List_Fwhm_{name}",
        flags=f"List_Cw_{name}_Flags",
        zeros_unused=True,
        limits=(f"L2Scale{name}Min", f"L2Scale{name}Max"),
    )


LAYOUTS = (
    _prisma("VNIR"),
    _prisma("SWIR"),
    Layout("EMIT", re.compile("reflectance|radiance"), "HWC", mark="sensor_band_parameters/"),
    Layout(
        "NEON",
        re.compile(r"\w+/Reflectance/Reflectance_Data"),
        "HWC",
        mark="",
    ),
    Layout(
        "Tanager",
        re.compile("HDFEOS/(SWATHS|GRIDS)/HYP/Data Fields/(toa_radiance|surface_reflectance)"),
        "CHW",
        mark="",
    ),
)


def layout_of(name: str, attributes: Collection[str], arrays: Sequence[Variable]) -> Layout | None:
    """The layout of the known product that has a cube of that name.

    Args:
        name: The path of the cube in the file.
        attributes: The names of the attributes of the file's root.
        arrays: The arrays of the file.
    """
    for layout in LAYOUTS:
        is_there = layout.mark in attributes
        if not is_there:
            is_there = any(one.name.startswith(layout.mark) for one in arrays)
        if is_there and layout.cube.fullmatch(name):
            return layout
    return None
