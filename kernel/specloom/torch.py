"""The torch side of the contract: a base class for nodes, and the runtime behind the executor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from specloom import pool, threads
from specloom.arrays import node_calls
from specloom.arrays.kinds import CubeLike, X, native
from specloom.arrays.taken import TakenBatch, take_batch
from specloom.contract.errors import ConfigError, IntegrityError, NodeError, UnavailableError
from specloom.graph.node_class import EMPTY, Internal
from specloom.graph.ported import Ported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom.contract.nodes import Batch
    from specloom.contract.ports import Port

__all__ = [
    "CubeLike",
    "StatisticalNode",
    "TorchNode",
    "TorchRuntime",
    "all_cores",
    "buffer",
    "map_blocks",
    "no_memory",
    "one_thread",
    "reduce_blocks",
    "usable_pixels",
]

M = TypeVar("M")
R = TypeVar("R")

PLAIN_TYPES = frozenset({bool, int, float, str, type(None)})
"""The types of values that are neither tensors nor modules."""

one_thread = threads.one_thread


def buffer() -> Internal[Tensor]:
    """A tensor that ``build`` registers: ``mean = buffer()``, in the body of the class."""
    return Internal(EMPTY)


class TorchNode(Ported, nn.Module):
    """An ``nn.Module`` with ports and saved state.

    Write ``__init__`` (store the arguments), ``build`` (register the buffers) and ``forward``
    (a dictionary of the outputs). Buffers named in ``trainable`` become parameters while the
    node is unfrozen.
    """

    trainable: ClassVar[tuple[str, ...]] = ()
    generator: torch.Generator | None = None
    """The source of random numbers, seeded by the run; None gives torch's own."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, as ``nn.Module`` does, which looks for tensors and modules first."""
        if type(value) in PLAIN_TYPES and name in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def label(self) -> str:
        """The node's name in its graph, with its class."""
        cls = type(self).__name__
        if self.name:
            return f"node {self.name!r} ({cls})"
        return cls

    def fit(self, cube: CubeLike, /, **inputs: Any) -> Self:
        """Learn from one array, and return the node itself: ``RXGlobal().fit(cube)(cube)``.

        Args:
            cube: For the first input, (H, W, C) or (B, H, W, C) of NumPy, torch or xarray.
            inputs: Other inputs by name, such as ``valid=`` and ``mask=``.

        Raises:
            PortError: An array does not fit its port.
            NodeError: There is no pixel to learn from.
        """
        node_calls.fit_node(self, cube, inputs, TorchRuntime)
        return self

    def compute(self, cube: CubeLike, /, **inputs: Any) -> dict[str, Any]:
        """Every output by name, in the kind of the array; ``node(cube)`` is the first one.

        Args:
            cube: For the first input, (H, W, C) or (B, H, W, C) of NumPy, torch or xarray.
            inputs: Other inputs by name.

        Raises:
            PortError: An array does not fit its port.
            NodeError: The node is not fitted.
        """
        self.require_fitted()
        return node_calls.compute(self, cube, inputs, TorchRuntime)

    @overload
    def __call__(self, cube: NDArray[Any], /, *more: Any, **inputs: Any) -> NDArray[Any]: ...
    @overload
    def __call__(self, cube: Tensor, /, *more: Any, **inputs: Any) -> Tensor: ...
    @overload
    def __call__(self, cube: X, /, *more: Any, **inputs: Any) -> X: ...
    @overload
    def __call__(self, /, **inputs: Any) -> dict[str, Any]: ...
    def __call__(self, cube: Any = None, /, *more: Any, **inputs: Any) -> Any:
        """The first output for an array, in its kind; all outputs for tensors by name.

        Tensors go through ``nn.Module.__call__``, with gradients, hooks and modes as they are.
        Other arrays run without gradients and in evaluation mode.

        Args:
            cube: For the first input; None for tensors by name alone.
            more: For the inputs after the first, in their order.
            inputs: Other inputs by name.

        Raises:
            PortError: An array does not fit its port.
            NodeError: The node is not fitted.
        """
        if cube is None:
            self.require_fitted()
            return super().__call__(**inputs)
        others = node_calls.with_positional(self, more, inputs)
        if not isinstance(cube, Tensor):
            return self.compute(cube, **others)[node_calls.first_output(self)]
        taken = node_calls.take_tensors(self, cube, others)
        self.require_fitted()
        outputs = super().__call__(**taken.values)
        first = node_calls.first_output(self)
        return taken.first.give(outputs[first], self.outputs[first])

    def require_fitted(self) -> None:
        """Raise NodeError if the node has to be fitted first; a node without a fit never has."""

    def seed(self, seed: int) -> None:
        """Start the node's own generator."""
        tensors = iter(self.state_dict().values())
        first = next(tensors, torch.empty(0))
        generator = torch.Generator(first.device)
        self.generator = generator.manual_seed(seed)

    def unfreeze(self) -> None:
        """Turn the trainable buffers into parameters."""
        for name in self.trainable:
            tensor = self._buffers.pop(name, None)
            if tensor is not None:
                self._parameters[name] = nn.Parameter(tensor)

    def own_tensors(self) -> dict[str, Tensor]:
        """Buffers and parameters by name; as an attribute each would cost half a microsecond."""
        tensors: dict[str, Any] = {**self._buffers, **self._parameters}
        return tensors

    def freeze(self) -> None:
        """Turn the parameters back into buffers."""
        for name in self.trainable:
            parameter = self._parameters.pop(name, None)
            if parameter is not None:
                self._buffers[name] = parameter.detach()

    def state(self) -> Mapping[str, Tensor]:
        """Buffers and parameters by name, detached, on the CPU."""
        tensors = self.state_dict().items()
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state.

        Raises:
            IntegrityError: The names or shapes are not this node's.
        """
        cls = type(self).__name__
        present = self.state_dict()
        for name in sorted(present.keys() ^ state.keys()):
            difference = "lacks" if name in present else "has an unknown"
            raise IntegrityError(f"the state of {cls} {difference} {name!r}")
        for name, tensor in present.items():
            shape = tuple(tensor.shape)
            saved_shape = tuple(state[name].shape)
            if shape != saved_shape:
                what = f"{cls}.{name} was saved with shape {saved_shape}, this node has {shape}"
                raise IntegrityError(what)
        self.load_state_dict(dict(state))


class StatisticalNode(TorchNode):
    """A node that is fitted by streaming statistics.

    Write ``fit_start``, ``fit_update``, ``fit_state``, ``fit_merge`` and ``fit_end``; the last
    one calls ``self.finish_fit(pixels)``. Whether it is fitted, and on how many pixels, is saved
    with the buffers.
    """

    fit_passes = 1
    fitted = False
    pixels = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in vars(cls):
            cls.forward = _only_fitted(vars(cls)["forward"])

    def finish_fit(self, pixels: int) -> None:
        """Mark the node as fitted on ``pixels`` pixels.

        Raises:
            NodeError: There was no pixel to learn from.
        """
        if pixels < 1:
            fix = "check the training split: every pixel is NaN or excluded"
            raise NodeError(f"{self.label} was given no usable pixel to learn from", fix=fix)
        self.fitted = True
        self.pixels = int(pixels)

    def require_fitted(self) -> None:
        """Raise NodeError unless the node was fitted or restored from a fitted one."""
        if not self.fitted:
            fix = "fit it in a phase before, or load a fitted pipeline"
            raise NodeError(f"{self.label} is not fitted", fix=fix)

    def state(self) -> Mapping[str, Tensor]:
        """Buffers and parameters, and whether they were fitted on how many pixels."""
        state = dict(super().state())
        state["fitted"] = torch.tensor(self.fitted)
        state["pixels"] = torch.tensor(self.pixels)
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state, fitted or not."""
        missing = {"fitted", "pixels"} - state.keys()
        if missing:
            raise IntegrityError(f"the state of {type(self).__name__} lacks {sorted(missing)}")
        tensors = dict(state)
        fitted = bool(tensors.pop("fitted"))
        pixels = int(tensors.pop("pixels"))
        super().restore(tensors)
        self.fitted = fitted
        self.pixels = pixels


