import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from specloom.testing import parametrize_with_checks


@cache
def folder():
    holder = tempfile.TemporaryDirectory()
    root = Path(holder.name)
    np.save(root / "scene.npy", np.arange(5 * 7 * 3, dtype=np.uint16).reshape(5, 7, 3))
    np.save(root / "mask.npy", np.eye(5, 7, dtype=np.uint8))
    for name in ("a", "b", "c"):
        (root / f"{name}.cu3s").write_bytes(name.encode())
    for number in range(8):
        np.save(root / f"part{number}.npy", np.full((4, 5, 3), number, np.int16))
        np.save(root / f"part{number}_gt.npy", np.eye(4, 5, dtype=np.uint8))
    return holder, root


def scene():
    root = folder()[1]
    return {"cube": str(root / "scene.npy"), "mask": str(root / "mask.npy")}


class Context:
    def __init__(self, session):
        self.processing_mode = None

    def apply(self, number):
        array = np.full((4, 5, 3), number, np.float32)
        return SimpleNamespace(
            data={"cube": SimpleNamespace(array=array, wavelength=[500, 600, 700])}
        )


@pytest.fixture(autouse=True)
def camera(monkeypatch):
    cuvis = ModuleType("cuvis")
    cuvis.SessionFile = lambda path: SimpleNamespace(
        get_size=lambda: 2, get_measurement=lambda n: n
    )
    cuvis.ProcessingContext = Context
    cuvis.ProcessingMode = SimpleNamespace(Reflectance="reflectance")
    monkeypatch.setitem(sys.modules, "cuvis", cuvis)


@parametrize_with_checks(
    "cubes",
    examples={
        "Blocks": lambda: {**scene(), "block": 2, "valid": scene()["mask"], "batch_size": 2},
        "Folder": lambda: {"path": str(folder()[1]), "pattern": "part*", "batch_size": 3},
        "Scene": scene,
        "Scenes": lambda: {"cubes": [scene()["cube"]] * 2, "masks": [scene()["mask"]] * 2},
        "SingleCu3sDataModule": lambda: {"data_dir": str(folder()[1])},
    },
)
def test_conformance(check):
    check()
