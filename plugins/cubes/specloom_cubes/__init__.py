"""Hyperspectral cubes: file formats, sources of batches, and the node where they enter a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from specloom import Port, impl
from specloom.lazy import lazy

MODULES = {
    "BandMap": "specloom_cubes.processing.resampling",
    "Calibration": "specloom_cubes.processing.options",
    "Coefficients": "specloom_cubes.processing.coefficients",
    "Cube": "specloom_cubes.cube",
    "ENVI_DATA_TYPES": "specloom_cubes.formats.envi",
    "InMemory": "specloom_cubes.sources.memory",
    "LentilsAnomalyDataNode": "specloom_cubes.data_node",
    "OneCube": "specloom_cubes.sources.one_cube",
    "Reading": "specloom_cubes.cube",
    "Spectra": "specloom_cubes.spectra",
    "array_cube": "specloom_cubes.array_cubes",
    "bands_within": "specloom_cubes.processing.resampling",
    "bin_map": "specloom_cubes.processing.resampling",
    "calibration_of": "specloom_cubes.processing.options",
    "check_valid_files": "specloom_cubes.valid_files",
    "cube_file": "specloom_cubes.cube_files",
    "cube_name": "specloom_cubes.cube_files",
    "expand": "specloom_cubes.paths",
    "files_of_cube": "specloom_cubes.cube_files",
    "files_of_reading": "specloom_cubes.reading",
    "files_of_references": "specloom_cubes.reading",
    "find_cubes": "specloom_cubes.cube_files",
    "find_masks": "specloom_cubes.cube_files",
    "gaussian_map": "specloom_cubes.processing.resampling",
    "is_address": "specloom_cubes.paths",
    "is_cube": "specloom_cubes.formats",
    "is_named_as_reference": "specloom_cubes.processing.captures",
    "is_valid_pattern": "specloom_cubes.valid_files",
    "open": "specloom_cubes.opening",
    "open_cube": "specloom_cubes.reading",
    "opened_by_plugin": "specloom_cubes.reading",
    "read_coefficients": "specloom_cubes.reading",
    "read_grid": "specloom_cubes.reading",
    "read_mask": "specloom_cubes.masks",
    "read_spectra": "specloom_cubes.spectral_files",
    "read_wavelengths": "specloom_cubes.wavelengths",
    "response_map": "specloom_cubes.processing.resampling",
    "stated_wavelengths": "specloom_cubes.wavelengths",
    "valid_file": "specloom_cubes.valid_files",
    "water_vapour": "specloom_cubes.processing.resampling",
    "without_valid_files": "specloom_cubes.valid_files",
    "write_captures": "specloom_cubes.synthetic.camera",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe cubes --write`.
__all__ = [
    "ENVI_DATA_TYPES",
    "AnomalyDataNode",
    "Background",
    "BandMap",
    "Blocks",
    "Calibration",
    "Coefficients",
    "Cube",
    "Folder",
    "InMemory",
    "LentilsAnomalyDataNode",
    "OneCube",
    "Reading",
    "Scene",
    "Scenes",
    "SingleCu3sDataModule",
    "Spectra",
    "Synthetic",
    "array_cube",
    "bands_within",
    "bin_map",
    "calibration_of",
    "check_valid_files",
    "cube_file",
    "cube_name",
    "expand",
    "files_of_cube",
    "files_of_reading",
    "files_of_references",
    "find_cubes",
    "find_masks",
    "gaussian_map",
    "is_address",
    "is_cube",
    "is_named_as_reference",
    "is_valid_pattern",
    "open",
    "open_cube",
    "opened_by_plugin",
    "read_coefficients",
    "read_grid",
    "read_mask",
    "read_spectra",
    "read_wavelengths",
    "response_map",
    "stated_wavelengths",
    "valid_file",
    "water_vapour",
    "without_valid_files",
    "write_captures",
]

if TYPE_CHECKING:
    from specloom_cubes.array_cubes import array_cube
    from specloom_cubes.background import Background
    from specloom_cubes.cube import Cube, Reading
    from specloom_cubes.cube_files import (
        cube_file,
        cube_name,
        files_of_cube,
        find_cubes,
        find_masks,
    )
    from specloom_cubes.data_node import AnomalyDataNode, LentilsAnomalyDataNode
    from specloom_cubes.formats import is_cube
    from specloom_cubes.formats.envi import ENVI_DATA_TYPES
    from specloom_cubes.masks import read_mask
    from specloom_cubes.opening import open
    from specloom_cubes.paths import expand, is_address
    from specloom_cubes.processing.captures import is_named_as_reference
    from specloom_cubes.processing.coefficients import Coefficients
    from specloom_cubes.processing.options import Calibration, calibration_of
    from specloom_cubes.processing.resampling import (
        BandMap,
        bands_within,
        bin_map,
        gaussian_map,
        response_map,
        water_vapour,
    )
    from specloom_cubes.reading import (
        files_of_reading,
        files_of_references,
        open_cube,
        opened_by_plugin,
        read_coefficients,
        read_grid,
    )
    from specloom_cubes.sources.blocks import Blocks
    from specloom_cubes.sources.cu3s import SingleCu3sDataModule
    from specloom_cubes.sources.folder import Folder
    from specloom_cubes.sources.memory import InMemory
    from specloom_cubes.sources.one_cube import OneCube
    from specloom_cubes.sources.scene import Scene
    from specloom_cubes.sources.scenes import Scenes
    from specloom_cubes.sources.synthetic import Synthetic
    from specloom_cubes.spectra import Spectra
    from specloom_cubes.spectral_files import read_spectra
    from specloom_cubes.synthetic.camera import write_captures
    from specloom_cubes.valid_files import (
        check_valid_files,
        is_valid_pattern,
        valid_file,
        without_valid_files,
    )
    from specloom_cubes.wavelengths import read_wavelengths, stated_wavelengths
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the data node, under both of its names, and the node that finds backgrounds."""
    node = "specloom_cubes.data_node:AnomalyDataNode"
    return {
        "AnomalyDataNode": node,
        "Background": "specloom_cubes.background:Background",
        "LentilsAnomalyDataNode": node,
    }


@impl
def register_sources() -> Mapping[str, str]:
    """Offer the sources of batches."""
    return {
        "Blocks": "specloom_cubes.sources.blocks:Blocks",
        "Folder": "specloom_cubes.sources.folder:Folder",
        "Scene": "specloom_cubes.sources.scene:Scene",
        "Scenes": "specloom_cubes.sources.scenes:Scenes",
        "SingleCu3sDataModule": "specloom_cubes.sources.cu3s:SingleCu3sDataModule",
        "Synthetic": "specloom_cubes.sources.synthetic:Synthetic",
    }


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom info`` and ``specloom data``."""
    return {"data": "specloom_cubes.fetch.command:data", "info": "specloom_cubes.command:info"}


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kinds of value that sources give."""
    return {
        "cube": Port("B H W C", dtype="real", doc="Cubes, in the unit in which they are stored."),
        "mask": Port("B H W", dtype="integer", doc="Class numbers; negative where unlabelled."),
        "wavelengths": Port("C", unit="nm", host=True, doc="Band centres, one grid for the batch."),
        "valid": Port("B H W", dtype="bool", doc="True where the pixel may be used."),
    }


@impl(specname="open_cube")
def open_known_cube(address: str) -> Any:
    """Open a file without reading its pixels; None for one of another kind, or not of here."""
    from specloom_cubes import formats, paths

    if paths.is_address(address) and not paths.there(address):
        return None
    return formats.open_cube(address) if formats.is_cube(address) else None
