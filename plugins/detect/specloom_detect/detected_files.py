"""The anomalies of cubes in files: one run that fits and calibrates, then maps of each cube."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import specloom
from specloom import ConfigError, DataError, SpecloomError, raise_all, write_file
from specloom_cubes import assumes_bands_last, check_valid_of_cubes, find_masks
from specloom_detect.answer import (
    CubeResult,
    answer,
    read_result,
    threshold_lines,
    unassessed_lines,
)
from specloom_detect.run_files import DEFAULT_METHOD, DEFAULT_RATE, run_file
from specloom_predict import check_out, find_inputs, predict_all

if TYPE_CHECKING:
    from specloom import Run
    from specloom_predict import Input, Summary

SHOWN = {"roc_auc": "AUC", "precision": "precision", "recall": "recall", "iou": "IoU"}
"""The metrics that are printed."""

NEEDED = ("npy",)
"""The formats that the answer is read from."""


@dataclass
class DetectedFiles:
    """What was found in some cubes, and where the files are.

    Args:
        folder: The folder of the results.
        fitted_on: What the detector was fitted on, in words.
        results: What was found in each cube.
        calibration: The threshold, and what it was found from.
        failed: The cubes for which maps could not be made, each with its error.
        metrics: The metrics of the evaluation; empty without masks.
        assumed: What the readers assumed, a sentence each.
    """

    folder: Path
    fitted_on: str
    results: list[CubeResult]
    calibration: dict[str, Any]
    failed: list[tuple[str, SpecloomError]] = field(default_factory=list)
    metrics: Mapping[str, float] = field(default_factory=dict)
    assumed: Sequence[str] = ()

    @property
    def page(self) -> Path:
        """The file to look at: the report, or else the summary."""
        report = self.folder / "report.html"
        return report if report.is_file() else self.folder / "summary.csv"

    @property
    def exit_code(self) -> int:
        """0, or that of the worst error."""
        return max((error.exit_code for _, error in self.failed), default=0)

    def lines(self) -> list[str]:
        """What was fitted and assumed, the answer, thresholds and the evaluation, a line each."""
        lines = [self.fitted_on, *(f"assumed: {text}" for text in self.assumed)]
        lines += [answer(self.results), *unassessed_lines(self.results)]
        lines += threshold_lines(self.calibration, self.results)
        if self.metrics:
            lines.append(_evaluation(self.metrics))
        return lines


def detect_files(
    cubes: Sequence[str],
    out: Path,
    masks: Sequence[str] = (),
    method: str = DEFAULT_METHOD,
    false_alarm_rate: float = DEFAULT_RATE,
    variable: str | None = None,
    formats: Sequence[str] = ("npy", "png", "csv"),
    device: str = "auto",
    overwrite: bool = False,
    save_run: Path | None = None,
    verbose: bool = False,
    normal: Sequence[int] = (0,),
    valid: str | None = None,
) -> DetectedFiles:
    """Fit a detector on cubes, set its threshold without masks, and write what it finds.

    Args:
        cubes: Files, folders and patterns.
        out: Where results go.
        masks: A mask for each cube, or the folder of all; none for no evaluation.
        method: ``rx``, ``robust`` or ``coreset``.
        false_alarm_rate: The share of normal pixels that may be decided.
        variable: The array that is the cube, where a file holds several.
        formats: The formats of maps; ``npy`` is always among them.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: Whether results in ``out`` may be replaced.
        save_run: Where the run file is written.
        verbose: Whether observers show everything that they know.
        normal: The classes in the masks that are normal.
        valid: The file, not 0 for the pixels that count; of several cubes a pattern such as
            ``*_roi.png``, with ``*`` for the name of a cube, in whose folder it begins.

    Raises:
        SpecloomError: Nothing can be detected at all.
    """
    check_out(cubes, out)
    inputs, errors = find_inputs(cubes, out, valid)
    raise_all([error for _, error in errors])
    if not inputs:
        what = f"{', '.join(cubes)} holds no cube but the results in {out}"
        raise DataError(what, fix="name other cubes, or another --out")
    check_valid_of_cubes(valid, len(inputs))
    addresses = [_as_written(one.address) for one in inputs]
    found_masks = _masks_of(addresses, masks)
    name = "detect" if len(inputs) > 1 else f"detect-{inputs[0].name}"
    values = run_file(
        addresses, found_masks, method, false_alarm_rate, variable, name, normal, valid
    )
    if save_run is not None:
        write_file(save_run, run_file_text(values).encode())
    run = specloom.load(values, device=device, observed=True)
    run.quiet = not verbose
    run.verbose = verbose
    _require_room(out, overwrite)
    run.run_into(out, overwrite=True)
    summary = predict_all(
        out,
        addresses,
        out,
        list(dict.fromkeys([*formats, *NEEDED])),
        device=device,
        variable=variable,
        valid=valid,
        observed=True,
        quiet=not verbose,
    )
    if summary.unexpected is not None:
        raise summary.unexpected
    return DetectedFiles(
        out,
        _fitted_on(run, method, inputs),
        _results(summary),
        run.record["calibrations"][-1],
        summary.failed,
        _pixel_metrics(run),
        _assumed(run),
    )


def _as_written(address: str) -> str:
    """A path within the current folder relative to it, as a user would write it."""
    place = Path(address)
    if place.is_absolute() and place.is_relative_to(Path.cwd()):
        return str(place.relative_to(Path.cwd()))
    return address


def _masks_of(cubes: Sequence[str], masks: Sequence[str]) -> list[str]:
    """A mask for each cube; none where no mask is named.

    Raises:
        DataError: A cube has none in the folder.
        ConfigError: There is another number of masks than of cubes.
    """
    if not masks:
        return []
    if len(masks) == 1 and Path(masks[0]).is_dir():
        return _masks_in(cubes, Path(masks[0]))
    if len(masks) != len(cubes):
        what = f"there are {len(cubes)} cubes and {len(masks)} masks"
        fix = "name one mask for each cube, in the order of the cubes, or the folder of all masks"
        raise ConfigError(what, where="--mask", fix=fix)
    return list(masks)


def _masks_in(cubes: Sequence[str], folder: Path) -> list[str]:
    found = []
    findings = find_masks([Path(cube) for cube in cubes], folder)
    for cube in cubes:
        finding = findings.get(Path(cube))
        if finding is None or finding.path is None:
            what = f"{folder} holds no mask of {cube}"
            fix = "call the mask as the cube, with _gt, _mask or _label after it or without"
            raise DataError(what, where="--mask", fix=fix)
        found.append(str(finding.path))
    return found


def _require_room(out: Path, overwrite: bool) -> None:
    """Raise ConfigError where a folder holds something that may be lost."""
    names = sorted(one.name for one in out.glob("[!.]*"))
    if names and not overwrite:
        listed = ", ".join(names[:3])
        if len(names) > 3:
            listed += ", …"
        what = f"{out} is not empty: it holds {listed}"
        raise ConfigError(what, fix="use another --out, or replace it with --overwrite")


def _results(summary: Summary) -> list[CubeResult]:
    """What was found in each cube, in the order of the summary."""
    found = []
    for verdict in summary.verdicts:
        if not verdict.folder:
            continue
        name = Path(verdict.cube).name
        found.append(read_result(name, verdict.measures.objects or 0, Path(verdict.folder)))
    return found


def _fitted_on(run: Run, method: str, inputs: Sequence[Input]) -> str:
    """What the detector was fitted on, in one line."""
    detector = run.graph.nodes["detector"]
    bands = run.graph.sizes("data")["C"]
    what = Path(inputs[0].address).name
    if len(inputs) > 1:
        what = f"{len(inputs)} cubes"
    return f"{method} on {what}: {bands} bands, fitted on {detector.pixels:,} pixels"


def _assumed(run: Run) -> list[str]:
    """What the readers of the cubes assumed.

    Without the order of the axes, which most files do not state: where another one is as likely,
    that is a warning.
    """
    texts = run.record["splits"]["train"]["assumptions"]
    return [text for text in texts if not assumes_bands_last([text])]


def _pixel_metrics(run: Run) -> dict[str, float]:
    """The metrics of the pixels, by name."""
    found = {}
    for name, value in run.metrics.get("test", {}).items():
        node, _, metric = name.partition("/")
        if node == "metrics":
            found[metric] = value
    return found


def _evaluation(metrics: Mapping[str, float]) -> str:
    """The metrics that matter, in one line."""
    parts = [f"{text} {metrics[name]:.3f}" for name, text in SHOWN.items() if name in metrics]
    return f"by the mask: {', '.join(parts)}"


def run_file_text(values: Mapping[str, Any]) -> str:
    """A run file as text; each value is JSON, which YAML contains."""
    lines = ["# The run of specloom detect: fitted on its cubes, decided without masks."]
    for key, value in values.items():
        if key == "metadata" or not isinstance(value, dict | list):
            lines.append(f"{key}: {_json(value)}")
        elif isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {name}: {_json(one)}" for name, one in value.items()]
        else:
            lines.append(f"{key}:")
            lines += [f"  - {_json(one)}" for one in value]
    return "\n".join([*lines, ""])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
