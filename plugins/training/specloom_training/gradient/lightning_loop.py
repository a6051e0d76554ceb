"""PyTorch Lightning's part: mixed precision, and several processes (DDP)."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from specloom import Terminated, UnavailableError, was_terminated
from specloom_training import processes

if TYPE_CHECKING:
    from specloom_training.gradient.session import Session

LOGGERS = ("pytorch_lightning", "lightning_fabric", "lightning")
MODULES = (r"pytorch_lightning", r"lightning_fabric", r"torch\.", r"torchmetrics")


def run(session: Session) -> None:
    """Train to the last epoch, or until the session stops.

    Raises:
        UnavailableError: Lightning cannot be imported.
    """
    lightning, module = _import_lightning()
    with _quiet(), _interruptible():
        trainer = lightning.Trainer(**_options(session))
        trainer.fit(module.SessionModule(session), session.batches)
    for name in session.free:
        session.run.graph.nodes[name].to(session.run.runtime.device)  # Lightning moves them away


def _import_lightning() -> tuple[Any, Any]:
    """Lightning, and our module that is made of it."""
    try:
        with _quiet():
            import pytorch_lightning as lightning

            from specloom_training.gradient import module
    except Exception as e:
        what = f"pytorch_lightning cannot be imported: {type(e).__name__}: {e}"
        raise UnavailableError(what, fix="pip install pytorch-lightning==2.6.6") from e
    return lightning, module


def _options(session: Session) -> dict[str, Any]:
    """The parameters of Lightning's trainer."""
    config = session.settings.trainer
    on_gpu = session.run.runtime.device.startswith("cuda")
    options: dict[str, Any] = {
        "max_epochs": session.epochs - session.epoch,
        "accelerator": "gpu" if on_gpu else "cpu",
        "devices": 1,
        "precision": config.precision,
        "gradient_clip_val": config.gradient_clip_val,
        "gradient_clip_algorithm": config.gradient_clip_algorithm,
        "accumulate_grad_batches": config.accumulate_grad_batches,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    if processes.count() > 1:
        options |= _distributed_options(on_gpu)
    return options


def _distributed_options(on_gpu: bool) -> dict[str, Any]:
    from pytorch_lightning.strategies import DDPStrategy

    count = processes.count()
    on_this_machine = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    backend = "nccl" if on_gpu else "gloo"
    return {
        "devices": on_this_machine,
        "num_nodes": count // on_this_machine,
        "strategy": DDPStrategy(process_group_backend=backend, broadcast_buffers=False),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's banners, tips and warnings; nodes' own warnings pass."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for module in MODULES:
                warnings.filterwarnings("ignore", module=module)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM through, which Lightning turns into an exit."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as e:
        if was_terminated():
            raise Terminated from e
        raise KeyboardInterrupt from e
    finally:
        # Other threads may not set it.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
