"""A gradient training as a whole: which loop runs it, and in what state it leaves the pipeline."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from specloom import ConfigError, Run
from specloom_training import processes
from specloom_training.gradient import memory
from specloom_training.gradient.plain_loop import PlainLoop
from specloom_training.gradient.session import Session

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings


def train(run: Run, settings: Settings, phase: object) -> int:
    """Train; the epoch whose weights the pipeline then holds.

    However it ends, the pipeline holds finite weights: those of the best epoch, or after an error
    those of the last epoch that came to its end.

    Raises:
        NodeError: A loss or a weight is not finite.
        ConfigError: The precision is not available on this device.
        UnavailableError: The memory is too small for a batch.
    """
    processes.join()
    if settings.trainer.precision == "16-mixed" and run.runtime.device == "cpu":
        fix = "use bf16-mixed, or a GPU"
        raise ConfigError("precision '16-mixed' needs a GPU", fix=fix)
    session = Session(run, settings, phase)
    try:
        session.resume()
        with _deterministic(settings.trainer.deterministic):
            if session.epoch < session.epochs and not session.stopped:
                _run_epochs(session)
        return session.end()
    except BaseException:
        session.restore(session.good)
        raise
    finally:
        session.close()


def _run_epochs(session: Session) -> None:
    session.batches.epoch = session.epoch
    session.batches.max_epochs = session.epochs
    out_of_memory: Exception | None = None
    try:
        _run_loop(session)
    except Exception as e:
        if not memory.is_out_of_memory(e):
            raise
        out_of_memory = e
    # Within the handler, every error of a trial would have this one as its context.
    if out_of_memory is not None:
        raise memory.out_of_memory(session) from out_of_memory


def _run_loop(session: Session) -> None:
    """Lightning does mixed precision and several processes; all else needs no import of it."""
    if needs_lightning(session.settings):
        from specloom_training.gradient import lightning_loop

        lightning_loop.run(session)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.")
        PlainLoop(session).run()


def needs_lightning(settings: Settings) -> bool:
    """Whether the loop of PyTorch Lightning runs a training, in place of the plain one."""
    return settings.trainer.precision != "32-true" or processes.count() > 1


@contextmanager
def _deterministic(enabled: bool) -> Iterator[None]:
    if not enabled:  # setting it at all imports torch's compiler
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
