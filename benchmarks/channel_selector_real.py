"""The trained channel selector on real data, beside RX with the same shrinkage.

One class at a time is the anomaly: of the ten EnMAP tiles, split by tile, and of Salinas-A, split
into spatial blocks. Needs SPECLOOM_TEST_DATA. Prints a table as Markdown.
"""

import argparse
import os
import statistics
import warnings
from pathlib import Path
from typing import Any

import specloom
from specloom import SpecloomError
from specloom.runfile.yaml import read

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SHOWN = ("iou", "roc_auc", "average_precision")


def enmap(seed: int) -> dict[str, Any]:
    """The ten EnMAP tiles, dealt out as a whole."""
    folder = DATA / "enmap_potsdam"
    config = {"path": f"{folder}/images", "masks": f"{folder}/labels", "pattern": "*.tif"}
    return {"type": "cubes.Folder", "config": {**config, "batch_size": 1, "seed": seed}}


def salinas(seed: int) -> dict[str, Any]:
    """Salinas-A in blocks of 10 x 10 pixels."""
    cube, mask = (
        DATA / "salinas_a" / name for name in ("SalinasA_corrected.mat", "SalinasA_gt.mat")
    )
    config = {"cube": str(cube), "mask": str(mask), "block": 10, "batch_size": 1, "seed": seed}
    return {"type": "cubes.Blocks", "config": config}


SETS = {"EnMAP": (enmap, [1, 2, 3, 4, 5, 6]), "Salinas-A": (salinas, [1, 10, 11, 12, 13, 14])}


def test_metrics(file: str, data: dict[str, Any], classes: list[int], target: int) -> list[float]:
    """Test metrics of one run of a file of ``configs/``."""
    document = read(ROOT / "configs" / f"{file}.yaml")
    normal = [one for one in classes if one != target]
    document.value["data"] = data
    ids = {"normal_class_ids": normal, "anomaly_class_ids": [target]}
    document.value["nodes"]["data"]["config"] = ids
    document.value["nodes"]["rx"]["config"] = {"shrinkage": 1e-4}
    run = specloom.load(document, device="cpu")
    run.run()
    return [run.metrics["test"][f"metrics/{name}"] for name in SHOWN]


def main() -> None:
    """Run both graphs on every class and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"| data, class | RX: {', '.join(SHOWN)} | trained | splits |")
    print("|---|---|---|---|")
    for name, (source, classes) in SETS.items():
        for target in classes:
            rows: dict[str, list[list[float]]] = {"rx_statistical": [], "channel_selector": []}
            for seed in options.seeds:
                try:
                    both = {one: test_metrics(one, source(seed), classes, target) for one in rows}
                except (SpecloomError, KeyError):
                    continue  # a split without the class
                for one, found in both.items():
                    rows[one].append(found)
            means = [
                ", ".join(f"{statistics.fmean(column):.3f}" for column in zip(*found, strict=True))
                for found in rows.values()
            ]
            count = len(rows["rx_statistical"])
            print(f"| {name}, {target} | {' | '.join(means)} | {count} |", flush=True)


if __name__ == "__main__":
    main()