def _only_fitted(forward: Callable[..., R]) -> Callable[..., R]:
    """``forward`` that refuses to run before the fit, also where it is called by its name."""

    @wraps(forward)
    def run(node: StatisticalNode, *args: Any, **inputs: Any) -> R:
        node.require_fitted()
        return forward(node, *args, **inputs)

    return run


def usable_pixels(data: Tensor, valid: Tensor | None = None) -> Tensor:
    """Which pixels are finite in every band and valid: bool (B, H, W) of data (B, H, W, C).

    Args:
        data: The cubes, (B, H, W, C).
        valid: Pixels that count, bool (B, H, W, 1); None for all.
    """
    if data.is_floating_point():
        # One reduction finds NaN and infinities: 0 * x is NaN for both, and NaN survives a sum.
        usable = (data * 0).sum(-1) == 0
    else:
        usable = data.new_ones(data.shape[:-1], dtype=torch.bool)
    if valid is None:
        return usable
    return usable & valid[..., 0]


@contextmanager
def all_cores() -> Iterator[None]:
    """Let long parallel work use the threads of a command, by default the cores of the process.

    Outside of a command, and where the user set ``OMP_NUM_THREADS``, torch has the threads that it
    has outside of our calls. Afterwards it has as many as before.
    """
    before = torch.get_num_threads()
    usual = threads.long_work() or threads.outer_threads_of_torch() or before
    if usual == before:
        yield
        return
    torch.set_num_threads(usual)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_blocks(
    work: Callable[[int, M], R],
    count: int,
    memory: Callable[[], M],
    most: int | None = None,
) -> list[R]:
    """The results of all blocks, in their order, computed by the threads of the process.

    BLAS and torch have one thread meanwhile. Inside of a block, blocks are computed one after
    another. The number of threads is that of the command, or else ``SPECLOOM_THREADS``, or else
    ``OMP_NUM_THREADS``, or else what torch has, at most the cores of the process.

    Args:
        work: Computes the block of a number; its other argument is the memory of its thread.
        count: How many blocks there are. It must follow from the data alone.
        memory: Makes what a thread works in.
        most: How many threads compute at the most; None for all.
    """
    results: list[Any] = [None] * count
    _run_blocks(work, results.__setitem__, count, memory, most or threads.MOST)
    return results


