"""A predictor that stays warm, behind a bounded queue with deadlines."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from specloom import ConfigError, SpecloomError
from specloom_cubes import array_cube
from specloom_serve.errors import DeadlineError, EngineStoppedError, QueueFullError
from specloom_serve.results import describe

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from specloom_cubes import Cube
    from specloom_predict import Prediction, Predictor

Work: TypeAlias = Callable[["Predictor"], Any]

WARM_UP_SIDE = 32
"""Rows and columns of the cube of noise that warms up."""


@dataclass
class _Job:
    """Work that waits.

    Args:
        work: What is computed.
        seconds: Its deadline, counted from when it was submitted.
        expires: When it is too late to begin, on the monotonic clock.
        future: What holds the result.
    """

    work: Work
    seconds: float
    expires: float
    future: Future[Any] = field(default_factory=Future)


class Engine:
    """A predictor that stays warm and computes one request after another, in one thread.

    As many requests wait as may; a further one is refused, so that callers slow down. A request
    that is not begun before its deadline is not computed. What is being computed cannot be
    interrupted: its caller gets ``DeadlineError``, and the next request begins when it ends.

    Cubes are predicted one at a time. Results are those of ``Predictor.predict`` bit for bit, which
    scores of several cubes in one batch need not be.

    Args:
        predictor: The predictor; nothing else should use it meanwhile.
        waiting: How many requests may wait.
        deadline: Seconds within which a request is answered, where it names no other time.

    Raises:
        ConfigError: A number is not above 0.
    """

    def __init__(self, predictor: Predictor, *, waiting: int = 4, deadline: float = 60.0) -> None:
        if waiting < 1:
            raise ConfigError(f"{waiting} requests may wait", fix="let at least 1 request wait")
        check_deadline(deadline)
        self.predictor = predictor
        #: How many requests may wait.
        self.waiting = waiting
        #: Seconds within which a request is answered, where it names no other time.
        self.deadline = deadline
        #: Why the predictor is not warm, where warming up failed; empty otherwise.
        self.warm_up_error = ""
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_ready = False
        self._is_stopping = False

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken, and warming up is over."""
        return self._is_ready and not self._is_stopping

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return len(self._jobs)

    def start(self, *, warm_up: bool = True) -> Self:
        """Start the thread, and predict a cube of noise so that the first request is quick.

        Raises:
            ConfigError: It was started before.
        """
        if self._thread is not None:
            raise ConfigError("the engine was started before", fix="make another engine")
        self._thread = threading.Thread(target=self._run, name="specloom-serve", daemon=True)
        self._thread.start()
        if warm_up:
            self._warm_up()
        self._is_ready = True
        return self

    def stop(self) -> None:
        """Refuse what waits, and return when what is being computed has ended."""
        with self._changed:
            self._is_stopping = True
            waiting = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        for job in waiting:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(_stopped())
        if self._thread is not None:
            self._thread.join()

    def submit(self, work: Work, deadline: float | None = None) -> Future[Any]:
        """Let ``work`` be called with the predictor; a future that is cancelled is skipped.

        Args:
            work: What is computed.
            deadline: Seconds within which it begins; those of the engine where None.

        Raises:
            QueueFullError: As many requests wait as may.
            EngineStoppedError: The engine does not run.
            ConfigError: The deadline is not above 0.
        """
        seconds = self.deadline if deadline is None else deadline
        check_deadline(seconds)
        job = _Job(work, seconds, time.monotonic() + seconds)
        with self._changed:
            if self._thread is None or self._is_stopping:
                raise _stopped()
            self._drop_cancelled_and_late()
            if len(self._jobs) >= self.waiting:
                what = f"{len(self._jobs)} requests wait, and no more may"
                raise QueueFullError(what, fix="try again later, or let more requests wait")
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def predict(self, cube: Any, *, deadline: float | None = None, **options: Any) -> Prediction:
        """What ``Predictor.predict`` returns for a cube, when it is its turn.

        Args:
            cube: As for ``Predictor.predict``, as are the options.
            deadline: Seconds within which there is a result; those of the engine where None.

        Raises:
            DeadlineError: There was no result in time.
            QueueFullError: As many requests wait as may.
            EngineStoppedError: The engine does not run.
            SpecloomError: As ``Predictor.predict``.
        """
        seconds = self.deadline if deadline is None else deadline
        future = self.submit(lambda predictor: predictor.predict(cube, **options), seconds)
        try:
            found: Prediction = future.result(timeout=seconds)
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise late(seconds) from None
        return found

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while True:
            job = self._next()
            if job is None:
                return
            self._compute(job)

    def _next(self) -> _Job | None:
        """The request that waits longest; None when the engine stops."""
        with self._changed:
            while not self._jobs and not self._is_stopping:
                self._changed.wait()
            if self._is_stopping:
                return None
            return self._jobs.popleft()

    def _compute(self, job: _Job) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        if time.monotonic() > job.expires:
            job.future.set_exception(late(job.seconds))
            return
        try:
            found = job.work(self.predictor)
        except Exception as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(found)

    def _drop_cancelled_and_late(self) -> None:
        """Forget the requests whose callers no longer wait, so that they take no place."""
        now = time.monotonic()
        for job in list(self._jobs):
            if job.future.cancelled():
                self._jobs.remove(job)
            elif now > job.expires:
                self._jobs.remove(job)
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(late(job.seconds))

    def _warm_up(self) -> None:
        """Predict a cube of noise; where that fails, keep the reason."""
        bands = fitted_bands(self.predictor)
        if bands is None:
            self.warm_up_error = "the pipeline does not say how many bands it reads"
            return
        noise = np.random.default_rng(0).uniform(size=(WARM_UP_SIDE, WARM_UP_SIDE, bands))
        cube = array_cube(noise.astype(np.float32), name="the cube of the warm-up")
        try:
            self.submit(lambda predictor: _describe(predictor, cube)).result()
        except SpecloomError as error:
            self.warm_up_error = error.what


def _describe(predictor: Predictor, cube: Cube) -> None:
    """Predict a cube, with its measures and objects, whose modules take a second to import."""
    describe(predictor, predictor.predict(cube), most_objects=1)


def fitted_bands(predictor: Predictor) -> int | None:
    """How many bands the cubes of a pipeline have; None where any number will do."""
    graph = predictor.run.graph
    for link in graph.connections:
        if link.source == "batch.cube":
            axis = graph.connections.ports(link)[1].names[-1]
            bands = graph.sizes(link.target_node).get(axis)
            if bands is not None:
                return int(bands)
    return None


def check_deadline(seconds: float) -> None:
    """Accept a deadline above 0.

    Raises:
        ConfigError: It is not.
    """
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise ConfigError(f"the deadline is {seconds:g} s", fix="set a number of seconds above 0")


def late(seconds: float) -> DeadlineError:
    """The error of a request that was not answered in time."""
    what = f"there was no result within {seconds:g} s"
    return DeadlineError(what, fix="try again later, or with a longer deadline")


def _stopped() -> EngineStoppedError:
    return EngineStoppedError("the engine does not run", fix="start it, or use another server")
