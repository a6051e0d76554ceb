"""What is kept of the epochs: the best weights, checkpoint files, and when to stop."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor

from specloom import Graph, IntegrityError, Run, Stateful, write_file
from specloom_training import processes
from specloom_training.gradient.monitors import value_of
from specloom_training.gradient.stopping import Kept, Stopper

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings

States: TypeAlias = Mapping[str, Mapping[str, Tensor]]
SUFFIX = ".safetensors"
LAST = "last"


def snapshot(nodes: Mapping[str, Any], names: Iterable[str]) -> States:
    """The state of the named nodes, apart from them."""
    return {name: {k: v.clone() for k, v in nodes[name].state().items()} for name in names}


def loaded(tensors: Mapping[str, Tensor], kind: str) -> States:
    """The states that a record holds under ``kind/node/name``."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        first, _, rest = name.partition("/")
        if first == kind:
            node, _, key = rest.partition("/")
            found.setdefault(node, {})[key] = value
    return found


class Keeping:
    """The best weights so far, the files of checkpoints, and the counters of early stopping.

    Args:
        run: The run.
        settings: What is to be kept, and when training stops.
        moving: The nodes that change while training.
    """

    def __init__(self, run: Run, settings: Settings, moving: Iterable[str]) -> None:
        self.run, self.moving = run, list(moving)
        self.stoppers = [Stopper(one) for one in settings.early_stopping]
        self.config = settings.checkpoint
        self.kept = Kept(self.config) if self.config else None
        self.folder = self._folder()
        self._best: tuple[int, Mapping[str, float], States] | None = None
        self._last: Mapping[str, float] = {}

    def _folder(self) -> Path | None:
        if self.config is None:
            return None
        if self.config.dirpath:
            return Path(self.config.dirpath)
        return None if self.run.folder is None else Path(self.run.folder) / "checkpoints"

    def epoch_ended(self, epoch: int, values: Mapping[str, float], states: States) -> bool:
        """Take in an epoch; whether training should stop."""
        self._last = values
        if self.config is not None and self.kept is not None:
            name, gone, best = self.kept.offer(epoch, values)
            value = value_of(self.config.monitor, values) if self.config.monitor else None
            if best:
                self._best = epoch, values, states
            if name:
                self._write(name, epoch, value)
            if self.config.save_last:
                self._write(LAST, epoch, value)
            for one in gone:
                self._remove(one)
        stops = [stopper.stops(values) for stopper in self.stoppers]  # each of them counts
        return any(stops)

    def _write(self, name: str, epoch: int, value: float | None) -> None:
        if self.folder is None or processes.rank():
            return
        path = self.folder / f"{name}{SUFFIX}"
        about = {"epoch": epoch, "monitor": self.config and self.config.monitor, "value": value}
        data = self.run.runtime.dump(self.run.graph.state(), {"checkpoint": json.dumps(about)})
        write_file(path, data)
        self.run.hook.checkpoint_saved(run=self.run, path=path)
        if self.config and self.config.verbose and name != LAST:
            said = "" if value is None else f": {self.config.monitor} is {value:.4g}"
            self.run.hook.warned(run=self.run, message=f"checkpoint {path.name}{said}")

    def _remove(self, name: str) -> None:
        if self.folder is not None and not processes.rank():
            # From a record that came from elsewhere, a name could be a path.
            (self.folder / Path(f"{name}{SUFFIX}").name).unlink(missing_ok=True)

    def best(self, last: int, states: States) -> tuple[int, Mapping[str, float], States]:
        """The best epoch, what it recorded, and its weights; the last where none is better."""
        if self.config is None or self._best is None:
            if self.config is not None and self.config.monitor is not None:
                text = f"no epoch recorded {self.config.monitor!r}, so the last one is kept"
                cure = "set check_val_every_n_epoch to 1, or train for more epochs"
                warnings.warn(f"{text}: {cure}", stacklevel=2)
            return last, self._last, states
        return self._best

    def state(self, now: States) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and what JSON holds; the best weights only where they are not those of now."""
        stoppers = [[one.best, one.waited] for one in self.stoppers]
        about: dict[str, Any] = {"stoppers": stoppers, "table": self.kept and self.kept.table}
        about["values"] = self._last
        if self._best is None:
            return {}, about
        epoch, values, states = self._best
        about["best"] = [epoch, values]
        if states is now:
            return {}, about
        return {f"best/{n}/{k}": v for n, s in states.items() for k, v in s.items()}, about

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from a record."""
        for stopper, (best, waited) in zip(self.stoppers, about["stoppers"], strict=True):
            stopper.best, stopper.waited = best, waited
        self._last = about["values"]
        if self.kept is not None:
            self.kept.table = about["table"]
        if "best" in about:
            epoch, values = about["best"]
            self._best = epoch, values, loaded(tensors, "best") or loaded(tensors, "node")


def load_checkpoint(graph: Graph, path: str | Path, run: Run | None = None) -> dict[str, Any]:
    """Set every node of ``graph`` to a checkpoint; what it says of itself.

    Raises:
        IntegrityError: The file is no checkpoint of this graph.
    """
    from specloom.torch import TorchRuntime

    runtime = run.runtime if run else TorchRuntime("cpu")
    tensors, metadata = runtime.load(Path(path).read_bytes())
    if "checkpoint" not in metadata:
        raise IntegrityError(f"{path} is no checkpoint", fix="give a file of checkpoints/")
    for name, node in graph.nodes.items():
        if isinstance(node, Stateful):
            node.restore(
                {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
            )
    try:
        about = dict(json.loads(metadata["checkpoint"]))
    except (ValueError, TypeError, RecursionError) as e:
        what = f"{path} is no checkpoint: what it says of itself cannot be read"
        raise IntegrityError(what, fix="give a file of checkpoints/") from e
    return about
