"""The trained part of AdaCLIP: prompts, their generators and the projections of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from specloom import IntegrityError

PREFIX = "clip_model."
"""The prefix of names in public checkpoints."""
SHOWN_DIFFERENCES = 3

#: The visual or the language tower.
Tower: TypeAlias = Literal["V", "L"]


class StaticPrompts(nn.Module):
    """Static prompts, (length, width) for each prompted layer."""

    def __init__(self, depth: int, length: int, width: int) -> None:
        super().__init__()
        layers = [nn.Parameter(torch.randn(length, width) * 0.02) for _ in range(depth)]
        self.static_prompts = nn.ParameterList(layers)


class Heads(nn.Module):
    """Several linear maps of the same shape."""

    def __init__(self, count: int, width: int, to: int) -> None:
        super().__init__()
        self.head = nn.ModuleList(nn.Linear(width, to) for _ in range(count))


class Adapters(nn.Module):
    """All six groups, under the names of the public checkpoints.

    Args:
        visual_width: The width of the visual tower.
        text_width: The width of the text tower.
        embed_dim: The dimension that both towers project to.
        taps: The number of tapped layers.
        depth: The number of prompted layers.
        length: The number of prompts in a layer.
        branch: ``V`` and ``L`` for the towers that are prompted.
        kind: ``S`` for static prompts, ``D`` for those made from the image.
    """

    def __init__(
        self,
        visual_width: int,
        text_width: int,
        embed_dim: int,
        taps: int = 4,
        depth: int = 4,
        length: int = 5,
        branch: str = "VL",
        kind: str = "SD",
    ) -> None:
        super().__init__()
        self.depth = depth
        self.length = length
        self.branch = branch
        self.kind = kind
        if self.has_static and self.prompts("L"):
            self.text_prompter = StaticPrompts(depth, length, text_width)
        if self.has_static and self.prompts("V"):
            self.visual_prompter = StaticPrompts(depth, length, visual_width)
        self.patch_token_layer = Heads(taps, visual_width, embed_dim)
        self.cls_token_layer = Heads(1, embed_dim, embed_dim)
        if self.has_dynamic:
            self.dynamic_visual_prompt_generator = Heads(length, embed_dim, visual_width)
            self.dynamic_text_prompt_generator = Heads(length, embed_dim, text_width)

    @property
    def has_static(self) -> bool:
        """Whether there are static prompts."""
        return "S" in self.kind

    @property
    def has_dynamic(self) -> bool:
        """Whether prompts are made from the image."""
        return "D" in self.kind

    def prompts(self, tower: Tower) -> bool:
        """Whether a tower is prompted."""
        return tower in self.branch

    def dynamic_prompts(self, tower: Tower, feature: Tensor) -> Tensor | None:
        """Return a tower's prompts (B, length, width) made from image features (B, embed_dim)."""
        if not self.has_dynamic or not self.prompts(tower):
            return None
        if tower == "V":
            heads = self.dynamic_visual_prompt_generator
        else:
            heads = self.dynamic_text_prompt_generator
        return torch.stack([head(feature) for head in heads.head], 1)

    def contexts(self, tower: Tower, dynamic: Tensor | None) -> list[Tensor]:
        """Return for each prompted layer of a tower its prompts, (B or 1, length, width)."""
        if not self.prompts(tower):
            return []
        static = self._static_prompts(tower)
        if dynamic is None:
            return static
        if not static:
            return [dynamic] * self.depth
        return [prompts + dynamic for prompts in static]

    def _static_prompts(self, tower: Tower) -> list[Tensor]:
        if not self.has_static:
            return []
        prompter = self.visual_prompter if tower == "V" else self.text_prompter
        return [prompts.unsqueeze(0) for prompts in prompter.static_prompts]

    def load(self, tensors: Mapping[str, Tensor], where: str = "", *, subset: bool = False) -> None:
        """Load tensors by name, with or without the prefix of public checkpoints.

        Args:
            tensors: The tensors of a checkpoint.
            where: The file, for errors.
            subset: Ignore tensors that these adapters do not have.

        Raises:
            IntegrityError: Names or shapes are not those of these adapters.
        """
        weights = {plain_name(name): value.float() for name, value in tensors.items()}
        expected = self.state_dict()
        if subset:
            weights = {name: value for name, value in weights.items() if name in expected}
        wrong = differences(expected, weights)
        if wrong:
            what = f"the adapters do not fit this model: {join_differences(wrong)}"
            fix = "check backbone, prompting_depth and prompting_length against the checkpoint"
            raise IntegrityError(what, where=where, fix=fix)
        self.load_state_dict(weights)

    def public_state_dict(self) -> dict[str, Tensor]:
        """Return the tensors under the names of the public checkpoints."""
        return {PREFIX + name: value.detach() for name, value in self.state_dict().items()}


def plain_name(name: str) -> str:
    """Return a tensor's name without the prefixes of trainers.

    >>> plain_name("module.clip_model.cls_token_layer.head.0.bias")
    'cls_token_layer.head.0.bias'
    """
    return name.removeprefix("module.").removeprefix(PREFIX)


def differences(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor]) -> list[str]:
    """Return what is missing, unknown or of another shape in ``actual``, one sentence each."""
    sentences = []
    for name, tensor in expected.items():
        if name in actual and actual[name].shape != tensor.shape:
            shape = tuple(actual[name].shape)
            sentences.append(f"{name} has shape {shape}, not {tuple(tensor.shape)}")
    sentences += [f"{name} is missing" for name in expected if name not in actual]
    sentences += [f"{name} is unknown" for name in actual if name not in expected]
    return sentences


def join_differences(sentences: Sequence[str]) -> str:
    """Return the first differences and the number of the others."""
    text = "; ".join(sentences[:SHOWN_DIFFERENCES])
    others = len(sentences) - SHOWN_DIFFERENCES
    if others > 0:
        text += f" and {others} more"
    return text
