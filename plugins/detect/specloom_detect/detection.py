"""The anomalies of one cube in Python: ``detect(cube)``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import (
    ConfigError,
    Plugins,
    Port,
    Run,
    SpecloomWarning,
    UnavailableError,
    raise_all,
)
from specloom.torch import TorchRuntime
from specloom_cubes import (
    Cube,
    InMemory,
    OneCube,
    Scene,
    array_cube,
    notes_on,
    open_cube,
    stated_wavelengths,
)
from specloom_detect.answer import answer, result_of, threshold_lines, unassessed_lines
from specloom_detect.run_files import DEFAULT_METHOD, DEFAULT_RATE, build_pipeline
from specloom_detect.threshold import CensoredTail
from specloom_training import StatisticalTrainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from specloom import Batch, Graph, Pipeline, Source, Trainer
    from specloom.torch import CubeLike
    from specloom_detect.run_files import Detector
    from specloom_objects import ObjectTable
    from specloom_predict import Prediction

FORMATS = ("npy", "png", "csv")
"""The files of a folder of results."""

PORTS = {
    "cube": Port("B H W C", dtype="real", doc="rows, columns and bands."),
    "valid": Port("B H W", dtype="bool", doc="rows and columns."),
    "wavelengths": Port("C", dtype="real", unit="nm", doc="one for each band."),
}


@dataclass(frozen=True, repr=False)
class Detection:
    """The anomalies of one cube.

    Args:
        prediction: The outputs of the pipeline.
        pipeline: The fitted pipeline, for other cubes: ``found.pipeline.predict(other)``.
        calibration: The threshold, and what it was found from.
        values: The cube (H, W, C), for pictures.
        wavelengths: Its band centres in nm, if they are known.
    """

    prediction: Prediction
    pipeline: Pipeline
    calibration: dict[str, Any]
    values: Any
    wavelengths: Any

    @property
    def scores(self) -> Any:
        """The scores, (H, W), of the kind of the cube."""
        return self.prediction.scores

    @property
    def decisions(self) -> Any:
        """Where an anomaly is, bool (H, W), of the kind of the cube."""
        return self.prediction.decisions

    @property
    def threshold(self) -> float:
        """The score from which a pixel is decided."""
        return float(self.calibration["threshold"])

    @property
    def expected_false_alarms(self) -> float:
        """How many normal pixels are expected to be decided."""
        return float(self.calibration["expected_false_alarms"])

    @property
    def table(self) -> ObjectTable:
        """The objects, with places, scores and mean spectra."""
        return self.prediction.objects

    @cached_property
    def objects(self) -> DataFrame:
        """The objects as a table of pandas, the one with the highest score first.

        Raises:
            UnavailableError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            what = "a table of objects needs pandas, which is not installed"
            fix = "run: pip install 'specloom-detect[pandas]', or use .table"
            raise UnavailableError(what, fix=fix) from error
        table = pd.DataFrame(self.table.columns).set_index("label")
        return table.sort_values("max_score", ascending=False, kind="stable")

    def plot(self) -> Figure:
        """The cube, its scores with outlines of the objects, and the histogram of the scores.

        Raises:
            UnavailableError: matplotlib is not installed.
        """
        from specloom_detect.plots import Shown, plot_detection

        shown = Shown(
            self.lines()[0],
            self.values,
            self.wavelengths,
            np.asarray(self.prediction.scores_map()),
            np.asarray(self.prediction.decisions_map()),
            self.threshold,
        )
        return plot_detection(shown)

    def lines(self) -> list[str]:
        """The answer, pixels that could not be assessed, and the thresholds, a line each."""
        scores = np.asarray(self.prediction.scores_map())
        decisions = np.asarray(self.prediction.decisions_map())
        objects = self.prediction.measures.objects or 0
        result = result_of("the cube", objects, scores, decisions)
        threshold = threshold_lines(self.calibration, [result])
        return [answer([result]), *unassessed_lines([result]), *threshold]

    def __repr__(self) -> str:
        return f"Detection({self.lines()[0]})"


