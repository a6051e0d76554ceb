"""An ENVI scene from disk scored end to end, beside numpy.memmap and the bare kernel.

    python benchmarks/envi.py [--size scene] [--repeats 5]

``predict`` opens the files, runs the graph tile by tile and gives the scores of the scene as an
array. The bare kernel is RX itself, given the whole mapped file as one array. Both read from the
disk cache; prints JSON.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ours_graphs import labelled_source
from scenes import cube
from timing import about, figures, interleaved, machine_phases, options, rates

from specloom import Pipeline
from specloom_cubes import AnomalyDataNode
from specloom_predict import predict
from specloom_rx import RXGlobal
from specloom_training import StatisticalTrainer

SIZES = {"scene": (2000, 512, 61), "wide": (1000, 500, 200), "test": (40, 24, 7)}
HEADER = """ENVI
samples = {width}
lines = {height}
bands = {channels}
header offset = 0
data type = 4
interleave = bip
byte order = 0
"""


def written(folder: Path, height: int, width: int, channels: int) -> Path:
    """A scene as a pair of files; the header."""
    scene = np.memmap(folder / "scene.img", np.float32, "w+", shape=(height, width, channels))
    for top in range(0, height, 500):
        part = scene[top : top + 500]
        part[:] = cube(len(part), width, channels, seed=top)[0].numpy()
    scene.flush()
    header = folder / "scene.hdr"
    header.write_text(HEADER.format(height=height, width=width, channels=channels))
    return header


def measured(
    header: Path, shape: tuple[int, int, int], repeats: int, threads: int
) -> tuple[Any, Any]:
    """Both sides interleaved, and whether they give the same scores; this machine's rates."""
    data, rx, pipeline = AnomalyDataNode([0], name="data"), RXGlobal(name="rx"), Pipeline()
    pipeline.connect((data.outputs.cube, rx.data))
    small = cube(100, 100, shape[2], seed=9)
    StatisticalTrainer(pipeline=pipeline, datamodule=labelled_source(small)).fit()
    pipeline.outputs = {"scores": "rx.scores"}
    rx.eval()

    def bare() -> torch.Tensor:
        mapped = np.memmap(header.with_suffix(".img"), np.float32, "c", shape=shape)
        with torch.no_grad():
            scores: torch.Tensor = rx(data=torch.from_numpy(mapped)[None])["scores"]
        return scores

    def end_to_end() -> np.ndarray:
        return predict(pipeline, header, device="cpu").arrays["scores"]

    sides = {"ours": {"score": end_to_end}, "bare": {"score": bare}, "machine": machine_phases()}
    times = interleaved(sides, repeats, threads)
    row = figures(times, {})["score"]
    row["fraction"] = {"bare kernel": row["bare"].pop("ratio")}
    row["equal"] = bool(np.array_equal(end_to_end(), bare()[0, ..., 0].numpy()))
    return row, rates(times["machine"])


def main() -> None:
    """Measure, and print the report."""
    chosen = options(__doc__, [size for size in SIZES if size != "test"])
    report = about("ENVI", chosen.threads) | {"sizes": {}}
    for size in chosen.size:
        shape = SIZES[size]
        with tempfile.TemporaryDirectory() as folder:
            header = written(Path(folder), *shape)
            row, report["rates"] = measured(header, shape, chosen.repeats, chosen.threads)
        report["sizes"][size] = {"pixels": shape[0] * shape[1], "bands": shape[2]} | {
            "phases": {"score": row}
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
