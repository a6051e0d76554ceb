"""Sources of batches. ``InMemory`` is for Python only; the others can be named in run files."""

from specloom_cubes.sources.blocks import Blocks
from specloom_cubes.sources.cu3s import SingleCu3sDataModule
from specloom_cubes.sources.folder import Folder
from specloom_cubes.sources.memory import InMemory
from specloom_cubes.sources.scene import Scene
from specloom_cubes.sources.synthetic import Synthetic

__all__ = ["Blocks", "Folder", "InMemory", "Scene", "SingleCu3sDataModule", "Synthetic"]