def no_memory() -> None:
    """For blocks that need no memory of their thread."""


def reduce_blocks(
    work: Callable[[int, M], R],
    count: int,
    memory: Callable[[], M],
    merge: Callable[[Sequence[R]], R],
    most: int = threads.MOST,
) -> R:
    """The results of all blocks, one or more, merged in a fixed tree; see ``map_blocks``.

    Args:
        work: Computes the block of a number; its other argument is the memory of its thread.
        count: How many blocks there are. It must follow from the data alone.
        memory: Makes what a thread works in.
        merge: Joins several results, in their order; it may change them.
        most: No more threads than this, where the memory of each is large.
    """
    tree = pool.MergeTree(merge)
    _run_blocks(work, tree.add, count, memory, most)
    return tree.total()


def _run_blocks(
    work: Callable[[int, M], R],
    done: Callable[[int, R], None],
    count: int,
    memory: Callable[[], M],
    most: int = threads.MOST,
) -> None:
    """Compute blocks in the modes of the calling thread."""
    if count < 2:
        with one_thread():
            if count:
                done(0, work(0, memory()))
        return

    def begin() -> Callable[[int], R]:
        own = memory()
        return lambda number: work(number, own)

    modes = partial(_modes, torch.is_inference_mode_enabled(), torch.is_grad_enabled())
    with one_thread():
        pool.run_blocks(begin, done, count, modes, most)


@contextmanager
def _modes(inference: bool, gradients: bool) -> Iterator[None]:
    """One thread of torch, and its modes, which hold for each thread of the process."""
    with one_thread(), torch.inference_mode(inference), torch.set_grad_enabled(gradients):
        yield


