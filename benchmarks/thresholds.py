"""Thresholds for false-alarm rates on real scenes: rate, interval, exceedances, rate of new blocks.

    python benchmarks/thresholds.py [--data FOLDER]

Each scene is cut into blocks with gaps between them: RX is fitted on half of the blocks, the
threshold comes from a quarter of them, and the last quarter shows the rate that it has there.
Pixels of the mask's anomalies are excluded from all three. Prints a table in Markdown.
"""

import argparse
import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import specloom
from specloom import Run
from specloom_training.calibration.normal_images import NormalImages

SCENES = {
    "HYDICE urban": "hydice/HYDICE_urban.mat",
    "San Diego": "sandiego/sandiego_plane.mat",
    "ABU urban 1": "abu/abu-urban-1.mat",
}
CASES = (
    ("pixel", 1e-2, "empirical"),
    ("pixel", 1e-2, "peaks_over_threshold"),
    ("pixel", 1e-2, "chi_square"),
    ("pixel", 1e-3, "empirical"),
    ("pixel", 1e-3, "peaks_over_threshold"),
    ("object", 0.2, "empirical"),
    ("image", 0.2, "empirical"),
)
RUN_FILE = """
specloom: 1
data: {{type: cubes.Blocks, config: {{cube: {cube}, block: 8, gap: 1, seed: 1}}}}
nodes:
  data: {{type: cubes.AnomalyDataNode, config: {{normal_class_ids: [0]}}}}
  rx: {{type: rx.RXGlobal}}
  decider: {{type: deciders.BinaryDecider}}
  metrics: {{type: metrics.AnomalyDetectionMetrics}}
connections:
  - [data.cube, rx.data]
  - [data.valid, rx.valid]
  - [data.mask, rx.mask]
  - [rx.scores, decider.logits]
  - [data.valid, decider.valid]
  - [decider.decisions, metrics.decisions]
  - [data.mask, metrics.targets]
  - [data.labelled, metrics.valid]
phases:
  - {{type: training.StatisticalTrainer}}
  - type: training.Calibrate
    config: {{decider: decider, false_alarm_rate: {rate}, per: {per}, method: {method}, tail: 0.05}}
"""


def calibrated(cube: Path, method: str, per: str, rate: float) -> Run:
    """A run of a scene that is fitted and calibrated."""
    text = RUN_FILE.format(cube=cube, method=method, per=per, rate=rate)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(text, "utf-8")
        run = specloom.load(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.run()
    return run


def realised(run: Run, per: str) -> float:
    """The false-alarm rate on the test blocks."""
    images = NormalImages(run, "decider", "test", "logit_threshold", per, 8)
    count = images.false_alarms().false_alarms
    return count / images.scores().sample().total


def row(name: str, cube: Path, method: str, per: str, rate: float) -> str:
    """One row of the table."""
    run = calibrated(cube, method, per, rate)
    found = run.record["calibrations"][0]
    low, high = found["interval"]
    note = ""
    if found["extrapolated"]:
        note = ", extrapolated"
    return (
        f"| {name} | {per} | {rate:g} | {method} | {found['threshold']:.4g} | "
        f"{low:.2g} to {high:.2g} | {found['exceedances']} of {found['expected_exceedances']:.3g}"
        f"{note} | {realised(run, per):.2g} |"
    )


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[1] / "../shared/data/hsi"
    parser.add_argument("--data", type=Path, default=os.environ.get("SPECLOOM_TEST_DATA", default))
    folder = Path(parser.parse_args().data)
    columns = ("scene", "per", "rate", "method", "threshold", "95 % interval", "exceedances", "new")
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for name, file in SCENES.items():
        for per, rate, method in CASES:
            print(row(name, folder / file, method, per, rate), flush=True)


if __name__ == "__main__":
    main()
