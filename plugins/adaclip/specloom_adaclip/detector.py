"""The node: AdaCLIP on pictures of three channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from specloom import (
    Batch,
    ConfigError,
    Input,
    IntegrityError,
    Internal,
    Output,
    SpecloomError,
    UnavailableError,
    node,
)
from specloom.torch import TorchNode
from specloom_adaclip.model.anomaly_maps import smoothed
from specloom_adaclip.model.engine import Engine
from specloom_adaclip.model.preprocessing import (
    filled,
    in_bytes,
    normalised,
    resized_by_pillow,
    resized_bytes,
    resized_floats,
    usable,
)
from specloom_adaclip.model.prompts import nouns
from specloom_adaclip.weights.catalogue import TINY
from specloom_adaclip.weights.detector_files import TINY_ADAPTER, Part


@node
class AdaCLIPDetector(TorchNode):
    """Scores pixels by how much an image looks like "a damaged thing" there, by a frozen CLIP.

    Every image is scored on its own (its prompts are made from it alone), whatever its batch. A
    pixel that is not finite scores NaN; the model sees the image's mean colour there. Outputs are
    probabilities: the map is smoothed in training and evaluation alike, and never the softmax
    of a softmax, as the documents' detector has it while it trains.

    The weights load in ``prepare``, from the store (``specloom weights fetch``) or from local
    files; the saved state is their hashes. Weights named ``tiny`` are made on first use.

    Source: Y. Cao et al., AdaCLIP: Adapting CLIP with Hybrid Learnable Prompts for Zero-Shot
    Anomaly Detection, ECCV 2024.

    Args:
        weight_name: The adapters, by their name in the store.
        checkpoint_path: A local file with the adapters instead.
        backbone: The CLIP model, by its open_clip name, or ``tiny``.
        backbone_path: A local file with the backbone's weights instead of the store's.
        prompt_text: The class name; or ``normal: lentils, anomaly: stones`` to give the normal
            and the abnormal sentences a noun each; empty for no noun.
        ensemble: The sentences: those that the public adapters were trained with, or the longer
            list of Cubert's detector.
        image_size: The side to which images are resized; a multiple of the patch size.
        prompting_depth: The number of prompted layers.
        prompting_length: The number of prompts in a layer.
        prompting_branch: The towers that are prompted, visual (V) and language (L). Without L the
            text does not depend on the image, and is read once.
        prompting_type: Static prompts (S), those made from the image (D), or both.
        gaussian_sigma: The smoothing of maps, in pixels of ``image_size``; 0 for none.
        use_half_precision: Run the towers in float16, on a GPU and without gradients only.
        enable_warmup: Run once while preparing, on a GPU only.
        enable_gradients: Let gradients through the frozen detector; images are then resized
            without rounding to 8 bits.
        through_prompts: Let them through the prompts made from the image too.
        use_torch_preprocess: Resize with torch; else with Pillow, without gradients.
        training_aggregation: In training mode too, leave ``per_layer_scores`` out.
        kmeans: Cluster patches for the image score with scikit-learn, the reference, for which
            the host waits for a GPU, or with a version of our own on the device.
        clusters: The number of those clusters; 0 to take the class token alone.
        images_at_once: How many images run together; None for one on a CPU, where a batch then
            equals its images bit for bit, and for all on a GPU.

    Raises:
        ConfigError: A parameter is out of range, or the backbone does not exist.
        UnavailableError: The weights are not there.
        IntegrityError: They are not what they should be.
    """

    rgb_image = Input("B H W 3", doc="Pictures; red, green and blue in [0, 1].")
    scores = Output("B H W 1", unit="1", doc="The probability that a pixel is abnormal.")
    anomaly_score = Output("B", unit="1", doc="The probability that the image is abnormal.")
    image_score_2ch = Output("B 2", unit="1", doc="One minus that probability, and it.")
    per_layer_scores = Output(
        "B 8 H W",
        unit="1",
        optional=True,
        doc="Probabilities of normal and abnormal for each tapped layer, in training.",
    )
    locality = "image"
    weight_name: str = "pretrained_all"
    checkpoint_path: str | None = None
    backbone: str = "ViT-L-14-336"
    backbone_path: str | None = None
    prompt_text: str = ""
    ensemble: Literal["adaclip", "cubert"] = "adaclip"
    image_size: int = 518
    prompting_depth: int = 4
    prompting_length: int = 5
    prompting_branch: Literal["VL", "V", "L", ""] = "VL"
    prompting_type: Literal["SD", "S", "D"] = "SD"
    gaussian_sigma: float = 4.0
    use_half_precision: bool = True
    enable_warmup: bool = True
    enable_gradients: bool = False
    through_prompts: bool = False
    use_torch_preprocess: bool = True
    training_aggregation: bool = True
    kmeans: Literal["sklearn", "device"] = "sklearn"
    clusters: int = 20
    images_at_once: int | None = None

    _engine = Internal[Engine | None](None)
    _saved = Internal[Mapping[str, str]](MappingProxyType({}))
    example: ClassVar[Mapping[str, object]] = {
        "weight_name": TINY,
        "backbone": TINY,
        "image_size": 32,
        "kmeans": "device",
        "enable_gradients": True,
        "gaussian_sigma": 1.0,
    }

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters; nothing is loaded."""
        nouns(self.prompt_text)
        least = {"image_size": 1, "prompting_depth": 1, "prompting_length": 1, "clusters": 0}
        for name, low in {**least, "gaussian_sigma": 0, "images_at_once": 1}.items():
            if (value := getattr(self, name)) is not None and value < low:
                raise ConfigError(f"{self.label}: {name} is {value}", fix=f"use {low} or more")
        if self.enable_gradients and not self.use_torch_preprocess:
            what = f"{self.label}: Pillow has no gradients, but enable_gradients is set"
            raise ConfigError(what, fix="leave use_torch_preprocess at true")

    def parts(self) -> list[Part]:
        """The two files that the detector is made of."""
        adapter = TINY_ADAPTER if self.weight_name == TINY else self.weight_name
        known = self._saved.get
        return [
            Part("backbone", self.backbone, self.backbone_path, known("backbone", "")),
            Part("adapter", adapter, self.checkpoint_path, known("adapter", "")),
        ]

    def missing(self) -> Iterator[SpecloomError]:
        """An error for each file of weights that is not there; no weights are read."""
        for part in self.parts():
            yield from part.missing()

    def prepare(self, device: str) -> None:
        """Load the weights onto the device, if they are not there already."""
        from specloom_adaclip.model.engine import loaded_model, started

        if self._engine is not None and self._engine.device == torch.device(device):
            return
        if absent := list(self.missing()):  # all of them at once, and before anything is made
            what = "; ".join(error.what for error in absent)
            raise UnavailableError(what, fix="; then ".join(error.fix for error in absent))
        if any(part.made_here for part in self.parts()):
            from specloom_adaclip.training.tiny import tiny_weights
            from specloom_adaclip.weights.store import Store

            tiny_weights(Store())
        (towers, one), (adapters, other) = (part.found() for part in self.parts())
        size = self.image_size
        model = loaded_model(
            self.backbone,
            towers,
            adapters,
            size,
            self.prompting_depth,
            self.prompting_length,
            self.prompting_branch,
            self.prompting_type,
        )
        on_gpu = torch.device(device).type == "cuda"
        self._engine = started(
            model,
            device,
            prompt_text=self.prompt_text,
            ensemble=self.ensemble,
            kmeans=self.kmeans,
            clusters=self.clusters,
            half=on_gpu and self.use_half_precision and not self.enable_gradients,
            through_prompts=self.through_prompts,
        )
        self._saved = {"backbone": one, "adapter": other}
        if on_gpu and self.enable_warmup:
            with torch.no_grad():
                self._engine(torch.zeros(1, 3, size, size, device=device))

    def state(self) -> Mapping[str, Tensor]:
        """The hashes of both files; zeros where a file is not known yet."""
        hashes = {part.kind: part.known_sha256() or "0" * 64 for part in self.parts()}
        return {
            f"{kind}_sha256": torch.tensor([*bytes.fromhex(one)], dtype=torch.uint8)
            for kind, one in hashes.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over the hashes; the weights themselves must be at hand.

        Raises:
            IntegrityError: The state is another node's, or the files are missing or others.
        """
        if odd := state.keys() ^ {"backbone_sha256", "adapter_sha256"}:
            raise IntegrityError(f"the state of {type(self).__name__} is wrong in {sorted(odd)}")
        given = {name.removesuffix("_sha256"): bytes(one.tolist()) for name, one in state.items()}
        saved = {kind: one.hex() for kind, one in given.items() if any(one)}
        before, self._saved = self._saved, saved
        for error in self.missing():
            raise IntegrityError(f"{error.what}; {error.fix}", fix=error.fix)
        if before != saved:
            self._engine = None

    def forward(self, rgb_image: Tensor) -> Batch:
        """Score each image."""
        if self._engine is None:
            self.prepare(str(rgb_image.device))
        grad = torch.set_grad_enabled(torch.is_grad_enabled() and self.enable_gradients)
        # The mixed precision of a trainer would round similarities of up to 100.
        with grad, torch.autocast(rgb_image.device.type, enabled=False):
            good = usable(rgb_image)
            pictures = filled(rgb_image.float(), good)
            step = self.images_at_once or (1 if rgb_image.device.type == "cpu" else len(pictures))
            assert self._engine is not None
            made = [self._score(self._engine, one) for one in torch.split(pictures, max(step, 1))]
            joined = {name: torch.cat([one[name] for one in made]) for name in made[0]}
            joined["scores"] = torch.where(good, joined["scores"], torch.nan)
            any_good = good.any((1, 2))
            for name in ("anomaly_score", "image_score_2ch"):
                there = any_good if name == "image_score_2ch" else any_good[:, 0]
                joined[name] = torch.where(there, joined[name], torch.nan)
        return joined

    def _score(self, engine: Engine, rgb: Tensor) -> dict[str, Tensor]:
        size, shape = self.image_size, rgb.shape[1:3]
        if self.enable_gradients:
            resized = resized_floats(rgb, size)
        else:
            resize = resized_bytes if self.use_torch_preprocess else resized_by_pillow
            resized = resize(in_bytes(rgb), size)
        seen = engine(normalised(resized))
        maps = smoothed(seen.abnormal(size), self.gaussian_sigma).unsqueeze(1)
        scores = interpolate(maps, shape, mode="bilinear", align_corners=False)
        abnormal = seen.score[:, 1]
        made = {"scores": scores.permute(0, 2, 3, 1), "anomaly_score": abnormal}
        made["image_score_2ch"] = torch.stack([1 - abnormal, abnormal], 1)
        if self.training and not self.training_aggregation:
            layers = torch.cat(seen.layers(size), 1)
            enlarged = interpolate(layers, shape, mode="bilinear", align_corners=True)
            made["per_layer_scores"] = enlarged
        return made
