"""The training as Lightning sees it. Nothing else imports Lightning before a training starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytorch_lightning as lightning
from torch import Tensor, nn

if TYPE_CHECKING:
    from specloom_training.gradient.session import Session


class SessionModule(lightning.LightningModule):
    """Passes Lightning's calls on to a session.

    Args:
        session: The training.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        nodes = session.run.graph.nodes
        self.trained = nn.ModuleList([nodes[name] for name in session.free])

    def configure_optimizers(self) -> Any:
        """The session's optimiser; its scheduler is stepped by the session."""
        return self.session.optimization.optimizer

    def on_fit_start(self) -> None:
        """Pass the scaler of mixed precision to the session."""
        self.session.set_scaler(getattr(self.trainer.precision_plugin, "scaler", None))

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Leave the batch: it is where it belongs, some of it in the host's memory."""
        return batch

    def on_train_epoch_start(self) -> None:
        """Begin an epoch."""
        self.session.start_epoch()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The loss of one batch."""
        return self.session.loss(batch, batch_idx)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step of the optimiser, then of a scheduler that goes by steps."""
        super().optimizer_step(*args, **kwargs)
        self.session.optimization.step_ended()

    def on_train_epoch_end(self) -> None:
        """End an epoch; stop if the session says so."""
        self.session.end_epoch()
        self.trainer.should_stop = self.session.stopped
