"""Many cubes through a saved pipeline into one folder: resumable, and one bad file stops no other.

Each input has a folder of its own; ``predict.json`` in it is written last. ``summary.csv`` has the
verdict on each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import (
    ConfigError,
    DataError,
    Executor,
    SpecloomError,
    uninterrupted,
    working_on,
)
from specloom_predict import record
from specloom_predict.cube_job import CubeWork, RepeatedFailures, cube_job
from specloom_predict.cube_task import CubeOutcome, CubeTask, Order, error_from, ticket_of
from specloom_predict.domain import NOT_COMPARED
from specloom_predict.files import check_formats
from specloom_predict.fitted_pipeline import pipeline_file
from specloom_predict.in_work import remove_abandoned_work
from specloom_predict.inputs import (
    Input,
    Placed,
    PlacedInputs,
    check_out,
    find_inputs,
    folders,
    references_among,
)
from specloom_predict.ledger import Ledger, LedgerFile, Line, has_ledger, line_of
from specloom_predict.measures import measures_from
from specloom_predict.predictor import Predictor
from specloom_predict.score_pictures import ScoreFolder, draw_pending, has_pending
from specloom_predict.scratch import WriteError, remove_leftovers, write_errors
from specloom_predict.spool import Spool
from specloom_predict.tile_files import remove_abandoned_tiles
from specloom_predict.verdicts import (
    FAILED_CHECK,
    SUMMARY,
    UNJUDGED,
    SummaryFile,
    Verdict,
    check_fail_on,
    failed_verdict,
    give_verdict,
    verdict_spool,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from specloom import Run
    from specloom_predict.fitted_pipeline import Scale
    from specloom_predict.rules import Rule

SPLIT_ABOVE = 4_000_000_000
"""Bytes of a cube above which workers make it tile by tile, unless a call says otherwise."""

ON_CPU = "the GPU is not used: with --on and --split-above cubes are predicted on the CPU"

HERE = "jobs.Here"
"""The executor in this process."""

NO_INPUT = -1
"""The rank of what concerns no input: before all of them."""
LAST = 2**62
"""The rank of what ended a call: behind all inputs."""

MOST_LISTED = 3
"""The cubes that a note lists."""


def _listed(references: Sequence[Input]) -> str:
    """Cubes that are references, with the names of the first."""
    noun = "reference" if len(references) == 1 else "references"
    names = _names([one.address for one in references])
    return f"{len(references)} white or dark {noun} of captures ({names})"


def _names(addresses: Sequence[str]) -> str:
    """The names of the first of some cubes."""
    names = [Path(address).name for address in addresses[:MOST_LISTED]]
    if len(addresses) > MOST_LISTED:
        names.append("…")
    return ", ".join(names)


def _note_on_whole(reason: str, addresses: Sequence[str]) -> str:
    """That cubes which are large enough are not split, and why."""
    who = "one worker predicts the whole cube"
    if len(addresses) > 1:
        who = "one worker each predicts the whole cubes"
    return f"{_names(addresses)}: {who}, as {reason}"


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
    """What became of the inputs, in their order.

    What there is for each input lies on the disk, and is read when it is used.

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
        not_started: How many were not started, after an error that every other would have had.
    """

    done: Spool[dict[str, Any]] = field(default_factory=Spool)
    skipped: Spool[dict[str, Any]] = field(default_factory=Spool)
    failed: list[tuple[str, SpecloomError]] = field(default_factory=list)
    planned: list[dict[str, Any]] = field(default_factory=list)
    verdicts: Spool[Verdict] = field(default_factory=verdict_spool)
    rules: Sequence[Rule] = ()
    fail_on: Sequence[str] = ()
    unexpected: Exception | None = None
    strict: bool = False
    notes: list[str] = field(default_factory=list)
    not_started: int = 0

    @property
    def exit_code(self) -> int:
        """0, or that of the worst error.

        It is 1 at least where a verdict is one of ``fail_on``, and with ``strict`` where a cube is
        unlike the fit's.
        """
        codes = [error.exit_code for _, error in self.failed]
        if any(one.word in self.fail_on for one in self.verdicts):
            codes.append(FAILED_CHECK)
        if self.strict and self.count_unlike():
            codes.append(FAILED_CHECK)
        return max(codes, default=0)

    def unlike(self) -> list[dict[str, Any]]:
        """The cubes, of this call and complete before it, that are unlike those of the fit."""
        return [one for one in chain(self.done, self.skipped) if _is_unlike(one)]

    def count_unlike(self) -> int:
        """How many cubes ``unlike`` gives."""
        return sum(1 for one in chain(self.done, self.skipped) if _is_unlike(one))

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        failed = [
            {"input": name, "error": str(error), "exit_code": error.exit_code}
            for name, error in self.failed
        ]
        verdicts = [one.as_json() for one in self.verdicts]
        found: dict[str, Any] = {"done": list(self.done), "skipped": list(self.skipped)}
        found["failed"] = failed
        if self.not_started:
            found["not_started"] = self.not_started
        if self.planned:
            found["planned"] = self.planned
        return {**found, "verdicts": verdicts}


def _is_unlike(entry: Mapping[str, Any]) -> bool:
    """Whether a cube is unlike those of the fit."""
    domain = entry.get("domain")
    return bool(domain and domain["reasons"])


def predict_all(
    pipeline: str | Path,
    inputs: Sequence[str | Path],
    out: str | Path,
    formats: Sequence[str] = ("npy",),
    *,
    outputs: Sequence[str] = (),
    device: str = "auto",
    variable: str | None = None,
    wavelengths: str | Path | ArrayLike | None = None,
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
    verify: bool = False,
    on: str | Executor | None = None,
    workers: int | None = None,
    insecure: bool = False,
    keep_going: bool = False,
    split_above: int | None = None,
) -> Summary:
    """Apply a saved pipeline to many cubes and write what it makes of each into a folder.

    What is complete for this pipeline and input is skipped: the ledger and ``predict.json`` in its
    folder name the hash of the pipeline, and the size and time of the input's files.
    ``summary.csv`` gets the verdict on each input as soon as there is one, and at the end the order
    of the inputs. Where the disk is full or the folder is gone, nothing more is started.

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
        verify: Whether to look at each file of results that were complete, and make again what is
            missing or cut; without, only records are looked at.
        on: Who predicts the cubes: an executor, or what ``--on`` names; None for this process.
        workers: How many workers are started.
        insecure: Whether a scheduler on another machine may be used without encryption.
        keep_going: Whether to go on though half of the latest 100 cubes failed with one message;
            in one process that stops nothing.
        split_above: Bytes of a cube above which many workers predict it, tile by tile; with ``on``
            4 GB by default. Without ``on`` this process does the same, one tile after another.

    Raises:
        SpecloomError: Nothing can be predicted at all: the pipeline or an option is wrong.
    """
    _check_device(device, on, split_above)
    check_formats(formats)
    check_fail_on(fail_on)
    predictor = Predictor(pipeline, outputs, device, observed, scale, reject_when)
    predictor.run.quiet = quiet
    out = Path(out)
    check_out(inputs, out)
    if resume:
        _check_resumable(out)
    cubes, errors = find_inputs(inputs, out, predictor.valid_files)
    table = _table_digest(wavelengths)
    result_options = {"outputs": sorted(outputs), "variable": variable, "wavelengths": table}
    if scale is not None:
        result_options["scale"] = scale
    order = Order(
        str(out),
        tuple(formats),
        file_digest(pipeline_file(Path(pipeline))),
        result_options,
        variable,
        _plain_wavelengths(wavelengths),
        memory,
        tile_bytes,
        _split_size(split_above, on),
    )
    task = CubeTask(predictor, order)
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
    ledger = Ledger.read(out)
    placed = PlacedInputs(folders(cubes, out, ledger.folders()))
    if dry_run:
        _plan_each(_Known(task, ledger, verify=verify), placed, summary)
        return summary
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        remove_abandoned_work(out)
        is_new = not has_ledger(out)
    rows = SummaryFile(out, summary.verdicts)
    with task, LedgerFile(out) as file, rows, predictor.watched():
        call = _Call(summary, rows, ledger, file)
        if is_new:
            call.write_lines(ledger.lines())
        for address, error in errors:
            call.add_verdict(failed_verdict(address, error), NO_INPUT)
        known = _Known(task, ledger, verify=verify)
        with working_on(predictor.run, on, workers, insecure=insecure, folder=out) as executor:
            wanted = _Wanted(outputs, scale, keep_going)
            try:
                _predict_placed(known, executor, placed, call, wanted)
            finally:
                call.sort()
        if not call.stopped:
            _draw_scores(call, out)
    return summary


def _split_size(split_above: int | None, on: str | Executor | None) -> int | None:
    """The size above which cubes are split; None where they are not.

    Raises:
        ConfigError: It is below 1.
    """
    if split_above is None and on is not None:
        return SPLIT_ABOVE
    if split_above is not None and split_above < 1:
        what = f"split_above is {split_above}"
        raise ConfigError(what, fix="set a number of bytes from 1 on, or leave it out")
    return split_above


def _check_device(device: str, on: str | Executor | None, split_above: int | None) -> None:
    """Refuse another device than that of workers, where these predict.

    Raises:
        ConfigError: It is no CPU.
    """
    is_by_workers = on is not None or split_above is not None
    if is_by_workers and device not in ("auto", "cpu"):
        raise ConfigError(
            f"workers compute on the CPU, not on {device}",
            where=f"--device {device}",
            fix="leave it out, or leave out --on and --split-above",
        )


def _executor_here(run: Run) -> Executor:
    """The executor in this process.

    Raises:
        PluginError: The plugin ``jobs`` is not installed.
    """
    _, cls = run.plugins.find(HERE, ("executors",), "--split-above")
    executor: Executor = cls(run.plugins)
    return executor


def _check_resumable(out: Path) -> None:
    """Refuse to resume where nothing was started.

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
class _Known:
    """What is known of inputs before they are predicted.

    Args:
        task: What predicts them.
        ledger: What became of them in earlier calls.
        verify: Whether to look at each file of their results.
    """

    task: CubeTask
    ledger: Ledger
    verify: bool

    def complete(self, one: Input, folder: Path) -> Line | None:
        """The line of an input whose results are complete; None where they are not.

        Those of version 0.2, whose records have no measures, are not.
        """
        formats = self.task.order.formats
        stamped = self.task.stamp(one)
        line = self.ledger.complete(one.key, folder, stamped, formats, verify=self.verify)
        if line is None and record.complete(record.read(folder), stamped, formats, folder):
            line = line_of(Path(self.task.order.out), folder)
        if line is None or measures_from(line) is None:
            return None
        return line

    def outcome(self, one: Input, folder: Path) -> CubeOutcome | None:
        """The outcome of an input that no worker needs to open; None of all others."""
        try:
            line = self.complete(one, folder)
        except Exception as error:
            return self.task.failure(ticket_of(one, folder), error)
        if line is None:
            return None
        return {"state": "complete", "line": line}

    def check(self, one: Input) -> None:
        """Open an input, and check that its bands are those of the pipeline.

        Raises:
            DataError: It cannot be predicted.
        """
        predictor = self.task.predictor
        predictor.check_cube(predictor.open(one.address, self.task.order.variable))


