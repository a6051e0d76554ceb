"""Sources of batches. ``InMemory`` is for Python only; the others can be named in run files."""

from typing import TYPE_CHECKING

from specloom.lazy import lazy

__all__ = ["Blocks", "Folder", "InMemory", "Scene", "SingleCu3sDataModule", "Synthetic"]

if TYPE_CHECKING:
    from specloom_cubes.sources.blocks import Blocks
    from specloom_cubes.sources.cu3s import SingleCu3sDataModule
    from specloom_cubes.sources.folder import Folder
    from specloom_cubes.sources.memory import InMemory
    from specloom_cubes.sources.scene import Scene
    from specloom_cubes.sources.synthetic import Synthetic
else:
    __getattr__ = lazy(
        __name__,
        Blocks="specloom_cubes.sources.blocks",
        Folder="specloom_cubes.sources.folder",
        InMemory="specloom_cubes.sources.memory",
        Scene="specloom_cubes.sources.scene",
        SingleCu3sDataModule="specloom_cubes.sources.cu3s",
        Synthetic="specloom_cubes.sources.synthetic",
    )
