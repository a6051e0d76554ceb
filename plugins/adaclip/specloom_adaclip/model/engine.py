"""A model that is ready to run: loaded, placed, and with its sentences read."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from specloom import ConfigError, IntegrityError
from specloom.torch import all_cores
from specloom_adaclip.model.adaclip import AdaCLIP, Prompting, Seen
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import architecture, backbone_model
from specloom_adaclip.model.fusion import device_labels, sklearn_labels
from specloom_adaclip.model.prompts import Ensemble, nouns, sentences
from specloom_adaclip.weights.reading import read_weights

KMeans: TypeAlias = Literal["sklearn", "device"]


@dataclass
class Engine:
    """A loaded model with the sentences of its prompt.

    Args:
        model: The model.
        prompting: Its sentences, read as far as images have no say.
        device: Where it is.
    """

    model: AdaCLIP
    prompting: Prompting
    device: torch.device

    def __call__(self, images: Tensor) -> Seen:
        """See normalised images, (B, 3, S, S)."""
        if self.device.type == "cuda":
            images = images.contiguous(memory_format=torch.channels_last)
        with _threads_of_towers(self.device):
            seen: Seen = self.model(images, self.prompting)
        return seen


def _threads_of_towers(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU the towers gain from all cores, unlike the short operations of other nodes."""
    return all_cores() if device.type == "cpu" else nullcontext()


def loaded_model(
    backbone: str,
    backbone_file: Path,
    adapter_file: Path,
    image_size: int,
    depth: int = 4,
    length: int = 5,
    branch: str = "VL",
    kind: str = "SD",
) -> AdaCLIP:
    """A model from two local files.

    Args:
        backbone: The name of the architecture; a safetensors file may bring its own as JSON, in
            its metadata under ``architecture``.
        backbone_file: The weights of both towers.
        adapter_file: The adapters.
        image_size: The side of the images that the model shall see.
        depth: The number of prompted layers.
        length: The number of prompts in a layer.
        branch: The towers that are prompted: ``V``, ``L``, both or none.
        kind: The kinds of prompts: ``S`` for static, ``D`` for dynamic ones, or both.

    Raises:
        ConfigError: There is no such backbone, or the sizes do not fit it.
        IntegrityError: A file is not what it should be.
    """
    found = read_weights(backbone_file)
    config = told_architecture(found.about) or architecture(backbone)
    clip = backbone_model(config, found.tensors, image_size, str(backbone_file))
    layers = len(clip.visual.transformer.resblocks)
    if layers < 4:
        what = f"backbone {backbone!r} has {layers} layers, and AdaCLIP taps four"
        raise ConfigError(what, fix="use a deeper backbone")
    sizes = clip.visual.proj.shape[0], clip.positional_embedding.shape[1], clip.visual.proj.shape[1]
    adapters = Adapters(*sizes, depth=depth, length=length, branch=branch, kind=kind)
    whole = (branch, kind) == ("VL", "SD")
    adapters.take(read_weights(adapter_file).tensors, str(adapter_file), subset=not whole)
    return AdaCLIP(clip, adapters.requires_grad_(False)).eval()


def told_architecture(about: Any) -> dict[str, Any] | None:
    """The architecture that a file's own metadata tell, if they do.

    Raises:
        IntegrityError: They tell something else.
    """
    if "architecture" not in about:
        return None
    try:
        config: dict[str, Any] = json.loads(about["architecture"])
        if config.keys() != {"embed_dim", "vision_cfg", "text_cfg"}:
            raise ValueError(f"its keys are {sorted(config)}")
    except (ValueError, TypeError, AttributeError, RecursionError) as e:
        fix = "write embed_dim, vision_cfg and text_cfg there, as open_clip does"
        raise IntegrityError(f"the file tells no architecture ({e})", fix=fix) from e
    return config


def started(
    model: AdaCLIP,
    device: str | torch.device,
    *,
    prompt_text: str = "",
    ensemble: Ensemble = "adaclip",
    kmeans: KMeans = "sklearn",
    clusters: int | None = 20,
    half: bool = False,
    through_prompts: bool = False,
) -> Engine:
    """An engine on a device: the model placed, the sentences read.

    Args:
        model: The model.
        device: Where it shall run.
        prompt_text: The class name, or the pair of nouns.
        ensemble: The sentences that are made of it.
        kmeans: Where patches are put into clusters.
        clusters: The number of clusters.
        half: Run the towers in float16.
        through_prompts: Let gradients through the prompts made from the image.
    """
    import open_clip

    device = torch.device(device)
    model.to(device)
    if half:
        model.clip.half()
    if device.type == "cuda":
        model.clip.visual.conv1.to(memory_format=torch.channels_last)
    model.clustering = sklearn_labels if kmeans == "sklearn" else device_labels
    model.clusters, model.through_prompts = clusters, through_prompts
    context = model.clip.positional_embedding.shape[0]
    halves = sentences(nouns(prompt_text), ensemble)
    ids = [open_clip.tokenize(half, context_length=context) for half in halves]
    with _threads_of_towers(device):
        prompting = model.read(*ids)
    return Engine(model, prompting, device)
