"""One gradient training from its first epoch to its last, whichever loop runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from specloom import (
    Annealed,
    Batch,
    ConfigError,
    MapStyleSource,
    NodeError,
    Run,
    Stateful,
    raise_all,
)
from specloom_training import processes, statistical
from specloom_training.evaluate import evaluate, measured_losses
from specloom_training.gradient import checks, extension, monitors, record
from specloom_training.gradient.batches import TrainingBatches, require_images
from specloom_training.gradient.cache import Cache
from specloom_training.gradient.checkpoints import Checkpoints, flatten, snapshot, unflatten
from specloom_training.gradient.diagnostics import Diagnostics
from specloom_training.gradient.frozen_front import BATCH, FrozenFront, front_ends, node_of
from specloom_training.gradient.losses import Losses, zero
from specloom_training.gradient.optimization import Optimization, is_finite
from specloom_training.gradient.seeding import seed_all
from specloom_training.share_fit import can_work_by_shares

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings


class Session:
    """Everything that one training holds.

    Args:
        run: The run.
        settings: What is to be done.
        phase: The phase, by which its record is found.
    """

    def __init__(self, run: Run, settings: Settings, phase: object) -> None:
        require_images(run)
        run.place()
        self.run = run
        self.settings = settings
        self.epoch = 0
        self.epochs = settings.trainer.max_epochs
        self.stopped = False
        self.path = record.path_of(run, phase)
        self.scaler: Any = None
        self._scaler_state: Any = None
        self.batch: Mapping[str, Any] = {}
        self.cache = Cache(run, settings.trainer.cache_memory_mb, settings.trainer.cache_disk_mb)
        self.thawed = self._unfreeze()
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _unfreeze(self) -> list[str]:
        """Unfreeze the nodes that are to be trained; those that were frozen until now."""
        nodes = self.run.graph.nodes
        thawed = [name for name in self.settings.unfreeze if not list(nodes[name].parameters())]
        for name in thawed:
            nodes[name].unfreeze()
        return thawed

    def _set_up(self) -> None:
        run = self.run
        settings = self.settings
        graph = run.graph
        self.free = checks.unfrozen(settings, graph)
        self.annealed = [name for name in graph.order if isinstance(graph.nodes[name], Annealed)]
        changing = {*self.free, *settings.refit, *self.annealed}
        changing_in_order = [name for name in graph.order if name in changing]
        self.moving = [
            name for name in changing_in_order if isinstance(graph.nodes[name], Stateful)
        ]
        self.losses = Losses(run, checks.minimised_losses(settings, graph))
        self.parameters = []
        for name in self.free:
            self.parameters.extend(graph.nodes[name].parameters())
        self.optimization = Optimization(settings, self.parameters)
        self._plan_batches(changing)
        self.checkpoints = Checkpoints(run, settings, self.moving)
        self.diagnostics = Diagnostics(run, settings, self.free)
        self.validates = self._can_validate()
        self._require_validation()
        self.good = snapshot(graph.nodes, self.moving)

    def _plan_batches(self, changing: set[str]) -> None:
        """Split the graph into its frozen front and what runs on every batch."""
        run = self.run
        trainer = self.settings.trainer
        front = None
        from_front: list[str] = []
        if trainer.cache:
            by_image = isinstance(run.source, MapStyleSource)
            ends = front_ends(run.graph, self.losses.names, changing, by_image)
            from_front = [end for end in ends if node_of(end) != BATCH]
            front = FrozenFront(run, ends, self.cache)
        self.plan = run.plan("train", self.losses.ends, provided=from_front)
        if trainer.precision != "32-true":
            for step in self.plan.steps:
                step.forward = _full_precision(step.forward)
        self.batches = TrainingBatches(run, trainer.shuffle, front)

    def _can_validate(self) -> bool:
        if "val" not in self.run.source.splits():
            return False
        graph = self.run.graph
        return bool(monitors.metric_nodes(graph) or measured_losses(graph, "val"))

    def _require_validation(self) -> None:
        """Find out before training that what is monitored can be measured."""
        if self.validates:
            return
        graph = self.run.graph
        names = monitors.recorded_names(graph, self.losses.names)
        for name, place in self.settings.monitors():
            full = monitors.resolve(name, graph, names)
            if full is None or full.startswith("val/"):
                raise ConfigError(
                    f"{place} monitors {name!r}, but the data has no split 'val'",
                    where=graph.where("data"),
                    fix="monitor train/total, or use data with a validation split",
                )

    def _require_monitored(self, recorded: Mapping[str, float]) -> None:
        """Raise the error of a metric that no node gave when it validated."""
        for name, place in self.settings.monitors():
            if monitors.value_of(name, recorded) is not None:
                continue
            error = monitors.undefined_monitor(name, place, self.run.graph, recorded)
            raise error or monitors.unknown_monitor(name, place, recorded)

    def resume(self) -> None:
        """Go on after the last finished epoch of a run that was stopped.

        Raises:
            ConfigError: It was trained with settings that cannot be continued.
        """
        if self.path is None or not self.run.resumed:
            return
        if processes.rank() == 0:
            record.remove_leftovers(self.run)
        found = record.read(self.run, self.path)
        if found is None:
            return
        tensors, about = found
        raise_all(list(extension.find_problems(about, self.settings, str(self.path))))
        self.good = unflatten(tensors, "node")
        self.restore(self.good)
        self.optimization.restore(tensors, about["optimizing"])
        self.checkpoints.restore(tensors, about["keeping"])
        self.epoch = about["epoch"] + 1
        self.stopped = about["stopped"]
        self._scaler_state = about["scaler"]

    def set_scaler(self, scaler: Any) -> None:
        """Use the scaler of mixed precision, if there is one."""
        self.scaler = scaler
        if scaler is not None and self._scaler_state:
            scaler.load_state_dict(self._scaler_state)

    def start_epoch(self) -> None:
        """Seed, anneal, and put what is trained into training mode, all else not."""
        nodes = self.run.graph.nodes
        seed_all(nodes, self.run.seed, "epoch", self.epoch)
        for name in self.annealed:
            nodes[name].on_epoch(self.epoch, self.epochs)
        for name, node in nodes.items():
            if isinstance(node, torch.nn.Module):
                node.train(name in self.free)
        self.losses.start()

    def loss(self, batch: Mapping[str, Any], number: int) -> Tensor:
        """The loss of a batch, to be minimised.

        Raises:
            NodeError: It is not finite.
        """
        self.batch = batch
        if not batch:
            return self.losses.without_images(self.parameters)
        values = self.plan(batch)
        total = self.losses.total(values, f"in batch {number} of epoch {self.epoch}")
        if processes.count() > 1:  # DDP wants a gradient for each parameter from each process
            total = total + zero(self.parameters)
        return total

    def end_epoch(self) -> None:
        """Validate, step the scheduler, and save what is needed to go on.

        Raises:
            NodeError: A weight is not finite.
            ConfigError: A monitored metric was not measured.
        """
        run = self.run
        self._require_finite_weights()
        values = self._training_values()
        run.log_metrics("train", values, step=self.epoch)
        self._report_artifacts()
        recorded = {f"train/{name}": value for name, value in values.items()}
        if self._validates_now():
            recorded |= self._validate()
            self._require_monitored(recorded)
        self.diagnostics.epoch_ended(self.epoch, recorded, self.parameters)
        self.optimization.epoch_ended(monitors.value_of(self.optimization.monitor, recorded))
        self.good = snapshot(run.graph.nodes, self.moving)
        self.stopped = self.checkpoints.epoch_ended(self.epoch, recorded, self.good)
        self._write_record()
        run.hook.epoch_ended(run=run, epoch=self.epoch, max_epochs=self.epochs)
        self.epoch += 1
        self.batches.epoch = self.epoch

    def _require_finite_weights(self) -> None:
        if is_finite(self.parameters):
            return
        graph = self.run.graph
        names = [n for n in self.free if not is_finite(list(graph.nodes[n].parameters()))]
        raise NodeError(
            f"the weights of {' and '.join(map(repr, names))} are not finite after epoch "
            f"{self.epoch}",
            where=graph.where("nodes", names[0]),
            fix="lower the optimizer's lr, or set gradient_clip_val",
        )

    def _training_values(self) -> dict[str, float]:
        """The losses, learning rates and annealed values of this epoch."""
        values = self.losses.means()
        first, *others = self.optimization.rates()
        values["learning_rate"] = first
        for number, rate in enumerate(others, start=1):
            values[f"learning_rate_{number}"] = rate
        for name in self.annealed:
            node = self.run.graph.nodes[name]
            if hasattr(node, "schedule_values"):
                values |= {
                    f"{name}/{key}": float(value) for key, value in node.schedule_values().items()
                }
        return values

    def _report_artifacts(self) -> None:
        """Pass what annealed nodes show of this epoch to observers."""
        artifacts: dict[str, Any] = {}
        for name in self.annealed:
            node = self.run.graph.nodes[name]
            if hasattr(node, "epoch_artifacts"):
                for key, value in node.epoch_artifacts().items():
                    artifacts[f"train/{name}/{key}"] = value
        if artifacts:
            self.run.hook.artifacts(run=self.run, step=self.epoch, values=artifacts)

    def _validates_now(self) -> bool:
        every = self.settings.trainer.check_val_every_n_epoch
        return self.validates and (self.epoch + 1) % every == 0

    def _validate(self) -> dict[str, float]:
        """The metrics and losses of the validation split, with the current weights."""
        self.refit()
        values = evaluate(self.run, "val", self.epoch, plan=self._validation_plan)
        return {f"val/{name}": value for name, value in values.items()}

    @cached_property
    def _validation_plan(self) -> Any:
        """The graph compiled for the validation split, the same in each epoch."""
        return self.run.plan("val")

    def _write_record(self) -> None:
        if self.path is None:
            return
        optimizer_tensors, optimizer_values = self.optimization.state()
        best_tensors, checkpoint_values = self.checkpoints.state(self.good)
        tensors = {**flatten(self.good, "node"), **optimizer_tensors, **best_tensors}
        values = {
            "settings": self.settings.plain(),
            "epoch": self.epoch,
            "stopped": self.stopped,
            "optimizing": optimizer_values,
            "keeping": checkpoint_values,
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        record.write(self.run, self.path, tensors, values)

    def refit(self) -> None:
        """Fit the nodes under ``refit`` again, with the current weights."""
        if self.settings.refit:
            with self.run.inference():
                statistical.fit(
                    self.run,
                    self.settings.refit,
                    "train",
                    notify=False,
                    by_shares=self._can_refit_by_shares,
                )

    @cached_property
    def _can_refit_by_shares(self) -> bool:
        """The same in each epoch, and it needs a look at the first files of the split."""
        return can_work_by_shares(self.run, "train")

    def restore(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Set the nodes that change to saved states."""
        for name, state in states.items():
            self.run.graph.nodes[name].restore(state)

    def end(self) -> int:
        """Set the pipeline to the best weights; the epoch they are from."""
        last = self.epoch - 1
        best, values, states = self.checkpoints.best(last, self.good)
        self.diagnostics.training_ended(self.epoch, self.validates, best, values)
        self.restore(states)
        self.refit()
        for name, value in values.items():  # the run's metrics are those of these weights
            stage, _, rest = name.partition("/")
            self.run.metrics.setdefault(stage, {})[rest] = value
        seed_all(self.run.graph.nodes, self.run.seed, "trained")
        self.run.log_metrics("train", {"best_epoch": best}, step=max(last, 0))
        return best

    def close(self) -> None:
        """Freeze what was unfrozen, and forget what was cached."""
        nodes = self.run.graph.nodes
        for name in self.thawed:
            nodes[name].freeze()
        for node in nodes.values():
            if isinstance(node, torch.nn.Module):
                node.eval()
        self.cache.close()


def _full_precision(forward: Callable[..., Batch]) -> Callable[..., Batch]:
    """``forward`` as it is within, but with the float32 that ports declare between nodes."""

    def wrapped(**arrays: Any) -> Batch:
        outputs = forward(**arrays)
        return {name: _at_least_float32(value) for name, value in outputs.items()}

    return wrapped


def _at_least_float32(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