@dataclass
class _Call:
    """Takes in what becomes of one input after another.

    Args:
        summary: What becomes of the inputs.
        summary_file: ``summary.csv``.
        ledger: What is known of all inputs.
        ledger_file: The lines of this call.
        stopped: Whether an error came up that every further input would have.
    """

    summary: Summary
    summary_file: SummaryFile
    ledger: Ledger
    ledger_file: LedgerFile
    stopped: bool = False

    def __post_init__(self) -> None:
        #: The number of the input of each failure.
        self._failed_ranks = [NO_INPUT] * len(self.summary.failed)

    def add_verdict(self, verdict: Verdict, rank: int) -> None:
        """Add a verdict to the summary and to its file.

        Args:
            verdict: The verdict.
            rank: The number of the input.
        """
        self.summary.verdicts.append(verdict, rank)
        self.summary_file.add(verdict)

    def sort(self) -> None:
        """Bring what is known of the inputs into their order."""
        summary = self.summary
        for spool in (summary.done, summary.skipped, summary.verdicts):
            spool.sort()
        order = sorted(range(len(self._failed_ranks)), key=self._failed_ranks.__getitem__)
        summary.failed[:] = [summary.failed[at] for at in order]
        self._failed_ranks.sort()

    def write_lines(self, lines: Iterable[Line]) -> None:
        """Write lines that are known from elsewhere into the ledger."""
        for line in lines:
            self.ledger_file.add(line)

    def skip(self, number: int, one: Input, folder: Path, line: Line) -> None:
        """Take in an input that was complete before this call."""
        if self.ledger.line(one.key) != line:
            self._write_line(line)
        entry = {"input": one.address, "folder": str(folder), "domain": line.get("domain")}
        self.summary.skipped.append(entry, number)
        self._add_verdict_of(number, one, folder, line)

    def take(self, number: int, one: Input, folder: Path, outcome: CubeOutcome) -> None:
        """Take in the outcome of an input that was started.

        Args:
            number: The number of the input.
            one: The input.
            folder: The folder of its results.
            outcome: What became of it.
        """
        line = outcome["line"]
        if outcome["state"] == "failed":
            error = error_from(line["errors"])
            self._add_failure(one.address, error, number)
            self._write_line(line)
            self.add_verdict(failed_verdict(one.address, error), number)
            return
        if outcome["state"] == "complete":
            self.skip(number, one, folder, line)
            return
        self._write_line(line)
        entry = {"input": one.address, "folder": str(folder), **outcome["entry"]}
        self.summary.done.append(entry, number)
        self._add_verdict_of(number, one, folder, line)

    def add_drawn(self, folder: Path) -> None:
        """Take in a folder whose pictures of scores were drawn."""
        line = line_of(self.ledger.out, folder)
        if line is not None:
            self._write_line(line)

    def stop(self, address: str, error: SpecloomError, left: int) -> None:
        """Take in an error after which nothing more is started; the disk may be full."""
        self._add_failure(address, error, LAST)
        self.summary.not_started = left
        self.stopped = True

    def _add_failure(self, address: str, error: SpecloomError, rank: int) -> None:
        self.summary.failed.append((address, error))
        self._failed_ranks.append(rank)

    def _write_line(self, line: Line) -> None:
        self.ledger.add(line)
        self.ledger_file.add(line)

    def _add_verdict_of(self, number: int, one: Input, folder: Path, line: Line) -> None:
        measures = measures_from(line)
        assert measures is not None, "results without measures are not complete"
        verdict = give_verdict(one.address, str(folder), measures, self.summary.rules)
        self.add_verdict(verdict, number)


