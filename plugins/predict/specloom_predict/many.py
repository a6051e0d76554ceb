"""Many cubes through a saved pipeline into one folder: resumable, and one bad file stops no other.

Each input has a folder of its own; ``predict.json`` in it is written last. ``summary.csv`` has the
verdict on each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import (
    ConfigError,
    DataError,
    Executor,
    Job,
    Problems,
    Run,
    SpecloomError,
    machine_error,
    working_on,
)
from specloom_predict import record
from specloom_predict.cube_job import cube_job, error_of, results_by_job
from specloom_predict.domain import NOT_COMPARED
from specloom_predict.files import check_formats
from specloom_predict.fitted_pipeline import pipeline_file
from specloom_predict.inputs import Input, check_out, find_inputs, folders, references_among
from specloom_predict.measures import measures_from
from specloom_predict.predictor import Predictor, predict
from specloom_predict.score_pictures import ScoreFolder, draw_pending, picture_name
from specloom_predict.scratch import write_errors
from specloom_predict.verdicts import (
    FAILED_CHECK,
    SUMMARY,
    UNJUDGED,
    SummaryFile,
    Verdict,
    check_fail_on,
    failed_verdict,
    give_verdict,
)

if TYPE_CHECKING:
    from specloom_predict.fitted_pipeline import Scale
    from specloom_predict.measures import Measures
    from specloom_predict.rules import Rule

MOST_LISTED = 3
"""The references that a note lists."""


def _listed(references: Sequence[Input]) -> str:
    """Cubes that are references, with the names of the first."""
    names = [Path(one.address).name for one in references[:MOST_LISTED]]
    if len(references) > MOST_LISTED:
        names.append("…")
    noun = "reference" if len(references) == 1 else "references"
    return f"{len(references)} white or dark {noun} of captures ({', '.join(names)})"


def failure_text(name: str, error: SpecloomError) -> str:
    """The error of one cube as commands print it, with the cube where the error does not name it.

    Args:
        name: The cube.
        error: The error, of which each line that is no fix is one of its own.
    """
    text = str(error)
    if Path(name).name not in text:
        text = f"{name}: {text}"
    lines = []
    for line in text.splitlines():
        if not line.startswith("  "):
            line = f"error: {line}"
        lines.append(line)
    return "\n".join(lines)


@dataclass
class Summary:
    """What became of the inputs.

    Args:
        done: For each input that was predicted: input, folder, files, notes and geometry.
        skipped: For each that was complete already: input and folder.
        failed: For each that failed: input and error.
        planned: For each that would be predicted, in a dry run: input and folder.
        verdicts: The verdict on each, in the order of ``summary.csv``.
        rules: The rules that reject.
        fail_on: The verdicts that make the call fail.
        strict: Whether a cube that is unlike those of the fit makes the exit code 1.
        notes: What concerns all of the cubes.
        unexpected: The first error that is a bug, to be raised when the others are reported.
    """

    done: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[str, SpecloomError]] = field(default_factory=list)
    planned: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    rules: Sequence[Rule] = ()
    fail_on: Sequence[str] = ()
    unexpected: Exception | None = None
    strict: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or that of the worst error.

        It is 1 at least where a verdict is one of ``fail_on``, and with ``strict`` where a cube is
        unlike the fit's.
        """
        codes = [error.exit_code for _, error in self.failed]
        if any(one.word in self.fail_on for one in self.verdicts):
            codes.append(FAILED_CHECK)
        if self.strict and self.unlike():
            codes.append(FAILED_CHECK)
        return max(codes, default=0)

    def unlike(self) -> list[dict[str, Any]]:
        """The cubes, of this call and complete before it, that are unlike those of the fit."""
        found = []
        for one in [*self.done, *self.skipped]:
            domain = one.get("domain")
            if domain and domain["reasons"]:
                found.append(one)
        return found

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        failed = [
            {"input": name, "error": str(error), "exit_code": error.exit_code}
            for name, error in self.failed
        ]
        verdicts = [one.as_json() for one in self.verdicts]
        found = {"done": self.done, "skipped": self.skipped, "failed": failed}
        if self.planned:
            found["planned"] = self.planned
        return {**found, "verdicts": verdicts}


