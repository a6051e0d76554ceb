"""A model that is ready to run: loaded, on its device, and with its sentences encoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from specloom import ConfigError, IntegrityError
from specloom.torch import all_cores
from specloom_adaclip.model.adaclip import AdaCLIP, EncodedSentences, Prediction
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import architecture, backbone_model
from specloom_adaclip.model.fusion import device_labels, sklearn_labels
from specloom_adaclip.model.prompts import Ensemble, parse_nouns, sentences
from specloom_adaclip.weights.reading import read_weights

KMeans: TypeAlias = Literal["sklearn", "device"]
TAPPED_LAYERS = 4
NEW_SEED = 0
"""The seed of adapters that are drawn at random."""
ARCHITECTURE_KEYS = {"embed_dim", "vision_cfg", "text_cfg"}


@dataclass
class Engine:
    """A loaded model with the sentences of its prompt.

    Args:
        model: The model.
        sentences: Its sentences, encoded as far as they do not depend on the image.
        device: Where it is.
    """

    model: AdaCLIP
    sentences: EncodedSentences
    device: torch.device

    def start_training(self) -> nn.ParameterDict:
        """Let the adapters learn, in float32 and with sentences that follow them; return them."""
        self.model.clip.float()
        self.sentences = replace(self.sentences, class_features=None)
        trained = nn.ParameterDict()
        for name, parameter in self.model.trained_parameters().items():
            # A name of torch has no dots.
            trained[name.replace(".", "-")] = parameter.requires_grad_(True)
        return trained

    def end_training(self) -> None:
        """Freeze the adapters, and encode what does not depend on the image again."""
        self.model.adapters.requires_grad_(False)
        self._encode_classes()

    def load_adapters(self, tensors: Mapping[str, Tensor], where: str = "") -> None:
        """Replace the adapters, trained or not.

        Raises:
            IntegrityError: The tensors are those of others.
        """
        adapters = self.model.adapters
        adapters.load(tensors, where)
        is_frozen = not any(one.requires_grad for one in adapters.parameters())
        if is_frozen:
            self._encode_classes()

    def _encode_classes(self) -> None:
        adapters = self.model.adapters
        if adapters.has_dynamic and adapters.prompts("L"):
            return
        with torch.no_grad(), _tower_threads(self.device):
            features = self.model.class_features(self.sentences, None)
        self.sentences = replace(self.sentences, class_features=features)

    def __call__(self, images: Tensor) -> Prediction:
        """Score normalised images, (B, 3, S, S)."""
        if self.device.type == "cuda":
            images = images.contiguous(memory_format=torch.channels_last)
        with _tower_threads(self.device):
            prediction: Prediction = self.model(images, self.sentences)
        return prediction


def _tower_threads(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU the towers gain from all cores, unlike the short operations of other nodes."""
    if device.type == "cpu":
        return all_cores()
    return nullcontext()


def load_model(
    backbone: str,
    backbone_file: Path,
    adapter_file: Path | None,
    image_size: int,
    depth: int = 4,
    length: int = 5,
    branch: str = "VL",
    kind: str = "SD",
) -> AdaCLIP:
    """Load a model from two local files.

    Args:
        backbone: The name of the architecture; a safetensors file may bring its own as JSON, in
            its metadata under ``architecture``.
        backbone_file: The weights of both towers.
        adapter_file: The adapters; None draws them at random, the same each time.
        image_size: The side of the images.
        depth: The number of prompted layers.
        length: The number of prompts in a layer.
        branch: The towers that are prompted: ``V``, ``L``, both or none.
        kind: The kinds of prompts: ``S`` for static, ``D`` for dynamic ones, or both.

    Raises:
        ConfigError: There is no such backbone, or the sizes do not fit it.
        IntegrityError: A file is not what it should be.
    """
    weights = read_weights(backbone_file)
    config = stored_architecture(weights.metadata)
    if config is None:
        config = architecture(backbone)
    clip = backbone_model(config, weights.tensors, image_size, str(backbone_file))
    layers = len(clip.visual.transformer.resblocks)
    if layers < TAPPED_LAYERS:
        what = f"backbone {backbone!r} has {layers} layers, and AdaCLIP taps four"
        raise ConfigError(what, fix="use a deeper backbone")
    visual_width, embed_dim = clip.visual.proj.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(NEW_SEED)
        adapters = Adapters(
            visual_width,
            clip.positional_embedding.shape[1],
            embed_dim,
            depth=depth,
            length=length,
            branch=branch,
            kind=kind,
        )
    if adapter_file is not None:
        uses_all_prompts = (branch, kind) == ("VL", "SD")
        tensors = read_weights(adapter_file).tensors
        adapters.load(tensors, str(adapter_file), subset=not uses_all_prompts)
    adapters.requires_grad_(False)
    return AdaCLIP(clip, adapters).eval()


def stored_architecture(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the architecture in a file's own metadata, if there is one.

    Raises:
        IntegrityError: It is no architecture.
    """
    if "architecture" not in metadata:
        return None
    try:
        config: dict[str, Any] = json.loads(metadata["architecture"])
        if config.keys() != ARCHITECTURE_KEYS:
            raise ValueError(f"its keys are {sorted(config)}")
    except (ValueError, TypeError, AttributeError, RecursionError) as e:
        what = f"the metadata of the file have no valid architecture ({e})"
        fix = "write embed_dim, vision_cfg and text_cfg there, as open_clip does"
        raise IntegrityError(what, fix=fix) from e
    return config


def make_engine(
    model: AdaCLIP,
    device: str | torch.device,
    *,
    prompt_text: str = "",
    ensemble: Ensemble = "adaclip",
    kmeans: KMeans = "sklearn",
    clusters: int | None = 20,
    tower_dtype: torch.dtype = torch.float32,
    through_prompts: bool = False,
) -> Engine:
    """Move a model to a device and encode its sentences.

    Args:
        model: The model.
        device: Where it runs.
        prompt_text: The class name, or the pair of nouns.
        ensemble: The sentences that are made of it.
        kmeans: Where patches are clustered.
        clusters: The number of clusters.
        tower_dtype: What the towers run in; everything behind them is float32.
        through_prompts: Let gradients through the prompts made from the image.
    """
    import open_clip

    device = torch.device(device)
    model.to(device)
    model.clip.to(tower_dtype)
    if device.type == "cuda":
        model.clip.visual.conv1.to(memory_format=torch.channels_last)
    model.clustering = sklearn_labels if kmeans == "sklearn" else device_labels
    model.clusters = clusters
    model.through_prompts = through_prompts
    context_length = model.clip.positional_embedding.shape[0]
    texts = sentences(parse_nouns(prompt_text), ensemble)
    normal = open_clip.tokenize(texts.normal, context_length=context_length)
    abnormal = open_clip.tokenize(texts.abnormal, context_length=context_length)
    with _tower_threads(device):
        encoded = model.encode_sentences(normal, abnormal)
    return Engine(model, encoded, device)
