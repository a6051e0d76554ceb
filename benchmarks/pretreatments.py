"""Pretreatments of a scene of Cuprite's size beside Spectral Python and a copy; prints a table.

python benchmarks/pretreatments.py [--scene FILE.mat ...] [--repeats 5]

The spectra are SYNTHETIC, and then those of each scene, tiled to the size. Every figure is CPU
seconds on one core, to which the process pins itself, the median of the repeats, which are taken in
turns; a copy is one into memory that is there. Spectral Python treats a tenth of the rows, and its
time is multiplied by ten.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Cube: TypeAlias = NDArray[np.float32]

Case: TypeAlias = Callable[[], Any]
SIZE = (350, 400, 188)
SHARE = 10


def pin() -> None:
    """Use one core, the last one of those that the process may use."""
    os.environ["OMP_NUM_THREADS"] = "1"
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})


def synthetic() -> Cube:
    """Mixtures of five smooth spectra with noise."""
    import numpy as np

    random = np.random.default_rng(0)
    nm = np.linspace(400, 2500, SIZE[2])
    spectra = [0.3 + 0.2 * np.sin(nm / 300 + k) for k in range(5)]
    spectra = [one + 0.05 * np.cos(nm / (40 + 10 * k)) for k, one in enumerate(spectra)]
    shares = random.dirichlet(np.ones(5), SIZE[:2])
    noise = random.normal(0, 0.003, SIZE)
    return (shares @ np.array(spectra) + noise).astype(np.float32)


def tiled(path: Path) -> Cube:
    """A published scene, repeated to the size; bands beyond 188 are left out."""
    import numpy as np
    from scipy.io import loadmat

    scene = loadmat(path)["data"].astype(np.float32)
    bands = min(scene.shape[2], SIZE[2])
    rows = -(-SIZE[0] // scene.shape[0])
    columns = -(-SIZE[1] // scene.shape[1])
    whole = np.tile(scene[:, :, :bands], (rows, columns, 1))
    return np.ascontiguousarray(whole[: SIZE[0], : SIZE[1]])


def cases(cube: Cube) -> dict[str, Case]:
    """What is measured, by name."""
    import numpy as np
    import spectral
    import torch

    import specloom_pretreatments as pretreatments
    from specloom_pca import TrainablePCA

    torch.set_num_threads(1)
    np.seterr(all="ignore")
    bands = cube.shape[2]
    data = torch.from_numpy(cube)[None]
    nm = torch.linspace(400, 2500, bands, dtype=torch.float64)
    part = cube[: SIZE[0] // SHARE].astype(np.float64)

    def ready(node: Any, *, build: bool = True) -> Case:
        batch = {"data": data}
        if "wavelengths" in node.inputs and type(node).__name__ in ("EMSC", "ContinuumRemoval"):
            batch["wavelengths"] = nm
        if build:
            node.build({"C": bands})
        if getattr(node, "fit_passes", 0):
            node.fit_start(0)
            node.fit_update(**batch)
            node.fit_end()

        def run() -> object:
            with torch.no_grad():
                return node.forward(**batch)

        return run

    memory = np.zeros_like(cube)
    pca = TrainablePCA(3, num_channels=bands)
    plain_pca = ready(pca, build=False)
    smoothing = pretreatments.SavitzkyGolay(11, 2, 1)
    smooth = ready(smoothing)

    def folded() -> object:
        with torch.no_grad():
            return pca.forward(smoothing.forward_lazy(data)["treated"])

    def unfolded() -> object:
        with torch.no_grad():
            return pca.forward(smooth()["treated"])

    return {
        "copy": lambda: np.copyto(memory, cube),
        "SNV": ready(pretreatments.SNV()),
        "MSC": ready(pretreatments.MSC()),
        "UnitNorm": ready(pretreatments.UnitNorm()),
        "Absorbance": ready(pretreatments.Absorbance()),
        "ZScore": ready(pretreatments.ZScore()),
        "Detrend": ready(pretreatments.Detrend()),
        "EMSC": ready(pretreatments.EMSC()),
        "SavitzkyGolay": smooth,
        "PCA": plain_pca,
        "SavitzkyGolay, PCA": unfolded,
        "SavitzkyGolay folded into PCA": folded,
        "ContinuumRemoval": ready(pretreatments.ContinuumRemoval()),
        "Spectral Python's continuum": lambda: spectral.remove_continuum(part, nm.numpy()),
    }


def profile(cube: Cube) -> dict[str, Case]:
    """The result's memory, and the steps of SNV and MSC on a block in the cache, for a scene."""
    import torch

    from specloom_pretreatments.pixels import CPU_VALUES, new_memory

    rows = CPU_VALUES // cube.shape[2]
    times = -(-cube.shape[0] * cube.shape[1] // rows)
    block = torch.from_numpy(cube.reshape(-1, cube.shape[2])[:rows].copy())
    out = torch.empty_like(block)
    first = block[:, :1]
    weights = block[0].clone()

    def repeated(step: Case) -> Case:
        def run() -> None:
            for _ in range(times):
                step()

        return run

    def touch() -> None:
        new_memory(tuple(cube.shape), torch.float32, block.device).view(-1)[::1024].fill_(1)

    return {
        "touch new memory": touch,
        "subtract a column": repeated(lambda: torch.sub(block, first, out=out)),
        "mean of rows": repeated(lambda: block.mean(1, keepdim=True)),
        "norm of rows (SNV)": repeated(lambda: torch.linalg.vector_norm(block, dim=1)),
        "product with m (MSC)": repeated(lambda: (block * weights).sum(1, keepdim=True)),
        "multiply by a column": repeated(lambda: torch.mul(block, first, out=out)),
    }


def measured(made: dict[str, Case], repeats: int) -> dict[str, float]:
    """The median of the CPU seconds of each case, which are run in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(repeats):
        for name, case in made.items():
            start = time.process_time()
            case()
            seconds[name].append(time.process_time() - start)
    return {name: median(values) for name, values in seconds.items()}


def measure_scene(name: str, cube: Cube, repeats: int) -> float:
    """Print the table of a scene, and return how many times as fast as the peer the hull is."""
    height, width, bands = cube.shape
    print(f"{name}, {height} x {width} x {bands}, float32, one core, CPU seconds")
    seconds = measured(cases(cube), repeats)
    peer = "Spectral Python's continuum"
    seconds[peer] *= height / (SIZE[0] // SHARE)
    for case, value in seconds.items():
        print(f"{case:34} {value:8.4f} s  {value / seconds['copy']:7.1f} copies")
    print("profile of SNV and MSC, steps on blocks in the cache:")
    for step, value in measured(profile(cube), repeats).items():
        print(f"{step:34} {value:8.4f} s  {value / seconds['copy']:7.1f} copies")
    return seconds[peer] / seconds["ContinuumRemoval"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    help_ = "a .mat file with the array data; may be repeated"
    parser.add_argument("--scene", type=Path, action="append", default=[], help=help_)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    pin()
    ratios = {"SYNTHETIC": measure_scene("SYNTHETIC", synthetic(), options.repeats)}
    for path in options.scene:
        ratios[path.name] = measure_scene(path.name, tiled(path), options.repeats)
    for name, ratio in ratios.items():
        print(f"continuum of {name}: {ratio:.1f} times as fast as Spectral Python")


if __name__ == "__main__":
    main()
