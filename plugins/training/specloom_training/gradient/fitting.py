"""PyTorch Lightning's part: the loop over batches, precision, clipping, accumulation, DDP."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from specloom import ConfigError, Run, UnavailableError
from specloom_training import processes
from specloom_training.gradient import memory
from specloom_training.gradient.session import Session

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings

LOUD = ("pytorch_lightning", "lightning_fabric", "lightning")


def train(run: Run, settings: Settings, phase: object) -> int:
    """Train; the epoch whose weights the pipeline then holds.

    However it ends, the pipeline holds finite weights: those of the best epoch, or after an error
    those of the last epoch that came to its end.

    Raises:
        NodeError: A loss or a weight is not finite.
        ConfigError: The precision is not to be had on this device.
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
                _fit(session)
        return session.end()
    except BaseException:
        session.restore(session.good)
        raise
    finally:
        session.close()


def _fit(session: Session) -> None:
    try:
        with _quiet():
            import pytorch_lightning as lightning

            from specloom_training.gradient.module import module_of
    except Exception as e:
        what = f"pytorch_lightning cannot be imported: {type(e).__name__}: {e}"
        raise UnavailableError(what, fix="pip install pytorch-lightning==2.6.6") from e
    with _quiet(), _interruptible():
        trainer = lightning.Trainer(**_options(session))
        failed: Exception | None = None
        session.feed.epoch, session.feed.max_epochs = session.epoch, session.epochs
        try:
            trainer.fit(module_of(session), session.feed)
        except Exception as e:
            if not memory.is_full(e):
                raise
            failed = e
        if failed is not None:
            raise memory.explained(session) from failed
    for name in session.free:
        session.run.graph.nodes[name].to(session.run.runtime.device)  # Lightning moves them away


def _options(session: Session) -> dict[str, Any]:
    config = session.settings.trainer
    cuda = session.run.runtime.device.startswith("cuda")
    found: dict[str, Any] = {
        "max_epochs": session.epochs - session.epoch,
        "accelerator": "gpu" if cuda else "cpu",
        "devices": 1,
        "precision": config.precision,
        "gradient_clip_val": config.gradient_clip_val,
        "gradient_clip_algorithm": config.gradient_clip_algorithm,
        "accumulate_grad_batches": config.accumulate_grad_batches,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
    }
    found |= dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    if processes.count() > 1:
        from pytorch_lightning.strategies import DDPStrategy

        local = int(os.environ.get("LOCAL_WORLD_SIZE", processes.count()))
        found |= {"devices": local, "num_nodes": processes.count() // local}
        backend = "nccl" if cuda else "gloo"
        found["strategy"] = DDPStrategy(process_group_backend=backend, broadcast_buffers=False)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's banners, tips and warnings away; nodes' own warnings pass."""
    loggers = [logging.getLogger(name) for name in LOUD]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for module in (r"pytorch_lightning", r"lightning_fabric", r"torch\.", r"torchmetrics"):
                warnings.filterwarnings("ignore", module=module)
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C through, which Lightning turns into an exit."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit as e:
        raise KeyboardInterrupt from e
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
