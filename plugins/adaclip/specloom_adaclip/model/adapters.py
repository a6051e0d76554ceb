"""The trained part of AdaCLIP: prompts, their generators and the projections of features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from specloom import IntegrityError

PREFIX = "clip_model."
"""What stands before the names in public checkpoints."""


class Prompts(nn.Module):
    """Static prompts, (length, width) for each prompted layer."""

    def __init__(self, depth: int, length: int, width: int) -> None:
        super().__init__()
        made = [nn.Parameter(torch.randn(length, width) * 0.02) for _ in range(depth)]
        self.static_prompts = nn.ParameterList(made)


class Heads(nn.Module):
    """Linear maps beside each other."""

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
        self.depth, self.length, self.branch, self.kind = depth, length, branch, kind
        if "S" in kind and "L" in branch:
            self.text_prompter = Prompts(depth, length, text_width)
        if "S" in kind and "V" in branch:
            self.visual_prompter = Prompts(depth, length, visual_width)
        self.patch_token_layer = Heads(taps, visual_width, embed_dim)
        self.cls_token_layer = Heads(1, embed_dim, embed_dim)
        if "D" in kind:
            self.dynamic_visual_prompt_generator = Heads(length, embed_dim, visual_width)
            self.dynamic_text_prompt_generator = Heads(length, embed_dim, text_width)

    def dynamic(self, tower: str, feature: Tensor) -> Tensor | None:
        """The prompts (B, length, width) of ``V`` or ``L`` made from image features."""
        if "D" not in self.kind or tower not in self.branch:
            return None
        visual = tower == "V"
        heads = (
            self.dynamic_visual_prompt_generator if visual else self.dynamic_text_prompt_generator
        )
        return torch.stack([head(feature) for head in heads.head], 1)

    def contexts(self, tower: str, dynamic: Tensor | None) -> list[Tensor]:
        """For each prompted layer of ``V`` or ``L`` its prompts, (B or 1, length, width)."""
        if tower not in self.branch:
            return []
        if "S" not in self.kind:
            return [] if dynamic is None else [dynamic] * self.depth
        prompter = self.visual_prompter if tower == "V" else self.text_prompter
        static = [prompts.unsqueeze(0) for prompts in prompter.static_prompts]
        return static if dynamic is None else [prompts + dynamic for prompts in static]

    def take(self, tensors: Mapping[str, Tensor], where: str = "", *, subset: bool = False) -> None:
        """Take over tensors by name, with or without the prefix of public checkpoints.

        Args:
            tensors: The tensors of a checkpoint.
            where: The file, for errors.
            subset: Leave out what these adapters have no place for.

        Raises:
            IntegrityError: Names or shapes are not those of these adapters.
        """
        found = {plain(name): value.float() for name, value in tensors.items()}
        mine = self.state_dict()
        if subset:
            found = {name: value for name, value in found.items() if name in mine}
        wrong = differences(mine, found)
        if wrong:
            what = f"the adapters do not fit this model: {'; '.join(wrong[:3])}"
            what += f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            fix = "check backbone, prompting_depth and prompting_length against the checkpoint"
            raise IntegrityError(what, where=where, fix=fix)
        self.load_state_dict(found)

    def public(self) -> dict[str, Tensor]:
        """The tensors under the names of the public checkpoints."""
        return {PREFIX + name: value.detach() for name, value in self.state_dict().items()}


def plain(name: str) -> str:
    """A tensor's name without what trainers put before it.

    >>> plain("module.clip_model.cls_token_layer.head.0.bias")
    'cls_token_layer.head.0.bias'
    """
    return name.removeprefix("module.").removeprefix(PREFIX)


def differences(mine: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What is missing, too much or of another shape in ``found``, one sentence each."""
    wrong = []
    for name in (name for name in mine if name in found):
        is_, be = tuple(found[name].shape), tuple(mine[name].shape)
        wrong += [f"{name} has shape {is_}, not {be}"] if is_ != be else []
    wrong += [f"{name} is missing" for name in mine if name not in found]
    return wrong + [f"{name} is unknown" for name in found if name not in mine]