def _plan_each(known: _Known, inputs: Sequence[Placed], summary: Summary) -> None:
    """Find out for each input whether it would be predicted, and write nothing."""
    for one, folder in inputs:
        entry = {"input": one.address, "folder": str(folder)}
        try:
            if known.complete(one, folder) is not None:
                summary.skipped.append(entry)
                continue
            known.check(one)
        except Exception as error:
            outcome = known.task.failure(ticket_of(one, folder), error)
            summary.failed.append((one.address, error_from(outcome["line"]["errors"])))
            continue
        summary.planned.append(entry)
    summary.unexpected = known.task.unexpected


def _predict_each(known: _Known, inputs: Sequence[Placed], call: _Call) -> None:
    """Predict each input into its folder; an error of one ends no other.

    After an error that every other input would have, such as a full disk, none is started.
    """
    task = known.task
    run = task.predictor.run
    summary = call.summary
    failed = len(summary.failed)
    for at, (one, folder) in enumerate(inputs):
        run.hook.progress(run=run, what="inputs", done=at, total=len(inputs))
        left = len(inputs) - at - 1
        try:
            _predict_one(known, at, (one, folder), call, left)
        except WriteError as error:  # of the ledger or the summary
            call.stop(str(call.ledger.out), error, left)
        if len(summary.failed) > failed:
            failed = len(summary.failed)
            run.hook.failed(run=run, what="inputs", count=failed)
        if call.stopped:
            break
    else:
        run.hook.progress(run=run, what="inputs", done=len(inputs), total=len(inputs))
    summary.unexpected = task.unexpected


