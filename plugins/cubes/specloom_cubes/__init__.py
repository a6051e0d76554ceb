"""Hyperspectral cubes: file formats, sources of batches, and the node where they enter a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from specloom import Port, impl

if TYPE_CHECKING:
    from pathlib import Path


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the data node, under both of its names."""
    node = "specloom_cubes.data_node:LentilsAnomalyDataNode"
    return {"LentilsAnomalyDataNode": node, "AnomalyDataNode": node}


@impl
def register_sources() -> Mapping[str, str]:
    """Offer the sources of batches."""
    return {
        "Blocks": "specloom_cubes.sources.blocks:Blocks",
        "Folder": "specloom_cubes.sources.folder:Folder",
        "Scene": "specloom_cubes.sources.scene:Scene",
        "SingleCu3sDataModule": "specloom_cubes.sources.cu3s:SingleCu3sDataModule",
        "Synthetic": "specloom_cubes.sources.synthetic:Synthetic",
    }


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom info``."""
    return {"info": "specloom_cubes.command:info"}


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kinds of value that sources give."""
    return {
        "cube": Port("B H W C", dtype="real", doc="Cubes, in the unit in which they are stored."),
        "mask": Port("B H W", dtype="integer", doc="Class numbers; negative where unlabelled."),
        "wavelengths": Port("C", unit="nm", host=True, doc="Band centres, one grid for the batch."),
        "valid": Port("B H W", dtype="bool", doc="True where the pixel counts."),
    }


@impl
def open_cube(path: Path) -> Any:
    """Open a cube without reading its pixels; None for a file of another kind."""
    from specloom_cubes import formats

    return formats.open_cube(path) if formats.is_cube(path) else None
