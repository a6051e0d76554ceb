"""CLIP models by name and from tensors, in the form that the adapters were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from specloom import ConfigError, IntegrityError, did_you_mean
from specloom_adaclip.model.adapters import differences
from specloom_adaclip.model.towers import resized_positions

FORMALITIES = ("input_resolution", "context_length", "vocab_size")
"""What OpenAI's archives hold besides weights."""
PLAIN = {"image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio"}
PLAIN_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}


def architecture(backbone: str) -> dict[str, Any]:
    """The sizes of a CLIP model with plain vision transformer, by its open_clip name.

    Raises:
        ConfigError: open_clip knows no such model, or AdaCLIP cannot be put on it.
    """
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(backbone)
    if config is None:
        fix = did_you_mean(backbone, [*filter(_usable, open_clip.list_models()), "tiny"])
        raise ConfigError(f"there is no backbone {backbone!r}", fix=fix)
    if config.get("quick_gelu"):
        what = f"backbone {backbone!r} has QuickGELU, but adapters are trained with GELU"
        raise ConfigError(what, fix=f"use {backbone.removesuffix('-quickgelu')}")
    if not _plain(config):
        fix = "use a ViT of OpenAI's form, such as ViT-L-14-336 or ViT-B-16"
        raise ConfigError(f"backbone {backbone!r} is no CLIP with two plain towers", fix=fix)
    return config


def _usable(backbone: str) -> bool:
    import open_clip

    config = open_clip.get_model_config(backbone)
    return not config.get("quick_gelu") and _plain(config)


def _plain(config: Mapping[str, Any]) -> bool:
    vision, text = config["vision_cfg"], config["text_cfg"]
    known = config.keys() <= {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
    number = isinstance(vision.get("layers", 12), int)
    return known and number and vision.keys() <= PLAIN and text.keys() <= PLAIN_TEXT


def backbone_model(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], image_size: int, where: str = ""
) -> Any:
    """An open_clip model with these tensors, frozen, in float32, for images of another size.

    Args:
        config: The architecture, as open_clip writes it.
        tensors: The weights at their native image size.
        image_size: The side of the images that it shall see.
        where: The file of the weights, for errors.

    Raises:
        ConfigError: The image size is no multiple of the patch size.
        IntegrityError: The tensors are not those of this architecture.
    """
    import open_clip

    patch = int(config["vision_cfg"].get("patch_size", 16))
    grid, rest = divmod(image_size, patch)
    if rest or not grid:
        near = f"{grid * patch} or {(grid + 1) * patch}" if grid else str(patch)
        what = f"image_size is {image_size}, no multiple of the backbone's patches of {patch}"
        raise ConfigError(what, fix=f"use {near}")
    # Nothing is drawn and nothing allocated here: every tensor is replaced below.
    with torch.device("meta"):
        sizes = {"vision_cfg": {**config["vision_cfg"], "image_size": image_size}}
        model = open_clip.CLIP(config["embed_dim"], text_cfg=dict(config["text_cfg"]), **sizes)
    del model.attn_mask
    found = {name: value.float() for name, value in tensors.items() if name not in FORMALITIES}
    name = "visual.positional_embedding"
    if name in found and found[name].ndim == 2:
        found[name] = resized_positions(found[name], grid)
    if wrong := differences(model.state_dict(), found):
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        what = f"the backbone's weights do not fit its architecture: {'; '.join(wrong[:3])}{more}"
        fix = "give the weights of the backbone that is named, or name theirs"
        raise IntegrityError(what, where=where, fix=fix)
    model.load_state_dict(found, assign=True)
    gelu = model.visual.transformer.resblocks[0].mlp.gelu
    assert type(gelu) is nn.GELU, gelu  # QuickGELU would run, and be wrong
    return model.eval().requires_grad_(False)