def predict_all(
    pipeline: str | Path,
    inputs: Sequence[str | Path],
    out: str | Path,
    formats: Sequence[str] = ("npy",),
    *,
    outputs: Sequence[str] = (),
    device: str = "auto",
    variable: str | None = None,
    wavelengths: str | Path | None = None,
    memory: int | None = None,
    tile_bytes: int | None = None,
    observed: bool = False,
    scale: Scale | None = None,
    reject_when: Sequence[str] = (),
    fail_on: Sequence[str] = (),
    dry_run: bool = False,
    resume: bool = False,
    strict: bool = False,
    quiet: bool = False,
    on: str | Executor | None = None,
    workers: int | None = None,
    insecure: bool = False,
) -> Summary:
    """Apply a saved pipeline to many cubes and write what it makes of each into a folder.

    What is complete for this pipeline and input is skipped: ``predict.json`` in its folder names
    the hash of the pipeline, and the size and time of the input's files. ``summary.csv`` gets the
    verdict on each input as soon as there is one, in the order of the inputs.

    Args:
        pipeline: The ``pipeline.yaml`` that a run wrote, or that run's folder.
        inputs: Files, folders, patterns such as ``flights/*/*.hdr``, and addresses that a plugin
            opens.
        out: Where results go, a folder for each input.
        formats: As for ``predict``, as is every other option.
        observed: Whether observers of plugins watch, such as the console's progress.
        reject_when: Rules such as ``objects > 0``: a cube for which one holds is rejected. Without
            any, ``objects > 0`` where the pipeline makes decisions.
        fail_on: ``reject`` and ``unjudged``: verdicts with which the exit code is 1 at least.
        dry_run: Whether only to find out what would be done; then nothing is written.
        resume: Whether ``out`` must hold results of an earlier call, which this one continues.
        strict: Whether a cube that is unlike what the pipeline was fitted on makes the exit code 1.
        quiet: Whether observers show only warnings.
        on: Who predicts the cubes: an executor, or what ``--on`` names; None for this process.
        workers: How many workers are started.
        insecure: Whether a scheduler on another machine may be used without encryption.

    Raises:
        SpecloomError: Nothing can be predicted at all: the pipeline or an option is wrong.
    """
    check_formats(formats)
    check_fail_on(fail_on)
    predictor = Predictor(pipeline, outputs, device, observed, scale, reject_when)
    predictor.run.quiet = quiet
    out = Path(out)
    check_out(inputs, out)
    if resume:
        _check_resumable(out)
    cubes, errors = find_inputs(inputs, out, predictor.valid_files)
    table = None if wavelengths is None else file_digest(Path(wavelengths))
    result_options = {"outputs": sorted(outputs), "variable": variable, "wavelengths": table}
    if scale is not None:
        result_options["scale"] = scale
    one_cube = _OneCube(
        predictor,
        formats,
        pipeline_digest=file_digest(pipeline_file(Path(pipeline))),
        result_options=result_options,
        variable=variable,
        options={"wavelengths": wavelengths, "memory": memory, "tile_bytes": tile_bytes},
    )
    summary = Summary(failed=errors, rules=predictor.rules, fail_on=fail_on, strict=strict)
    if not predictor.run.graph.fitted_on:
        summary.notes.append(NOT_COMPARED)
    references = references_among(cubes, predictor.reading)
    if references and predictor.reading.calibration is not None:
        cubes = [one for one in cubes if one not in references]
        summary.notes.append(f"{_listed(references)}: excluded; name such a file to predict it")
    elif references:
        what = "predicted like the others, as the pipeline calibrates no cube"
        summary.notes.append(f"{_listed(references)}: {what}")
    placed = list(folders(cubes, out))
    if dry_run:
        _plan_each(one_cube, placed, summary)
        return summary
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    verdicts = _Verdicts(summary, SummaryFile(out))
    for address, error in errors:
        verdicts.add(failed_verdict(address, error))
    with predictor.watched():
        with working_on(predictor.run, on, workers, insecure=insecure, folder=out) as executor:
            if executor is None:
                _predict_each(one_cube, placed, verdicts)
            else:
                job = cube_job(one_cube, outputs, scale)
                _predict_by_job(predictor.run, executor, job, placed, verdicts)
        _draw_scores(summary, out)
    return summary


