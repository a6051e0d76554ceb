"""Times of two detectors beside other packages: the coreset, and local RX.

CPU seconds with one thread, each pair in turns, so that ratios hold up on a machine that does other
things too. The scores of each pair are compared. Prints ratios as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SIZES = {"full": (512, 61, (40, 60)), "tiny": (48, 12, (24, 23))}
"""Side and bands of the scene of the coreset; rows and columns of that of local RX."""

LOCAL_BANDS = {"full": (61, 175), "tiny": (8,)}
WINDOW = (5, 21)


def synthetic(rows: int, columns: int, bands: int) -> NDArray[np.float64]:
    """A scene whose bands depend on each other, (rows, columns, bands)."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(bands, bands)) * np.logspace(0, -2, bands)[:, None]
    return random.normal(size=(rows, columns, bands)) @ mixing + 5


def ratios(sides: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Any]:
    """The median seconds of each side, and the medians of the others' seconds over the first's."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            start = time.process_time()
            run()
            if turn:
                seconds[name].append(time.process_time() - start)
    ours, *others = sides
    found: dict[str, Any] = {"seconds": {}}
    for name, times in seconds.items():
        found["seconds"][name] = float(np.median(times))
    for name in others:
        found[f"{name} / {ours}"] = float(np.median(np.divide(seconds[name], seconds[ours])))
    return found


def coreset_times(side: int, bands: int, repeats: int) -> dict[str, Any]:
    """The scores of a coreset beside scikit-learn's search in its members, and global RX."""
    import torch
    from sklearn.neighbors import NearestNeighbors

    from specloom.testing import fit
    from specloom_neighbours import CoresetNeighbours
    from specloom_rx import RXGlobal

    cube = torch.from_numpy(synthetic(side, side, bands)[None].astype(np.float32))
    node = fit(CoresetNeighbours(num_channels=bands), [{"data": cube}])
    rx = fit(RXGlobal(num_channels=bands), [{"data": cube}])
    whitening = (node.directions.T * node.variances.rsqrt()).numpy()
    center = node.center.numpy()
    members = (node.spectra.numpy()[: int(node.members)] - center) @ whitening
    search = NearestNeighbors(n_neighbors=node.neighbours, algorithm="brute").fit(members)

    def reference() -> NDArray[np.float64]:
        points = (cube.numpy().reshape(-1, bands).astype(np.float64) - center) @ whitening
        distances: NDArray[np.float64] = search.kneighbors(points)[0].mean(1)
        return distances

    @torch.no_grad()
    def score(detector: Any) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = detector(data=cube)["scores"].numpy().ravel()
        return scores

    np.testing.assert_allclose(score(node), reference(), rtol=1e-5, atol=1e-5)
    sides = {
        "coreset": lambda: score(node),
        "scikit-learn": reference,
        "global RX": lambda: score(rx),
    }
    return ratios(sides, repeats)


def local_times(rows: int, columns: int, bands: int, repeats: int) -> dict[str, Any]:
    """Local RX beside that of SPy."""
    import torch
    from spectral import rx

    from specloom_rx import LocalRX

    cube = synthetic(rows, columns, bands)
    data = torch.from_numpy(cube)[None]
    inner, outer = WINDOW
    node = LocalRX(inner=inner, outer=outer, shrinkage=0.0, num_channels=bands)
    want = rx(cube, window=WINDOW)
    np.testing.assert_allclose(node(data=data)["scores"][0, ..., 0], want, rtol=1e-6)
    sides = {"local RX": lambda: node(data=data), "SPy": lambda: rx(cube, window=WINDOW)}
    return ratios(sides, repeats)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for name in THREADS:
        os.environ[name] = "1"
    side, bands, (rows, columns) = SIZES[options.size]
    found = {f"coreset {side} x {side} x {bands}": coreset_times(side, bands, options.repeats)}
    for local_bands in LOCAL_BANDS[options.size]:
        name = f"local RX {rows} x {columns} x {local_bands}"
        found[name] = local_times(rows, columns, local_bands, options.repeats)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