class TorchRuntime:
    """Device, modes, seeds and bytes for the torch-free executor.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` and so on.

    Raises:
        SpecloomError: There is no such kind of device, or torch does not find it.
    """

    def __init__(self, device: str = "auto") -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        _check_device(device)
        self.device = device

    def adopt(self, batch: Batch, ports: Mapping[str, Port]) -> Batch:
        """Arrays as tensors on the device, without a copy where none is needed."""
        adopted: dict[str, Any] = {}
        for name, value in batch.items():
            if isinstance(value, np.ndarray):
                value = torch.from_numpy(native(value))
            port = ports.get(name)
            stays = port is not None and port.host
            if isinstance(value, Tensor) and not stays:
                value = value.to(self.device, non_blocking=True)
            adopted[name] = value
        return adopted

    @contextmanager
    def evaluation(self, nodes: Iterable[Any]) -> Iterator[None]:
        """No gradients, one thread of torch, modules in evaluation mode; as before afterwards."""
        modules = [node for node in nodes if isinstance(node, nn.Module)]
        training = [module for module in modules if module.training]
        for module in modules:
            module.eval()
        try:
            with one_thread(), torch.no_grad():
                yield
        finally:
            for module in training:
                module.train()

    def place(self, nodes: Mapping[str, Any], seed: int) -> None:
        """Move modules to the device, seed each one's generator by its name, and prepare it."""
        torch.manual_seed(seed)
        for name, node in nodes.items():
            if isinstance(node, nn.Module):
                node.to(self.device)
            if hasattr(node, "seed"):
                node.seed(_seed_of(name, seed))
            if hasattr(node, "prepare"):
                node.prepare(self.device)

    def forward(self, node: Any) -> Callable[..., Batch]:
        """``node.forward``, converted to take and give tensors if it works on NumPy arrays."""

        def converted(**arrays: Any) -> Batch:
            batch = {name: _to_numpy(value) for name, value in arrays.items()}
            outputs = node.forward(**batch)
            return self.adopt(outputs, node.outputs)

        if getattr(node, "array_library", "") == "numpy":
            return converted
        forward: Callable[..., Batch] = node.forward
        return forward

    def take_batch(
        self, ports: Mapping[str, Port], cube: Any, others: Mapping[str, Any], owner: str
    ) -> TakenBatch:
        """Arrays of a user as tensors: a cube for the first port, others by name.

        Args:
            ports: The ports, the one of the cube first.
            cube: NumPy, torch or xarray.
            others: Other arrays by the names of their ports.
            owner: What messages call the owner of the ports.

        Raises:
            PortError: There is no such port, or an array does not fit its port or the cube.
        """
        return take_batch(ports, cube, others, owner)

    def to_numpy(self, value: Any) -> Any:
        """A tensor as a NumPy array."""
        return _to_numpy(value)

    def dump(self, arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
        """Tensors and NumPy arrays as safetensors, in the order of their names."""
        tensors = {}
        for name in sorted(arrays):
            tensor = torch.as_tensor(arrays[name])
            tensors[name] = tensor.detach().cpu().contiguous()
        data = safetensors.torch.save(tensors, dict(metadata) or None)
        return bytes(data)

    def load(self, data: bytes) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """Tensors and metadata from safetensors.

        Raises:
            IntegrityError: The bytes are something else.
        """
        size = int.from_bytes(data[:8], "little")
        try:
            header = json.loads(data[8 : 8 + size])
            metadata = header.get("__metadata__", {})
            tensors = safetensors.torch.load(data)
        except MemoryError:
            raise
        except Exception as e:
            what = f"what holds the weights is no safetensors file ({type(e).__name__})"
            raise IntegrityError(what, fix="restore it from where it was saved") from e
        return tensors, metadata


def _check_device(device: str) -> None:
    """Raise SpecloomError unless torch has the device."""
    kind, _, digits = device.partition(":")
    if kind not in ("cpu", "cuda") or not (digits or "0").isdigit():
        raise ConfigError(f"there is no device {device!r}", fix="use auto, cpu, cuda or cuda:0")
    if kind == "cpu":
        return
    number = int(digits or 0)
    count = torch.cuda.device_count()
    if number >= count:
        found = f"only {count}" if count else "no GPU"
        what = f"device {device!r} is not available: torch {torch.__version__} finds {found}"
        fix = "use --device cpu, or install a CUDA build of torch and its driver"
        raise UnavailableError(what, fix=fix)


def _seed_of(name: str, seed: int) -> int:
    """The seed of a node's generator, from its name and the seed of the run."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _to_numpy(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_numpy(one) for one in value]
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    return value
