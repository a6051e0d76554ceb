"""One gradient training from its first epoch to its last, without a word of Lightning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from specloom import Annealed, Batch, ConfigError, MapStyleSource, NodeError, Run, Stateful
from specloom_training import processes, statistical
from specloom_training.evaluate import evaluate, measured_losses
from specloom_training.gradient import checks, generators, monitors, record
from specloom_training.gradient.cache import Cache
from specloom_training.gradient.feeding import Feed, require_images
from specloom_training.gradient.keeping import Keeping, loaded, snapshot
from specloom_training.gradient.optimizing import Optimizing, finite
from specloom_training.gradient.prefix import BATCH, Prefix, frozen_front
from specloom_training.gradient.stepping import Losses, zero
from specloom_training.gradient.watching import Watching

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
        self.run, self.settings, nodes = run, settings, run.graph.nodes
        self.epoch, self.epochs, self.stopped = 0, settings.trainer.max_epochs, False
        self.path = record.place(run, phase)
        self.scaler: Any = None
        self.batch: Mapping[str, Any] = {}
        self.cache = Cache(run, settings.trainer.cache_memory_mb, settings.trainer.cache_disk_mb)
        self.thawed = [n for n in settings.unfreeze if not [*nodes[n].parameters()]]
        for name in self.thawed:
            nodes[name].unfreeze()
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        run, settings, graph = self.run, self.settings, self.run.graph
        self.free = checks.unfrozen(settings, graph)
        self.paced = [n for n in graph.order if isinstance(graph.nodes[n], Annealed)]
        changing = {*self.free, *settings.refit, *self.paced}
        self.moving = [n for n in graph.order if n in changing and _keeps(graph.nodes[n])]
        self.losses = Losses(run, checks.trained(settings, graph))
        self.parameters = [p for n in self.free for p in graph.nodes[n].parameters()]
        self.optimizing = Optimizing(settings, self.parameters)
        self.feed = self._feed(changing)
        self.keeping = Keeping(run, settings, self.moving)
        self.watching = Watching(run, settings, self.free)
        measures = monitors.measuring(graph) or measured_losses(graph, "val")
        self.validates = "val" in run.source.splits() and bool(measures)
        self._require_validation()
        self.good = snapshot(graph.nodes, self.moving)

    def _feed(self, changing: set[str]) -> Feed:
        run, trainer, prefix = self.run, self.settings.trainer, None
        given: list[str] = []
        if trainer.cache:
            by_image = isinstance(run.source, MapStyleSource)
            ends = frozen_front(run.graph, self.losses.names, changing, by_image)
            given = [end for end in ends if end.partition(".")[0] != BATCH]
            prefix = Prefix(run, ends, self.cache)
        self.plan = run.plan("train", self.losses.ends, provided=given)
        if trainer.precision != "32-true":
            for step in self.plan.steps:
                step.forward = _full_precision(step.forward)
        return Feed(run, trainer.shuffle, prefix)

    def _require_validation(self) -> None:
        """Find out before training that what is monitored can be measured."""
        names = monitors.recorded(self.run.graph, self.losses.names)
        for name, place in self.settings.monitors() if not self.validates else ():
            if (monitors.meant(name, self.run.graph, names) or "val/").startswith("val/"):
                fix = "monitor train/total, or use data with a validation split"
                what = f"{place} monitors {name!r}, but the data has no split 'val'"
                raise ConfigError(what, where=self.run.graph.where("data"), fix=fix)

    def _require_monitored(self, recorded: Mapping[str, float]) -> None:
        """Tell of a metric that no node gave when it validated."""
        for name, place in self.settings.monitors():
            if monitors.value_of(name, recorded) is None:
                raise monitors.unknown(name, place, recorded)

    def resume(self) -> None:
        """Go on after the last finished epoch of a run that was stopped."""
        if self.path is None or not self.run.resumed:
            return
        if processes.rank() == 0:
            record.sweep(self.run)
        if (found := record.read(self.run, self.path, self.settings.plain())) is None:
            return
        tensors, about = found
        self.good = loaded(tensors, "node")
        self.restore(self.good)
        self.optimizing.restore(tensors, about["optimizing"])
        self.keeping.restore(tensors, about["keeping"])
        self.epoch, self.stopped = about["epoch"] + 1, about["stopped"]
        self._scaling = about["scaler"]

    def begin(self, scaler: Any) -> None:
        """Take the scaler of mixed precision, if there is one."""
        self.scaler = scaler
        if scaler is not None and getattr(self, "_scaling", None):
            scaler.load_state_dict(self._scaling)

    def start_epoch(self) -> None:
        """Pace what anneals, and put what is trained into training mode, all else not."""
        nodes = self.run.graph.nodes
        generators.start(nodes, self.run.seed, "epoch", self.epoch)
        for name in self.paced:
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
            return self.losses.nothing(self.parameters)
        values = self.plan(batch)
        total = self.losses.total(values, f"in batch {number} of epoch {self.epoch}")
        if processes.count() > 1:  # DDP wants a gradient for each parameter from each process
            total = total + zero(self.parameters)
        return total

    def end_epoch(self) -> None:
        """Measure, step the scheduler, keep what is to be kept, and write the record."""
        run, epoch, nodes = self.run, self.epoch, self.run.graph.nodes
        if not finite(self.parameters):
            names = [n for n in self.free if not finite([*nodes[n].parameters()])]
            what = f"the weights of {' and '.join(map(repr, names))} are not finite after epoch"
            fix = "lower the optimizer's lr, or set gradient_clip_val"
            raise NodeError(f"{what} {epoch}", where=run.graph.where("nodes", names[0]), fix=fix)
        rates = self.optimizing.rates()
        values = self.losses.means() | {
            "learning_rate" + (f"_{i}" if i else ""): rate for i, rate in enumerate(rates)
        }
        for name in self.paced:
            if hasattr(nodes[name], "schedule_values"):
                values |= {
                    f"{name}/{k}": float(v) for k, v in nodes[name].schedule_values().items()
                }
        run.log_metrics("train", values, step=epoch)
        recorded = {f"train/{name}": value for name, value in values.items()}
        if self.validates and (epoch + 1) % self.settings.trainer.check_val_every_n_epoch == 0:
            self.refit()
            recorded |= {f"val/{n}": v for n, v in evaluate(run, "val", epoch).items()}
            self._require_monitored(recorded)
        self.watching.epoch_ended(epoch, recorded, self.parameters)
        self.optimizing.epoch_ended(monitors.value_of(self.optimizing.monitor, recorded))
        self.good = snapshot(nodes, self.moving)
        self.stopped = self.keeping.epoch_ended(epoch, recorded, self.good)
        self._record()
        run.hook.epoch_ended(run=run, epoch=epoch, max_epochs=self.epochs)
        self.epoch += 1
        self.feed.epoch = self.epoch

    def _record(self) -> None:
        if self.path is None:
            return
        optimizing, about = self.optimizing.state()
        kept, table = self.keeping.state(self.good)
        now = {f"node/{name}/{k}": v for name, s in self.good.items() for k, v in s.items()}
        values = {
            "settings": self.settings.plain(),
            "epoch": self.epoch,
            "stopped": self.stopped,
            "optimizing": about,
            "keeping": table,
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        record.write(self.run, self.path, {**now, **optimizing, **kept}, values)

    def refit(self) -> None:
        """Fit the nodes under ``refit`` again, with the current weights."""
        if self.settings.refit:
            with self.run.inference():
                statistical.fit(self.run, self.settings.refit, "train", tell=False)

    def restore(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Set the nodes that move to saved states."""
        for name, state in states.items():
            self.run.graph.nodes[name].restore(state)

    def end(self) -> int:
        """Give the pipeline the best weights; the epoch they are from."""
        best, values, states = self.keeping.best(self.epoch - 1, self.good)
        self.watching.ended(self.epoch, self.validates, best, values)
        self.restore(states)
        self.refit()
        for name, value in values.items():  # the run's metrics are those of these weights
            stage, _, rest = name.partition("/")
            self.run.metrics.setdefault(stage, {})[rest] = value
        generators.start(self.run.graph.nodes, self.run.seed, "trained")
        self.run.log_metrics("train", {"best_epoch": best}, step=max(self.epoch - 1, 0))
        return best

    def close(self) -> None:
        """Freeze what was unfrozen, and forget what was cached."""
        for name in self.thawed:
            self.run.graph.nodes[name].freeze()
        for node in self.run.graph.nodes.values():
            if isinstance(node, torch.nn.Module):
                node.eval()
        self.cache.close()


def _full_precision(forward: Callable[..., Batch]) -> Callable[..., Batch]:
    """``forward`` as it is within, but with the float32 that ports declare between nodes."""

    def wrapped(**arrays: Any) -> Batch:
        made = forward(**arrays)
        return {name: value.float() if _is_half(value) else value for name, value in made.items()}

    return wrapped


def _is_half(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)


def _keeps(node: Any) -> bool:
    return isinstance(node, Stateful)
