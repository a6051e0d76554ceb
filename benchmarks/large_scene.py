"""Fits of one large scene: the memory above ``import torch``, and seconds.

    python benchmarks/large_scene.py [--megabytes 2000] [--interleave bsq bil bip] [--folder /tmp]
    python benchmarks/large_scene.py --growth 10000 100000 1000000 10000000

A synthetic ENVI scene of float32 is written, fitted by global RX and scored, each in a process of
its own, and removed. Prints JSON: MiB of resident memory at most above what the process had after
``import torch``, seconds by the clock, and CPU seconds. With ``--growth`` scenes of so many pixels
are measured, of 61 bands as whole processes of the command.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

BANDS = 200
WIDTH = 1000
GROWTH_BANDS = 61
ROWS_WRITTEN = 64

MEASURED = """
import json, sys, time
import torch

def highest():  # that of getrusage begins with what the parent process had
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024

before = highest()
import specloom

wall = time.perf_counter()
cpu = time.process_time()
run = specloom.load(json.loads(sys.argv[1]), device="cpu")
run.run()
print(json.dumps({
    "MiB above torch": round(highest() - before),
    "seconds": round(time.perf_counter() - wall, 2),
    "CPU seconds": round(time.process_time() - cpu, 2),
    "digits": run.graph.nodes["rx"].background_mean.sum().item().hex(),
}))
"""


def write_scene(
    folder: Path, name: str, pixels: int, bands: int, interleave: str, width: int = WIDTH
) -> Path:
    """Write a synthetic scene of float32, some rows at a time; its header."""
    width = min(width, pixels)
    height = max(1, pixels // width)
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[interleave]
    shape = tuple((height, width, bands)[axis] for axis in axes)
    file = np.memmap(folder / f"{name}.img", np.float32, "w+", shape=shape)
    view = file.transpose(np.argsort(axes))
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(6, bands)).astype(np.float32)
    for first in range(0, height, ROWS_WRITTEN):
        rows = view[first : first + ROWS_WRITTEN]
        weights = generator.random((*rows.shape[:2], 6), np.float32)
        noise = generator.random(rows.shape, np.float32)
        rows[...] = weights @ mixing + 0.1 * noise
    file.flush()
    header = folder / f"{name}.hdr"
    header.write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\ndata type = 4\n"
        f"interleave = {interleave}\nbyte order = 0\n"
    )
    return header


def document(header: Path, phases: list[str]) -> dict[str, object]:
    """A run file that fits RX on the scene, and scores it where a phase evaluates."""
    connections = [
        ["data.cube", "rx.data"],
        ["data.valid", "rx.valid"],
        ["rx.scores", "decider.logits"],
        ["decider.decisions", "metrics.decisions"],
        ["rx.scores", "metrics.logits"],
        ["data.mask", "metrics.targets"],
    ]
    return {
        "specloom": 1,
        "data": {
            "type": "cubes.Scene",
            "config": {"cube": str(header), "mask": str(header.with_suffix(".npy"))},
        },
        "nodes": {
            "data": {"type": "cubes.AnomalyDataNode", "config": {"normal_class_ids": [0]}},
            "rx": {"type": "rx.RXGlobal"},
            "decider": {"type": "deciders.QuantileBinaryDecider"},
            "metrics": {"type": "metrics.AnomalyDetectionMetrics"},
        },
        "connections": connections,
        "phases": [{"type": f"training.{name}"} for name in phases],
    }


def write_mask(header: Path, pixels: int) -> None:
    """Write a mask with a few anomalies beside the scene."""
    width = min(WIDTH, pixels)
    mask = np.zeros((max(1, pixels // width), width), np.uint8)
    mask[:1, :20] = 1
    np.save(header.with_suffix(".npy"), mask)


def measure(header: Path, phases: list[str]) -> dict[str, object]:
    """What one process of its own takes."""
    arguments = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        MEASURED,
        json.dumps(document(header, phases)),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def growth(folder: Path, sizes: list[int]) -> dict[str, object]:
    """Whole processes of ``specloom run`` on scenes of so many pixels."""
    found: dict[str, object] = {}
    for pixels in sizes:
        header = write_scene(folder, f"g{pixels}", pixels, GROWTH_BANDS, "bip")
        write_mask(header, pixels)
        file = folder / "run.yaml"
        file.write_text(json.dumps(document(header, ["StatisticalTrainer", "Evaluate"])))
        out = folder / f"out{pixels}"
        started = perf_counter()
        command = [sys.executable, "-m", "specloom", "run", str(file), "--out", str(out), "-q"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found[str(pixels)] = {"process seconds": round(perf_counter() - started, 2)}
        found[str(pixels)] |= measure(header, ["StatisticalTrainer", "Evaluate"])
        header.with_suffix(".img").unlink()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--interleave", nargs="+", default=["bsq", "bil", "bip"])
    parser.add_argument("--folder", type=Path, help="where scenes are written, by default /tmp")
    parser.add_argument("--growth", nargs="+", type=int, default=[])
    arguments = parser.parse_args()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        if arguments.growth:
            print(json.dumps(growth(folder, arguments.growth), indent=2))
            return
        pixels = arguments.megabytes * 1_000_000 // (4 * BANDS)
        for interleave in arguments.interleave:
            header = write_scene(folder, "scene", pixels, BANDS, interleave)
            write_mask(header, pixels)
            found[f"{interleave}, fit"] = measure(header, ["StatisticalTrainer"])
            both = measure(header, ["StatisticalTrainer", "Evaluate"])
            found[f"{interleave}, fit and evaluation"] = both
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
