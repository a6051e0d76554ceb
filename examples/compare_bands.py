"""Every way to choose or mix bands, each with RX behind it, on one data set: one table.

    python examples/compare_bands.py [--set data.config.seed=1] [FILE ...]

Runs the run files of configs/bands, or those given. ``--set`` changes each of them, so that
``--set data.type=cubes.Folder --set data.config='{path: scenes}'`` compares them on other data.
The selectors' pictures are scaled by the limits of each image, as they are for the eye; RX sees
less in them than in the bands themselves (plugins/mrmr/README.md compares those).
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import specloom

FILES = sorted((Path(__file__).parents[1] / "configs/bands").glob("*.yaml"))
METRICS = {
    "IoU": "metrics/iou",
    "F1": "metrics/f1",
    "ROC-AUC": "metrics/roc_auc",
    "AP": "metrics/average_precision",
}


def compare(files: Iterable[Path], overrides: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """One row a file: its name, the test metrics, the bands chosen, and how long it took."""
    for file in files:
        print(file.stem, file=sys.stderr)
        started = time.perf_counter()
        run = specloom.load(file, overrides)
        run.run()
        seconds = time.perf_counter() - started
        scores = {name: run.metrics["test"][key] for name, key in METRICS.items()}
        yield {"file": file.stem, **scores, "bands (nm)": bands_of(run), "s": seconds}


def bands_of(run: specloom.Run) -> str:
    """The wavelengths that the node ``bands`` chose, where it chooses."""
    node, batch = run.graph.nodes["bands"], next(run.batches("test"))
    if "band_info" in node.outputs:
        with run.inference():
            record = run.plan("test", ["bands.band_info"])(batch)["bands.band_info"]
        if isinstance(record, list):
            return "for each image"
        return ", ".join(f"{nm:.0f}" for nm in record["band_wavelengths_nm"])
    if hasattr(node, "get_selected_bands"):
        chosen = node.get_selected_bands().tolist()
        return ", ".join(f"{batch['wavelengths'].flatten()[band]:.0f}" for band in chosen)
    return "mixes all"


def table(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The rows in columns, best average precision first."""
    ordered = sorted(rows, key=lambda row: -row["AP"])
    texts = [[*ordered[0]], *([_text(*item) for item in row.items()] for row in ordered)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def _text(name: str, value: Any) -> str:
    if name in METRICS:
        return f"{value:.3f}"
    return f"{value:.1f}" if name == "s" else str(value)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, default=FILES, metavar="FILE")
    parser.add_argument("--set", action="append", default=[], help="as for specloom run")
    options = parser.parse_args(arguments)
    print("\n".join(table(compare(options.files, options.set))))


if __name__ == "__main__":
    main()
