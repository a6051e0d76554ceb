"""AdaCLIP behind principal components, a learned mixer and a learned choice of bands: one table.

    python examples/compare_adaclip.py [--seeds 7 8 9] [--only pca drcnn] [--set KEY=VALUE]

Runs the run files of configs/adaclip, by default the documents' three; ``--only`` names others
there, such as ``mrmr``. ``--set`` changes each of them. A seed is that of the run, and of the
scenes too while they are synthetic; of several seeds the table has mean and standard deviation.
Precision, recall and F1 are those of the test scenes, with the decider of each file. The weights
in these files are ``tiny``: the figures are no measure of AdaCLIP without training.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import specloom
from specloom import Run, impl

FOLDER = Path(__file__).parents[1] / "configs/adaclip"
DOCUMENTS = ["pca", "drcnn", "concrete"]
ROWS = {
    "val IoU": ("val", "iou"),
    "test IoU": ("test", "iou"),
    "precision": ("test", "precision"),
    "recall": ("test", "recall"),
    "F1": ("test", "f1"),
}


class Clock:
    """An observer that adds up the phases which learn."""

    seconds = 0.0

    @impl
    def phase_started(self, run: Run, name: str) -> None:
        self.started = time.perf_counter()

    @impl
    def phase_ended(self, run: Run, name: str) -> None:
        if not name.endswith("Evaluate"):
            self.seconds += time.perf_counter() - self.started


def measured(file: Path, overrides: Sequence[str], seed: int) -> dict[str, float]:
    """The table's column of one file and one seed; a metric that is not defined is NaN."""
    run = specloom.load(file, overrides, seed=seed)
    if run.graph.document.value["data"]["type"] == "cubes.Synthetic":
        run = specloom.load(file, [*overrides, f"data.config.seed={seed}"], seed=seed)
    for split in run.source.splits():  # so that making or reading scenes does not count
        for _ in run.batches(split):
            pass
    clock = Clock()
    run.plugins.add("clock", clock)
    run.run()
    column = {
        row: run.metrics[split].get(f"metrics/{name}", float("nan"))
        for row, (split, name) in ROWS.items()
    }
    return {**column, "training (s)": clock.seconds, "images per s": speed(run)}


def speed(run: Run, repeats: int = 3) -> float:
    """Images per second from cubes to decisions, the best of some passes over the test scenes."""
    batches = list(run.batches("test"))
    plan = run.plan("predict", ["adaclip.scores", "decider.decisions"])
    taken = []
    with run.inference():
        for _ in range(repeats):
            started = time.perf_counter()
            for batch in batches:
                plan(batch)["decider.decisions"].cpu()  # a GPU is waited for
            taken.append(time.perf_counter() - started)
    return sum(len(batch["cube"]) for batch in batches) / min(taken)


def table(columns: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[str]:
    """Lines; ``columns`` holds, for each file, what was measured with each seed."""
    rows = list(next(iter(columns.values()))[0])
    texts = [["", *columns]]
    texts += [[row, *(_text(row, one) for one in columns.values())] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def _text(row: str, measurements: Sequence[Mapping[str, float]]) -> str:
    values = [one[row] for one in measurements]
    digits = 3 if row in ROWS else 1
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {statistics.stdev(values):.{digits}f}"


def main(arguments: Sequence[str] | None = None) -> None:
    known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[7], metavar="SEED")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=known,
        default=DOCUMENTS,
        metavar="NAME",
        help=f"of {', '.join(known)}",
    )
    parser.add_argument("--set", action="append", default=[], help="as for specloom run")
    options = parser.parse_args(arguments)
    columns: dict[str, list[dict[str, float]]] = {}
    for name in options.only:
        for seed in options.seeds:
            print(name, seed, file=sys.stderr)
            one = measured(FOLDER / f"{name}.yaml", options.set, seed)
            columns.setdefault(name, []).append(one)
    print("\n".join(table(columns)))


if __name__ == "__main__":
    main()