def _check_resumable(out: Path) -> None:
    """Refuse to resume where nothing was begun.

    Raises:
        ConfigError: The folder holds no summary.
    """
    if not (out / SUMMARY).is_file():
        raise ConfigError(
            f"{out} holds no {SUMMARY}: there is no call to resume",
            where="--resume",
            fix="check --out, or leave --resume out",
        )


@dataclass(frozen=True)
class _Made:
    """What was made of an input.

    Args:
        entry: As in ``Summary.done``; None where it was complete.
        measures: The numbers that rules are about.
    """

    entry: dict[str, Any] | None
    measures: Measures


@dataclass
class _OneCube:
    """Predicts one input after another with the same pipeline and options.

    Args:
        predictor: What makes the outputs.
        formats: The formats of files.
        pipeline_digest: The hash of the pipeline.
        result_options: The options that change results.
        variable: The array that is the cube, where a file holds several.
        options: The other options of ``predict``.
    """

    predictor: Predictor
    formats: Sequence[str]
    pipeline_digest: str
    result_options: dict[str, Any]
    variable: str | None
    options: dict[str, Any]

    def complete(self, one: Input, folder: Path) -> Measures | None:
        """The measures of an input whose results are complete; None where they are not.

        Those of version 0.2, whose records have no measures, are not.
        """
        stamped = self._stamp(one)
        known = record.read(folder)
        if not record.complete(known, stamped, self.formats, folder):
            return None
        return measures_from(known)

    def _stamp(self, one: Input) -> dict[str, Any]:
        """What the results of an input depend on."""
        files = one.files(self.predictor.valid_files)
        return record.stamp(files, self.pipeline_digest, self.result_options)

    def check(self, one: Input) -> None:
        """Open an input, and check that its bands are those of the pipeline.

        Raises:
            DataError: It cannot be predicted.
        """
        self.predictor.check_cube(self.predictor.open(one.address, self.variable))

    def predict(self, one: Input, folder: Path) -> _Made:
        """What was made of an input, now or before."""
        known = self.complete(one, folder)
        if known is not None:
            return _Made(None, known)
        stamped = self._stamp(one)
        cube = self.predictor.open(one.address, self.variable)
        before = record.claim(folder, one.key, stamped)
        try:
            made = predict(
                self.predictor, cube, folder, self.formats, draw_scores=False, **self.options
            )
            measures = made.measures
        except Exception:
            record.release(folder)
            raise
        geometry = {"transform": made.geometry.transform, "crs": made.geometry.crs}
        more: dict[str, Any] = {"notes": list(made.notes), "geometry": geometry}
        more |= {"pixels": made.pixels, "unjudged": made.unjudged, "domain": None}
        if made.domain is not None:
            more["domain"] = made.domain.as_json()
        entries = {**more, "measures": measures.as_json(), **self.predictor.origin()}
        with write_errors(folder):
            record.finish(
                folder, one.key, stamped, self.formats, made.files.values(), before, entries
            )
        files = sorted(picture_name(name) for name in made.files)
        return _Made({"files": files, **more}, measures)


@dataclass(frozen=True)
class _Verdicts:
    """Takes in the verdict on one input after another.

    Args:
        summary: What becomes of the inputs.
        file: ``summary.csv``.
    """

    summary: Summary
    file: SummaryFile

    def add(self, verdict: Verdict) -> None:
        """Add a verdict to the summary and to its file."""
        self.summary.verdicts.append(verdict)
        self.file.add(verdict)


def _plan_each(one_cube: _OneCube, inputs: Sequence[tuple[Input, Path]], summary: Summary) -> None:
    """Find out for each input whether it would be predicted, and write nothing."""
    for one, folder in inputs:
        entry = {"input": one.address, "folder": str(folder)}
        try:
            if one_cube.complete(one, folder) is not None:
                summary.skipped.append(entry)
                continue
            one_cube.check(one)
        except Exception as error:
            _add_failure(summary, one, error)
            continue
        summary.planned.append(entry)


