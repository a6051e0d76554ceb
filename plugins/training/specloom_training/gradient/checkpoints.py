"""What is saved of the epochs: the best weights, checkpoint files, and when to stop."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor

from specloom import Graph, IntegrityError, Run, Stateful, write_file
from specloom_training import processes
from specloom_training.gradient.checkpoint_table import CheckpointTable
from specloom_training.gradient.early_stopping import EarlyStopping
from specloom_training.gradient.monitors import value_of

if TYPE_CHECKING:
    from specloom_training.config import ModelCheckpointConfig
    from specloom_training.gradient.settings import Settings

States: TypeAlias = Mapping[str, Mapping[str, Tensor]]
SUFFIX = ".safetensors"
LAST = "last"


def snapshot(nodes: Mapping[str, Any], names: Iterable[str]) -> States:
    """A copy of the state of the named nodes."""
    return {name: _copy(nodes[name].state()) for name in names}


def _copy(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}


def flatten(states: States, kind: str) -> dict[str, Tensor]:
    """States as tensors named ``kind/node/name``."""
    tensors = {}
    for node, state in states.items():
        for name, value in state.items():
            tensors[f"{kind}/{node}/{name}"] = value
    return tensors


def unflatten(tensors: Mapping[str, Tensor], kind: str) -> States:
    """The states that a record holds under ``kind/node/name``."""
    states: dict[str, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        first, _, rest = path.partition("/")
        if first == kind:
            node, _, name = rest.partition("/")
            states.setdefault(node, {})[name] = value
    return states


class Checkpoints:
    """The best weights so far, the files of checkpoints, and the counters of early stopping.

    Args:
        run: The run.
        settings: What is to be saved, and when training stops.
        moving: The nodes that change while training.
    """

    def __init__(self, run: Run, settings: Settings, moving: Iterable[str]) -> None:
        self.run = run
        self.moving = list(moving)
        self.stoppers = [EarlyStopping(one) for one in settings.early_stopping]
        self.config = settings.checkpoint
        self.table = None if self.config is None else CheckpointTable(self.config)
        self.folder = _folder(run, self.config)
        self._best: tuple[int, Mapping[str, float], States] | None = None
        self._last: Mapping[str, float] = {}

    def epoch_ended(self, epoch: int, values: Mapping[str, float], states: States) -> bool:
        """Take in an epoch; whether training should stop."""
        self._last = values
        if self.config is not None and self.table is not None:
            self._save(self.config, self.table, epoch, values, states)
        stops = [stopper.should_stop(values) for stopper in self.stoppers]  # each of them counts
        return any(stops)

    def _save(
        self,
        config: ModelCheckpointConfig,
        table: CheckpointTable,
        epoch: int,
        values: Mapping[str, float],
        states: States,
    ) -> None:
        name, outdated, best = table.offer(epoch, values)
        value = value_of(config.monitor, values) if config.monitor else None
        if best:
            self._best = (epoch, values, states)
        if name:
            path = self._write(config, name, epoch, value)
            if path is not None and config.verbose:
                self.run.hook.warned(run=self.run, message=_describe(config, path, value))
        if config.save_last:
            self._write(config, LAST, epoch, value)
        for one in outdated:
            self._remove(one)

    def _write(
        self, config: ModelCheckpointConfig, name: str, epoch: int, value: float | None
    ) -> Path | None:
        if self.folder is None or processes.rank() > 0:
            return None
        path = self.folder / f"{name}{SUFFIX}"
        about = {"epoch": epoch, "monitor": config.monitor, "value": value}
        data = self.run.runtime.dump(self.run.graph.state(), {"checkpoint": json.dumps(about)})
        # The last state is in the record of the training too, which is written after it.
        write_file(path, data, sync=name != LAST)
        self.run.hook.checkpoint_saved(run=self.run, path=path)
        return path

    def _remove(self, name: str) -> None:
        if self.folder is not None and processes.rank() == 0:
            # From a record that came from elsewhere, a name could be a path.
            file = Path(f"{name}{SUFFIX}").name
            (self.folder / file).unlink(missing_ok=True)

    def best(self, last: int, states: States) -> tuple[int, Mapping[str, float], States]:
        """The best epoch, what it recorded, and its weights; the last where none is better."""
        if self.config is not None and self._best is not None:
            return self._best
        if self.config is not None and self.config.monitor is not None:
            warnings.warn(
                f"no epoch recorded {self.config.monitor!r}, so the last one is used: set "
                "check_val_every_n_epoch to 1, or train for more epochs",
                stacklevel=2,
            )
        return last, self._last, states

    def state(self, now: States) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and what JSON holds; the best weights only where they are not those of now."""
        about: dict[str, Any] = {
            "stoppers": [[one.best, one.waited] for one in self.stoppers],
            "table": None if self.table is None else self.table.entries,
            "values": self._last,
        }
        if self._best is None:
            return {}, about
        epoch, values, states = self._best
        about["best"] = [epoch, values]
        if states is now:
            return {}, about
        return flatten(states, "best"), about

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from a record."""
        for stopper, (best, waited) in zip(self.stoppers, about["stoppers"], strict=True):
            stopper.best = best
            stopper.waited = waited
        self._last = about["values"]
        if self.table is not None:
            self.table.entries = about["table"]
        if "best" in about:
            epoch, values = about["best"]
            states = unflatten(tensors, "best") or unflatten(tensors, "node")
            self._best = (epoch, values, states)


def _folder(run: Run, config: ModelCheckpointConfig | None) -> Path | None:
    """Where files go; None where none are written."""
    if config is None:
        return None
    if config.dirpath:
        return Path(config.dirpath)
    if run.folder is None:
        return None
    return Path(run.folder) / "checkpoints"


def _describe(config: ModelCheckpointConfig, path: Path, value: float | None) -> str:
    if value is None:
        return f"saved checkpoint {path.name}"
    return f"saved checkpoint {path.name}: {config.monitor} is {value:.4g}"


def load_checkpoint(graph: Graph, path: str | Path, run: Run | None = None) -> dict[str, Any]:
    """Set every node of ``graph`` to a checkpoint; its epoch, monitor and value.

    Raises:
        IntegrityError: The file is not a checkpoint of this graph.
    """
    from specloom.torch import TorchRuntime

    runtime = run.runtime if run else TorchRuntime("cpu")
    tensors, metadata = runtime.load(Path(path).read_bytes())
    if "checkpoint" not in metadata:
        raise IntegrityError(f"{path} is not a checkpoint", fix="use a file from checkpoints/")
    for name, node in graph.nodes.items():
        if isinstance(node, Stateful):
            node.restore(_of_node(tensors, name))
    try:
        return dict(json.loads(metadata["checkpoint"]))
    except (ValueError, TypeError, RecursionError) as e:
        what = f"{path} is not a checkpoint: its metadata cannot be read"
        raise IntegrityError(what, fix="use a file from checkpoints/") from e


def _of_node(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {
        path.removeprefix(prefix): value
        for path, value in tensors.items()
        if path.startswith(prefix)
    }
