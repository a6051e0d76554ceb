"""A detector of one's own: a Python function as a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, NodeError, Output, node
from specloom.torch import TorchNode

if TYPE_CHECKING:
    from numpy.typing import NDArray

ScoreFunction: TypeAlias = "Callable[[NDArray[Any]], Any]"
"""Scores (H, W) of a cube (H, W, C); higher is more anomalous."""


NAMELESS = "<lambda>"
"""The name of functions that have none, which no saved pipeline can name."""


def mean_of_bands(cube: NDArray[Any]) -> NDArray[Any]:
    """The mean of the bands of each pixel, (H, W)."""
    means: NDArray[Any] = cube.mean(-1)
    return means


FUNCTIONS: dict[str, ScoreFunction] = {"mean_of_bands": mean_of_bands}
"""The functions of this process that nodes may call, by name."""


@node
class FunctionDetector(TorchNode):
    """Scores of a Python function of this process; higher is more anomalous.

    The function gets one whole image at a time, (H, W, C) as NumPy, NaN where there is no data, and
    returns (H, W) of the same image. ``specloom_detect.as_node`` makes the node and makes the
    function known. A saved pipeline has only its name: files never name code. Whoever loads it
    calls ``as_node`` first; a detector for others is a plugin. Scores have no gradient.

    Args:
        function: The name of the function.

    Raises:
        ConfigError: No function of that name is known in this process.
        NodeError: The function fails, or returns something else than a number for each pixel.
    """

    data = Input("B H W C", host=True, doc="Pixels; the function works on the CPU.")
    scores = Output("B H W 1", doc="Scores of the function; higher is more anomalous.")
    locality = "image"
    example: ClassVar[Mapping[str, object]] = {"function": "mean_of_bands"}

    function: str

    def __post_init__(self) -> None:
        """No function yet: it is looked for when the node is built, unless ``as_node`` has it."""
        self._score_of: ScoreFunction | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Look for the function."""
        if self._score_of is not None:
            return
        if self.function not in FUNCTIONS:
            what = f"{self.label}: no function {self.function!r} is known in this process"
            fix = "call specloom_detect.as_node(function) first, or make a plugin of it"
            raise ConfigError(what, fix=fix)
        self._score_of = FUNCTIONS[self.function]

    def forward(self, data: Tensor) -> Batch:
        """The scores (B, H, W, 1), float32."""
        scored = [self._score(image.detach().cpu().numpy()) for image in data]
        scores = torch.from_numpy(np.stack(scored))[..., None]
        return {"scores": scores.to(data.device)}

    def _score(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The scores of one image, (H, W).

        Raises:
            NodeError: The function fails, or returns something else than a number for each pixel.
        """
        assert self._score_of is not None, "a node is built before it is called"
        try:
            made = self._score_of(image.copy())
        except Exception as error:
            what = f"{self.label}: {self.function} fails: {type(error).__name__}: {error}"
            fix = f"correct {self.function}: it gets an array (H, W, C) of shape {image.shape}"
            raise NodeError(what, fix=fix) from error
        size = image.shape[:2]
        if isinstance(made, Tensor):
            made = made.detach().cpu().numpy()
        scores = np.asarray(made)
        if scores.shape == (*size, 1):
            scores = scores[..., 0]
        fix = f"return one score for each pixel, an array of shape {size}"
        if scores.shape != size:
            what = f"{self.label}: {self.function} returns an array of shape {scores.shape}"
            raise NodeError(what, fix=fix)
        if scores.dtype.kind not in "biuf":
            what = f"{self.label}: {self.function} returns values of type {scores.dtype}"
            raise NodeError(what, fix=fix)
        return scores.astype(np.float32)


def as_node(function: ScoreFunction) -> FunctionDetector:
    """A node that scores pixels by a function of one's own.

    Args:
        function: From a cube (H, W, C) of NumPy to scores (H, W), NumPy or torch; higher is more
            anomalous. It gets one whole image at a time.

    Raises:
        ConfigError: It is no function.
    """
    kind = type(function).__name__
    if not callable(function):
        what = f"a detector of type {kind} is no function"
        raise ConfigError(what, fix="pass a function from a cube (H, W, C) to scores (H, W)")
    name = kind
    if isinstance(function, FunctionType):
        name = function.__name__
    if name != NAMELESS:
        FUNCTIONS[name] = function
    made = FunctionDetector(function=name)
    made._score_of = function  # another function of this name does not replace it
    return made
