"""CLIP models by name and from tensors, as the adapters were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from specloom import ConfigError, IntegrityError, did_you_mean
from specloom_adaclip.model.adapters import differences, join_differences
from specloom_adaclip.model.patches import patch_grid
from specloom_adaclip.model.towers import resize_positions

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Tensors of OpenAI's archives that are no weights."""
PLAIN_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
PLAIN_VISION = {"image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio"}
PLAIN_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}
POSITIONS = "visual.positional_embedding"


def architecture(backbone: str) -> dict[str, Any]:
    """Return the sizes of a CLIP model with plain vision transformer, by its open_clip name.

    Raises:
        ConfigError: open_clip has no such model, or AdaCLIP cannot be put on it.
    """
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(backbone)
    if config is None:
        usable = [name for name in open_clip.list_models() if _is_usable(name)]
        fix = did_you_mean(backbone, [*usable, "tiny"])
        raise ConfigError(f"there is no backbone {backbone!r}", fix=fix)
    if config.get("quick_gelu"):
        what = f"backbone {backbone!r} has QuickGELU, but adapters are trained with GELU"
        raise ConfigError(what, fix=f"use {backbone.removesuffix('-quickgelu')}")
    if not _has_plain_towers(config):
        fix = "use a ViT of OpenAI's architecture, such as ViT-L-14-336 or ViT-B-16"
        raise ConfigError(f"backbone {backbone!r} is no CLIP with two plain towers", fix=fix)
    return config


def _is_usable(backbone: str) -> bool:
    import open_clip

    config = open_clip.get_model_config(backbone)
    return not config.get("quick_gelu") and _has_plain_towers(config)


def _has_plain_towers(config: Mapping[str, Any]) -> bool:
    vision = config["vision_cfg"]
    text = config["text_cfg"]
    is_transformer = isinstance(vision.get("layers", 12), int)  # a ResNet has a list
    return (
        is_transformer
        and config.keys() <= PLAIN_MODEL
        and vision.keys() <= PLAIN_VISION
        and text.keys() <= PLAIN_TEXT
    )


def backbone_model(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], image_size: int, where: str = ""
) -> Any:
    """Return an open_clip model with these tensors, frozen, in float32, for another image size.

    Args:
        config: The architecture, as open_clip writes it.
        tensors: The weights at their native image size.
        image_size: The side of the images of the model.
        where: The file of the weights, for errors.

    Raises:
        ConfigError: The image size is no multiple of the patch size.
        IntegrityError: The tensors are not those of this architecture.
    """
    grid = patch_grid(image_size, int(config["vision_cfg"].get("patch_size", 16)))
    model = _unallocated_model(config, image_size)
    weights = {name: value.float() for name, value in tensors.items() if name not in NOT_WEIGHTS}
    if POSITIONS in weights and weights[POSITIONS].ndim == 2:
        weights[POSITIONS] = resize_positions(weights[POSITIONS], grid)
    wrong = differences(model.state_dict(), weights)
    if wrong:
        what = f"the backbone's weights do not fit its architecture: {join_differences(wrong)}"
        fix = "give the weights of the backbone that is named, or name theirs"
        raise IntegrityError(what, where=where, fix=fix)
    model.load_state_dict(weights, assign=True)
    activation = model.visual.transformer.resblocks[0].mlp.gelu
    assert type(activation) is nn.GELU, activation  # QuickGELU would run, and be wrong
    return model.eval().requires_grad_(False)


def _unallocated_model(config: Mapping[str, Any], image_size: int) -> Any:
    """Return a model whose tensors are all to be replaced: nothing is allocated or drawn."""
    import open_clip

    vision = {**config["vision_cfg"], "image_size": image_size}
    with torch.device("meta"):
        model = open_clip.CLIP(
            config["embed_dim"], vision_cfg=vision, text_cfg=dict(config["text_cfg"])
        )
    del model.attn_mask
    return model
