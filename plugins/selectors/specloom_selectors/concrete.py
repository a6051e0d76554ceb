"""Selection of distinct bands, one for each output channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from specloom import Batch, ConfigError, Input, Internal, NodeError, Output, node
from specloom.torch import TorchNode, buffer
from specloom_selectors.effective import effective_channels
from specloom_selectors.gumbel import gumbel
from specloom_selectors.mixing import mix_channels

FIRST_SPREAD = 0.01
"""The standard deviation of the first logits."""

CERTAIN = 0.5
"""A channel with more than this share of its weight on one band has chosen it."""


def distinct_bands(logits: Tensor) -> Tensor:
    """The K distinct bands (K,) with the largest sum of ``logits`` (K, C), one for each row.

    That is the most probable choice of distinct bands, as softmax only takes a constant off each
    row. Where the rows' own largest are distinct, it is those.
    """
    cost = logits.detach().cpu().double().numpy()
    return torch.from_numpy(linear_sum_assignment(cost, maximize=True)[1]).to(logits.device)


@node
class ConcreteBandSelector(TorchNode):
    """Learns one band for each output channel, by samples that harden as the temperature falls.

    While the node is unfrozen and in training each output is a mixture of the bands by
    softmax((logits + noise) / tau); otherwise it is one band, and the K bands are distinct: those
    with the largest sum of logits. They are found when the node goes to evaluation, is frozen or
    restored; call ``update_bands`` after changing ``logits`` by hand. ``selection_weights`` are
    those that ``rgb`` was made with.

    tau falls linearly: tau_start + (tau_end - tau_start) * epoch / max_epochs. A trainer's epochs
    are spread over this range, so that the first one trains at tau_start and the last one, also
    where it is the only one, at tau_end. A pixel that is not finite in a band gives NaN in a
    mixture, and in the outputs that select this band.

    Source: M. F. Balin, A. Abid, J. Zou, "Concrete autoencoders", ICML 2019, section 3, with
    linear in place of exponential annealing, and bands that are distinct.

    Args:
        input_channels: C; the graph infers it.
        output_channels: K.
        tau_start: The temperature at epoch 0.
        tau_end: The temperature from epoch ``max_epochs``.
        max_epochs: The epochs in which it falls; None for those of the trainer.
        use_hard_inference: One band for each output when not training; else the mixture by
            softmax(logits / tau).
        eps: The noise is at most -ln(eps).
        schedule: ``exponential``: tau_start * (tau_end / tau_start)^(epoch / max_epochs).

    Raises:
        ConfigError: A parameter is out of its range, such as more outputs than bands.
        NodeError: The logits are not finite, as after a training that diverged.
    """

    data = Input("B H W input_channels", doc="Pixels.")
    rgb = Output("B H W output_channels", doc="The selected bands, or mixtures of bands.")
    selection_weights = Output(
        "output_channels input_channels", doc="The weights of the bands in each output."
    )
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}
    trainable = ("logits",)

    input_channels: int | None = None
    output_channels: int = 3
    tau_start: float = 10.0
    tau_end: float = 0.1
    max_epochs: int | None = None
    use_hard_inference: bool = True
    eps: float = 1e-6
    schedule: Literal["linear", "exponential"] = "linear"

    logits = buffer()
    tau = buffer()
    bands = buffer()
    one_hot = buffer()
    _first_logits = Internal[Tensor | None](None)
    _trainers_epochs = Internal[int | None](None)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters, allocate the temperature and draw the first logits."""
        size = sizes["input_channels"]
        count = self.output_channels
        if not 1 <= count <= size:
            fix = f"set output_channels to a number from 1 to {size}, the number of bands"
            raise ConfigError(f"{self.label}: output_channels is {count}", fix=fix)
        for name in ("tau_start", "tau_end", "eps"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{self.label}: {name} is {value}", fix=f"set {name} above 0")
        if self.tau_start < self.tau_end:
            what = f"{self.label}: tau_start is {self.tau_start}, below tau_end"
            raise ConfigError(what, fix=f"set tau_start to {self.tau_end} or more")
        if self.max_epochs is not None and self.max_epochs < 1:
            what = f"{self.label}: max_epochs is {self.max_epochs}"
            raise ConfigError(what, fix="set it to 1 or more, or remove it to follow the trainer")
        self.register_buffer("logits", torch.zeros(count, size))
        self.register_buffer("tau", torch.tensor(self.tau_start, dtype=torch.float64))
        self.register_buffer("bands", torch.arange(count), persistent=False)
        self.register_buffer("one_hot", torch.eye(count, size), persistent=False)
        self.register_load_state_dict_post_hook(_loaded)  # type: ignore[no-untyped-call]  # torch has no types here
        self._draw_logits(0)

    def _draw_logits(self, seed: int) -> None:
        """Small random logits, on the CPU so that every device starts alike."""
        # Another seed than the noise's: the first noise would repeat the logits.
        generator = torch.Generator().manual_seed(seed ^ 1)
        self._first_logits = FIRST_SPREAD * torch.randn(self.logits.shape, generator=generator)
        with torch.no_grad():
            self.logits.copy_(self._first_logits)
        self._choose_bands()

    def seed(self, seed: int) -> None:
        """Start the node's own generator, and draw the logits again unless they were trained."""
        super().seed(seed)
        if self._first_logits is not None and torch.equal(
            self.logits.to(self._first_logits), self._first_logits
        ):
            self._draw_logits(seed)

    def update_bands(self) -> None:
        """Find the distinct bands of the logits, so that ``forward`` need not wait for them."""
        if not bool(self.logits.isfinite().all()):
            fix = "lower the learning rate or clip the gradients, and train again"
            raise NodeError(f"the logits of {self.label} are not finite", fix=fix)
        self._choose_bands()

    def _choose_bands(self) -> None:
        """Find the distinct bands of finite logits, which needs no value of them in ``check``."""
        self.bands = distinct_bands(self.logits)
        one_hot = torch.zeros_like(self.logits, requires_grad=False)
        self.one_hot = one_hot.scatter_(1, self.bands[:, None], 1)

    def train(self, mode: bool = True) -> Self:
        """Go to training or evaluation; evaluation finds the bands of trained logits."""
        super().train(mode)
        if not mode and "logits" in self._parameters:
            self.update_bands()
        return self

    def freeze(self) -> None:
        """Turn the parameter back into a buffer."""
        super().freeze()
        self.update_bands()

    def _get_tau(self, epoch: float) -> float:
        """The temperature at an epoch, counted from 0; that of ``max_epochs`` is tau_end."""
        if epoch <= 0:
            return self.tau_start
        total = self._trainers_epochs if self.max_epochs is None else self.max_epochs
        if total is None:
            fix = "set max_epochs, or call this during training"
            raise NodeError(f"{self.label} does not know for how many epochs it trains", fix=fix)
        if epoch >= total:
            return self.tau_end
        if self.schedule == "exponential":
            return float(self.tau_start * (self.tau_end / self.tau_start) ** (epoch / total))
        return self.tau_start + (self.tau_end - self.tau_start) * epoch / total

    def on_epoch(self, epoch: int, max_epochs: int) -> None:
        """Set the temperature; a trainer calls this before each epoch."""
        self._trainers_epochs = max_epochs
        total = max_epochs if self.max_epochs is None else self.max_epochs
        self.tau.fill_(self._get_tau(_spread(epoch, total)))

    def forward(self, data: Tensor) -> Batch:
        """Select from (B, H, W, C) ``data``."""
        learning = self.training and self.logits.requires_grad
        if self.use_hard_inference and not learning:
            rgb = data.index_select(-1, self.bands)
            return {"rgb": rgb, "selection_weights": self.one_hot}
        weights = self._sample() if learning else self._soft(self.logits)
        return {"rgb": mix_channels(data, weights), "selection_weights": weights}

    def _soft(self, logits: Tensor) -> Tensor:
        return (logits / self.tau).softmax(-1)

    def _sample(self) -> Tensor:
        return self._soft(self.logits + gumbel(self.logits, self.generator, self.eps))

    def get_selection_weights(self, deterministic: bool = True) -> Tensor:
        """softmax(logits / tau), (K, C), without gradient; with noise unless ``deterministic``."""
        with torch.no_grad():
            return self._soft(self.logits) if deterministic else self._sample()

    def get_selected_bands(self) -> Tensor:
        """The distinct bands (K,), int64, by output channel."""
        self.update_bands()
        return self.bands.clone()

    def effective_channels(self) -> float:
        """exp of the entropy of an output's weights, mean of all: 1 for one band, C for all."""
        return effective_channels(self.get_selection_weights()).mean().item()

    def schedule_values(self) -> Mapping[str, float]:
        """What changes by the epoch, to be recorded."""
        return {
            "temperature": self.tau.item(),
            "effective_channels": self.effective_channels(),
        }

    def epoch_artifacts(self) -> Mapping[str, Any]:
        """The distinct bands by output, as text, and the weights (K, C) without noise."""
        bands = distinct_bands(self.logits)
        weights = self.get_selection_weights()
        return {"bands": ", ".join(map(str, bands.tolist())), "weights": weights.cpu().numpy()}

    def diagnose(self) -> str | None:
        """A warning with its fix where several outputs have chosen the same band."""
        share, band = self.get_selection_weights().max(-1)
        chosen = torch.bincount(band[share > CERTAIN], minlength=1)
        most = int(chosen.max())
        if most < 2:
            return None
        what = f"{most} of {len(band)} output channels have chosen band {int(chosen.argmax())}"
        fix = "raise the weight of the distinctness loss, or train for more epochs"
        return f"{self.label}: {what}; {fix}"


def _spread(epoch: int, epochs: int) -> float:
    """An epoch of a training, on a scale from 0 on which the last one is ``epochs``."""
    if epochs <= 1:
        return float(epochs)
    return epoch * epochs / (epochs - 1)


def _loaded(node: ConcreteBandSelector, _keys: object) -> None:
    node._first_logits = None  # even if the logits are as drawn: no seed may change what was saved
    node.update_bands()