@dataclass(frozen=True)
class _Wanted:
    """What workers make of cubes, and when they stop.

    Args:
        outputs: The names of the outputs that are wanted; all where empty.
        scale: The scale of the cubes.
        keep_going: Whether failures with one message stop nothing.
    """

    outputs: Sequence[str]
    scale: Scale | None
    keep_going: bool


def _predict_placed(
    known: _Known,
    executor: Executor | None,
    inputs: Sequence[Placed],
    call: _Call,
    wanted: _Wanted,
) -> None:
    """Predict each input: by an executor, or in this process where there is none."""
    task = known.task
    if executor is None and task.order.split_above is not None:
        executor = _executor_here(task.predictor.run)
    if executor is None:
        _predict_each(known, inputs, call)
        _remove_unused_tiles(call)
        return
    job = cube_job(task.predictor, task.order, wanted.outputs, wanted.scale)
    repeated = RepeatedFailures(ignored=wanted.keep_going)
    run = task.predictor.run
    if run.runtime.device != "cpu":
        call.summary.notes.append(ON_CPU)

    def report_tiles(made: int, count: int) -> None:
        run.hook.progress(run=run, what="tiles", done=made, total=count)

    taking = _Taking(known, inputs, call, repeated)
    work = CubeWork(executor, job, inputs, taking.take_known, report_tiles)
    with closing(work):
        taking.take_each(work)
        _remove_unused_tiles(call)
    for reason, addresses in work.not_split.items():
        call.summary.notes.append(_note_on_whole(reason, addresses))


def _remove_unused_tiles(call: _Call) -> None:
    """Remove the tiles that an earlier call left, and this one did not need to the end."""
    if not call.stopped:
        remove_abandoned_tiles(call.ledger.out)


