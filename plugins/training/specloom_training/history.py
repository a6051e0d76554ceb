"""What trainers did with a pipeline in Python, so that the folder of a run can be written of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from specloom import ConfigError, Pipeline, Plugins, Run, Source
from specloom_statistics import engine_identity


@dataclass
class History:
    """The phases of a pipeline so far, as a run file would have them.

    Args:
        phases: Each phase with its reference.
        seconds: How long each took.
        sources: The data of each.
        seed: The seed of the last training.
        metrics: The last value of each metric, by stage.
        record: What else the phases have for ``run.json``.
    """

    phases: list[tuple[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    seed: int = 0
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)


@contextmanager
def observed_end(run: Run) -> Iterator[None]:
    """Notify observers of the end of a run that a trainer in Python makes, also by an error."""
    try:
        yield
    except BaseException as error:
        run.hook.run_ended(run=run, error=error)
        raise
    run.hook.run_ended(run=run, error=None)


_HISTORIES: WeakKeyDictionary[Pipeline, History] = WeakKeyDictionary()


def history_of(pipeline: Pipeline) -> History:
    """The history of a pipeline."""
    return _HISTORIES.setdefault(pipeline, History())


def note_phase(
    pipeline: Pipeline,
    run: Run,
    phase: tuple[str, Any],
    started: float,
) -> None:
    """Add a phase that ended, with what it measured.

    Args:
        pipeline: The pipeline.
        run: The run of this phase alone.
        phase: Its reference, and an object with the parameters of a run file.
        started: When it began, by ``perf_counter``.
    """
    history = history_of(pipeline)
    history.phases.append(phase)
    history.seconds.append(perf_counter() - started)
    history.sources.append(run.source)
    history.seed = run.seed
    for stage, values in run.metrics.items():
        history.metrics.setdefault(stage, {}).update(values)
    run.record["kernels"] = engine_identity()
    _merge(history.record, run.record)


def save_run(pipeline: Pipeline, folder: str | Path) -> Path:
    """Write the folder of a run, as ``specloom run`` does, of what trainers did with a pipeline.

    Raises:
        ConfigError: Nothing was done, or phases had different data.
        UnavailableError: The folder cannot be written.
    """
    history = history_of(pipeline)
    if not history.phases:
        raise ConfigError("nothing was fitted or trained yet", fix="call fit() before")
    source = history.sources[-1]
    if any(other is not source for other in history.sources):
        what = "the phases of this pipeline had different data, and a run has one source"
        raise ConfigError(what, fix="pass the same datamodule to all trainers")
    run = Run(
        pipeline.graph(source),
        source,
        history.phases,
        plugins=pipeline.plugins or Plugins(),
        seed=history.seed,
        metadata={"name": pipeline.name},
    )
    run.metrics = {stage: dict(values) for stage, values in history.metrics.items()}
    run.record |= history.record
    run.record["phases"] = _timed(history)
    return run.save(folder)


def _merge(into: dict[str, Any], record: Mapping[str, Any]) -> None:
    """Add the record of a phase; what is by split is merged by split."""
    for name, value in record.items():
        present = into.get(name)
        if isinstance(present, dict) and isinstance(value, dict):
            into[name] = {**present, **value}
        else:
            into[name] = value


def _timed(history: History) -> list[Mapping[str, Any]]:
    """Each phase with its seconds, as the record of a run has them."""
    pairs = zip(history.phases, history.seconds, strict=True)
    return [{"type": label, "seconds": seconds} for (label, _phase), seconds in pairs]