def detect(
    cube: CubeLike | Cube | str | Path,
    *,
    wavelengths: Any = None,
    valid: Any = None,
    method: Detector = DEFAULT_METHOD,
    false_alarm_rate: float = DEFAULT_RATE,
    device: str = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Detection:
    """Find the anomalies of one cube, without a mask.

    The detector is fitted on the cube itself. The threshold is for a false-alarm rate, and follows
    from the scores without the largest 2 %.

    Args:
        cube: (H, W, C) of NumPy, torch or xarray, an open cube, or a file.
        wavelengths: Band centres in nm, one number for each band in a list, a tuple, an array or a
            tensor; by default those of the cube.
        valid: Which pixels count, bool (H, W); by default those of which the cube says so.
        method: ``rx``, ``robust`` or ``coreset``; a function of one's own from a cube (H, W, C) of
            NumPy to scores (H, W), higher for what is more anomalous; or a node with an output
            ``scores``.
        false_alarm_rate: The share of normal pixels that may be decided.
        device: ``auto``, ``cpu`` or ``cuda``.
        out: A folder for the report, maps of scores and decisions, tables of objects and the
            fitted pipeline; None for no files.
        overwrite: Whether results that ``out`` holds may be replaced.

    Raises:
        ConfigError: There is no such method, the rate is none below the tail, or there are several
            cubes.
        PortError: An array does not fit.
        DataError: There are too few pixels, or the file cannot be read.
    """
    values: Any = cube
    source: Source | None = None
    if isinstance(cube, str | Path):
        if valid is None and wavelengths is None:
            source = Scene(str(cube), find_mask=False)  # so that the run can be repeated
        cube = open_cube(cube)
    if isinstance(cube, Cube):
        values = cube.clean()
        wavelengths = _wavelengths(cube, wavelengths)
        if valid is None:
            valid = _valid_pixels(cube)
    plugins = Plugins()
    pipeline = build_pipeline(method, plugins)
    others = {"valid": valid, "wavelengths": wavelengths}
    taken = TorchRuntime("cpu").take_batch(PORTS, values, others, "detect")
    count = len(taken.values["cube"])
    if count > 1:
        what = f"there are {count} cubes, detect takes one"
        raise ConfigError(what, fix="pass each on its own, or their files to specloom detect")
    if source is None:
        source = InMemory(train=[taken.values])
        if taken.first.spectral is None:  # a DataArray names its axes
            _warn_of_array(taken.values, wavelengths)
    tail = CensoredTail("decider", false_alarm_rate)
    phases: list[tuple[str, Trainer[Graph, Run]]] = [
        ("training.StatisticalTrainer", StatisticalTrainer()),
        ("detect.CensoredTail", tail),
    ]
    observed = out is not None
    graph = pipeline.graph(source)
    run = Run(graph, source, phases, plugins=plugins, device=device, observed=observed)
    raise_all(list(tail.check(graph, graph.where)))
    options = {"device": device, "valid": valid, "wavelengths": wavelengths}
    if out is None:
        run.run()
    else:
        run.quiet = True
        with warnings.catch_warnings():
            # That a run of arrays cannot be repeated needs no warning.
            warnings.filterwarnings("ignore", "the run cannot be reproduced from its folder")
            run.run_into(out, overwrite=overwrite)
        options |= {"folder": Path(out), "formats": FORMATS}
    prediction = pipeline.predict(values, **options)
    found_wavelengths = taken.values.get("wavelengths")
    return Detection(
        prediction,  # type: ignore[arg-type]  # of the plugin predict it is a Prediction
        pipeline,
        run.record["calibrations"][-1],
        taken.values["cube"][0].numpy(),
        None if found_wavelengths is None else found_wavelengths.numpy(),
    )


def _warn_of_array(batch: Batch, wavelengths: Any) -> None:
    """Warn of what a user should know of an array, as of a cube in a file."""
    centres = None
    if wavelengths is not None:
        centres = batch["wavelengths"].numpy()
    for note in notes_on(array_cube(batch["cube"][0].numpy(), centres)):
        warnings.warn(note, SpecloomWarning, stacklevel=3)


def _wavelengths(cube: Cube, stated: Any) -> Any:
    """The band centres of the good bands of a cube: those that are stated, or else its own."""
    if stated is None:
        return cube.good_wavelengths
    return stated_wavelengths(stated, cube)


def _valid_pixels(cube: Cube) -> Any:
    """Which pixels of a cube count, bool (H, W); None where nothing says it."""
    height, width, _ = cube.shape
    batch = OneCube(cube).window(slice(0, height), slice(0, width))
    valid = batch.get("valid")
    if valid is None:
        return None
    return valid[0]