def _predict_each(
    one_cube: _OneCube, inputs: Sequence[tuple[Input, Path]], verdicts: _Verdicts
) -> None:
    """Predict each input into its folder; an error of one ends no other."""
    run = one_cube.predictor.run
    summary = verdicts.summary
    for at, (one, folder) in enumerate(inputs):
        run.hook.progress(run=run, what="inputs", done=at, total=len(inputs))
        entry = {"input": one.address, "folder": str(folder)}
        try:
            made = one_cube.predict(one, folder)
        except Exception as error:
            _add_failure(summary, one, error)
            _, reported = summary.failed[-1]
            verdicts.add(failed_verdict(one.address, reported))
            continue
        if made.entry is None:
            domain = record.read(folder).get("domain")
            summary.skipped.append({**entry, "domain": domain})
        else:
            summary.done.append({**entry, **made.entry})
        verdicts.add(give_verdict(one.address, str(folder), made.measures, summary.rules))
    run.hook.progress(run=run, what="inputs", done=len(inputs), total=len(inputs))


def _predict_by_job(
    run: Run,
    executor: Executor,
    job: Job,
    inputs: Sequence[tuple[Input, Path]],
    verdicts: _Verdicts,
) -> None:
    """Let an executor predict each input; verdicts are added in the order of the inputs."""
    progress = partial(run.hook.progress, run=run, what="inputs", total=len(inputs))
    progress(done=0)
    early: dict[int, dict[str, Any]] = {}
    following = 0
    for done, found in enumerate(results_by_job(executor, job, inputs), start=1):
        early[found["number"]] = found
        while following in early:
            one, folder = inputs[following]
            _take_in(verdicts, one, folder, early.pop(following))
            following += 1
        progress(done=done)


def _take_in(verdicts: _Verdicts, one: Input, folder: Path, found: dict[str, Any]) -> None:
    """Add what a worker made of an input to the summary."""
    summary = verdicts.summary
    if "error" in found:
        error = with_address(error_of(found["error"]), one.address)
        if found["error"].get("unexpected") and summary.unexpected is None:
            summary.unexpected = error
        summary.failed.append((one.address, error))
        verdicts.add(failed_verdict(one.address, error))
        return
    entry = {"input": one.address, "folder": str(folder)}
    if found["entry"] is None:
        summary.skipped.append({**entry, "domain": found["domain"]})
    else:
        summary.done.append({**entry, **found["entry"]})
    measures = measures_from(found)
    assert measures is not None, "a worker gives the measures of what it predicts"
    verdicts.add(give_verdict(one.address, str(folder), measures, summary.rules))


def _draw_scores(summary: Summary, out: Path) -> None:
    """Draw the pictures of scores that are missing, with one scale for all cubes."""
    folders = [
        ScoreFolder(Path(one.folder), counts=one.word != UNJUDGED)
        for one in summary.verdicts
        if one.folder
    ]
    for folder, error in draw_pending(folders, out):
        summary.failed.append((str(folder), error))


def _add_failure(summary: Summary, one: Input, error: Exception) -> None:
    reported = error if isinstance(error, SpecloomError) else machine_error(error)
    if reported is not None:
        summary.failed.append((one.address, with_address(reported, one.address)))
        return
    if summary.unexpected is None:
        summary.unexpected = error
    what = f"specloom failed on it: {type(error).__name__}: {error}"
    summary.failed.append((one.address, SpecloomError(what, where=one.address)))


def with_address(error: SpecloomError, address: str) -> SpecloomError:
    """``error`` with the input that it is about, where it does not name it."""
    if isinstance(error, Problems):
        return Problems([with_address(one, address) for one in error.errors])
    if Path(address).name in str(error):
        return error
    where = f"{address}, {error.where}" if error.where else address
    return type(error)(error.what, where=where, fix=error.fix)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}",
            fix="check the path and its permissions",
        ) from error