class _Taking:
    """Takes in the outcomes of inputs that workers predict, as they come.

    Args:
        known: What is known of the inputs.
        inputs: Each input with the folder of its results.
        call: What takes in the outcomes.
        repeated: Notices that many fail alike.
    """

    def __init__(
        self,
        known: _Known,
        inputs: Sequence[Placed],
        call: _Call,
        repeated: RepeatedFailures,
    ) -> None:
        self._known = known
        self._inputs = inputs
        self._call = call
        self._repeated = repeated
        self._done = 0
        self._failed = len(call.summary.failed)
        run = known.task.predictor.run
        self._progress = partial(run.hook.progress, run=run, what="inputs", total=len(inputs))
        self._show_failed = partial(run.hook.failed, run=run, what="inputs")

    def take_each(self, work: CubeWork) -> None:
        """Take in every outcome.

        After an error that every other input would have, such as a full disk, none is started.
        """
        call = self._call
        self._progress(done=0)
        try:
            for number, outcome in work.outcomes():
                self._take(number, outcome)
                if call.stopped:
                    break
        except WriteError as error:  # of the ledger, the summary, or the folder of tiles
            call.stop(str(call.ledger.out), error, len(self._inputs) - self._done)
        remove_abandoned_work(call.ledger.out)  # of workers that died
        call.summary.unexpected = work.unexpected or self._known.task.unexpected

    def take_known(self, number: int) -> bool:
        """Take in the outcome of an input that needs no worker; whether it is one.

        When the call is stopped, no further input needs one.
        """
        if self._call.stopped:
            return True
        one, folder = self._inputs[number]
        outcome = self._known.outcome(one, folder)
        if outcome is not None:
            self._take(number, outcome)
        return outcome is not None

    def _take(self, number: int, outcome: CubeOutcome) -> None:
        call = self._call
        one, folder = self._inputs[number]
        self._done += 1
        left = len(self._inputs) - self._done
        if outcome.get("stops"):
            call.stop(one.address, error_from(outcome["line"]["errors"]), left)
            return
        call.take(number, one, folder, outcome)
        self._progress(done=self._done)
        error = self._repeated.add(one.address, outcome)
        if error is not None:
            call.stop(str(call.ledger.out), error, left)
            return
        if len(call.summary.failed) > self._failed:
            self._failed = len(call.summary.failed)
            self._show_failed(count=self._failed)


def _predict_one(known: _Known, number: int, placed: Placed, call: _Call, left: int) -> None:
    """Predict an input, unless that was done already.

    Args:
        known: What is known of the inputs.
        number: The number of the input.
        placed: The input with the folder of its results.
        call: What takes in the outcome.
        left: How many inputs come after it.
    """
    one, folder = placed
    ticket = ticket_of(one, folder)
    try:
        line = known.complete(one, folder)
    except Exception as error:
        call.take(number, one, folder, known.task.failure(ticket, error))
        return
    if line is not None:
        call.skip(number, one, folder, line)
        return
    outcome = known.task.do(ticket)
    if outcome.get("stops"):
        call.stop(one.address, error_from(outcome["line"]["errors"]), left)
        return
    with uninterrupted():
        call.take(number, one, folder, outcome)


def _draw_scores(call: _Call, out: Path) -> None:
    """Draw the pictures of scores that are missing, with one scale for all cubes."""
    pending = set()
    for line in call.ledger.lines():
        if has_pending(line.get("files", ())):
            pending.add(str(out / line["folder"]))
    waiting = []
    for verdict in call.summary.verdicts:
        if verdict.folder in pending:
            waiting.append(ScoreFolder(Path(verdict.folder), counts=verdict.word != UNJUDGED))
    try:
        for folder, error in draw_pending(waiting, call.ledger.lines()):
            if error is None:
                call.add_drawn(folder)
                continue
            call.summary.failed.append((str(folder), error))
            if isinstance(error, WriteError) and error.stops:
                return
    except WriteError as error:  # of the ledger
        call.summary.failed.append((str(out), error))


def _table_digest(wavelengths: str | Path | ArrayLike | None) -> str | None:
    """The hash of a table of wavelengths, or of stated numbers; None without any."""
    if wavelengths is None:
        return None
    if isinstance(wavelengths, str | Path):
        return file_digest(Path(wavelengths))
    return hashlib.sha256(np.asarray(wavelengths, np.float64).tobytes()).hexdigest()


def _plain_wavelengths(wavelengths: str | Path | ArrayLike | None) -> str | list[float] | None:
    """A path as text, and numbers as a list, as JSON can hold them."""
    if wavelengths is None:
        return None
    if isinstance(wavelengths, str | Path):
        return str(wavelengths)
    numbers: list[float] = np.asarray(wavelengths, np.float64).tolist()
    return numbers


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
