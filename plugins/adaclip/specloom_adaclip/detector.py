"""The node: AdaCLIP on pictures of three channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
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
    raise_all,
)
from specloom.torch import TorchNode
from specloom_adaclip.engine import Engine
from specloom_adaclip.model.anomaly_maps import smooth
from specloom_adaclip.model.known_sizes import problems
from specloom_adaclip.model.patches import named_patch, patch_grid
from specloom_adaclip.model.preprocessing import (
    fill_with_mean,
    finite_pixels,
    normalise,
    resize_bytes,
    resize_floats,
    resize_with_pillow,
    to_bytes,
)
from specloom_adaclip.model.prompts import parse_nouns
from specloom_adaclip.weights.catalogue import NEW, TINY, TINY_ADAPTER
from specloom_adaclip.weights.detector_files import DetectorFile

TRAINED = "adapters."
"""What the names of trained adapters begin with in the state."""
HASH_BYTES = 32
UNKNOWN_HASH = "0" * (2 * HASH_BYTES)
LEAST_VALUES = {
    "image_size": 1,
    "prompting_depth": 1,
    "prompting_length": 1,
    "clusters": 0,
    "gaussian_sigma": 0,
    "images_at_once": 1,
}


def _copies(engine: Engine) -> dict[str, Tensor]:
    """Return copies of the adapters under their public names, on the CPU."""
    tensors = engine.model.adapters.public_state_dict()
    return {name: tensor.cpu().clone() for name, tensor in tensors.items()}


@node
class AdaCLIPDetector(TorchNode):
    """Scores pixels by how much an image looks like "a damaged thing" there, by a frozen CLIP.

    Every image is scored on its own (its prompts are made from it alone), whatever its batch. A
    pixel that is not finite scores NaN; the model sees the image's mean colour there. Outputs are
    probabilities, in training and in evaluation: the map is smoothed in both.

    Unfrozen, the adapters are trained: static prompts, the generators of prompts, and the
    projections. The towers stay as they are. ``save_adapters`` writes them as the public
    checkpoints are laid out. Trained adapters are part of the saved state.

    The weights load in ``prepare``, from the store (``specloom weights fetch``) or from local
    files; the saved state has their hashes. Weights named ``tiny`` are made on first use.

    Source: Y. Cao, J. Zhang, L. Frittoli, Y. Cheng, W. Shen and G. Boracchi, "AdaCLIP: Adapting
    CLIP with Hybrid Learnable Prompts for Zero-Shot Anomaly Detection", ECCV 2024.

    Args:
        weight_name: The adapters, by their name in the store; ``new`` draws them at random, to be
            trained, for a backbone without public ones.
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
            text does not depend on the image, and is encoded once.
        prompting_type: Static prompts (S), those made from the image (D), or both.
        gaussian_sigma: The smoothing of maps, in pixels of ``image_size``; 0 for none.
        use_half_precision: Run the towers in float16, on a GPU and without gradients only.
        precision: What a CPU runs the towers in, without gradients. In ``bfloat16`` they take half
            the time on a processor that has it; maps of the parity case change by up to 0.013.
        enable_warmup: Run once while preparing, on a GPU only.
        enable_gradients: Let gradients through the detector to the image; images are then resized
            without rounding to 8 bits. Training the adapters alone does not need it.
        through_prompts: Let them through the prompts made from the image too.
        use_torch_preprocess: Resize with torch; else with Pillow, without gradients.
        training_aggregation: In training mode too, do not output ``per_layer_scores``.
        kmeans: Cluster patches for the image score with scikit-learn (the reference; the host
            waits for a GPU) or with Lloyd's algorithm on the device.
        clusters: The number of those clusters; 0 to use the class token alone.
        images_at_once: How many images run together; None for one on a CPU, where a batch then
            equals its images bit for bit, and for all on a GPU.

    Raises:
        ConfigError: A parameter is out of range, or the backbone does not exist.
        UnavailableError: The weights are missing.
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
    precision: Literal["float32", "bfloat16"] = "float32"
    enable_warmup: bool = True
    enable_gradients: bool = False
    through_prompts: bool = False
    use_torch_preprocess: bool = True
    training_aggregation: bool = True
    kmeans: Literal["sklearn", "device"] = "sklearn"
    clusters: int = 20
    images_at_once: int | None = None

    trainable = ("adapters",)
    _engine = Internal[Engine | None](None)
    _tuned = Internal[Mapping[str, Tensor] | None](None)
    _untrained = Internal[Mapping[str, Tensor]](MappingProxyType({}))
    _saved_hashes = Internal[Mapping[str, str]](MappingProxyType({}))
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
        parse_nouns(self.prompt_text)
        for name, least in LEAST_VALUES.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{self.label}: {name} is {value}", fix=f"use {least} or more")
        self._check_patches()
        public = ""
        if self.checkpoint_path is None:
            public = self.weight_name
        depth = self.prompting_depth
        length = self.prompting_length
        raise_all(list(problems(self.backbone, public, depth, length, self.label)))
        if self.enable_gradients and not self.use_torch_preprocess:
            what = f"{self.label}: Pillow has no gradients, but enable_gradients is set"
            raise ConfigError(what, fix="leave use_torch_preprocess at true")

    def _check_patches(self) -> None:
        """Refuse an image size that the patches do not divide, where the backbone is known."""
        patch = named_patch(self.backbone)
        if self.backbone_path is None and patch is not None:
            patch_grid(self.image_size, patch)

    def weight_files(self) -> list[DetectorFile]:
        """Return the files of the detector: towers, and adapters that are not new."""
        saved = self._saved_hashes
        files = [
            DetectorFile("backbone", self.backbone, self.backbone_path, saved.get("backbone", ""))
        ]
        adapter = self._adapter_name()
        if adapter != NEW:
            sha256 = saved.get("adapter", "")
            files.append(DetectorFile("adapter", adapter, self.checkpoint_path, sha256))
        return files

    def _adapter_name(self) -> str:
        """Return the name of the adapters in the store; a local file makes it a mere name."""
        if self.weight_name == TINY:
            return TINY_ADAPTER
        if self.weight_name == NEW and self.checkpoint_path is not None:
            return "local"
        return self.weight_name

    def missing(self) -> Iterator[SpecloomError]:
        """Yield an error for each file of weights that is missing; no weights are read."""
        for file in self.weight_files():
            yield from file.missing()

    def setup_notes(self) -> Iterator[SpecloomError]:
        """Yield a note where the weights are tiny ones, which are made here and know nothing."""
        tiny = []
        for file in self.weight_files():
            if file.path is None and file.name in (TINY, TINY_ADAPTER):
                tiny.append(file.name)
        if tiny:
            what = (
                f"{self.label}: the weights {' and '.join(tiny)} are made on this machine for "
                "tests, and not pretrained: the scores mean nothing on real data"
            )
            fix = (
                "leave out weight_name and backbone for the pretrained ones, after "
                "specloom weights fetch"
            )
            yield ConfigError(what, fix=fix)

    def prepare(self, device: str) -> None:
        """Load the weights onto the device, if they are not there already.

        Raises:
            UnavailableError: Weights are missing.
            IntegrityError: They are not what they should be.
        """
        if self._engine is not None and self._engine.device == torch.device(device):
            return
        missing = list(self.missing())  # reported together, and before anything is made
        if missing:
            what = "; ".join(error.what for error in missing)
            raise UnavailableError(what, fix="; then ".join(error.fix for error in missing))
        if any(file.is_made_on_use for file in self.weight_files()):
            from specloom_adaclip.training.tiny import tiny_weights
            from specloom_adaclip.weights.store import Store

            tiny_weights(Store())
        checked = {file.kind: file.check() for file in self.weight_files()}
        paths = {kind: file.path for kind, file in checked.items()}
        tuned = self._trained_adapters()
        self._engine = self._load_engine(
            paths["backbone"], paths.get("adapter"), torch.device(device)
        )
        self._untrained = _copies(self._engine)
        self._saved_hashes = {kind: file.sha256 for kind, file in checked.items()}
        self._adopt_adapters(self._engine, tuned)
        if self._engine.device.type == "cuda" and self.enable_warmup:
            with torch.no_grad():
                self._engine(torch.zeros(1, 3, self.image_size, self.image_size, device=device))

    def _adopt_adapters(self, engine: Engine, tuned: Mapping[str, Tensor] | None) -> None:
        """Give a new engine the trained adapters, and train on if they are being trained."""
        if tuned is not None:
            engine.load_adapters(tuned)
        if self._is_unfrozen():
            self._start_training(engine)

    def unfreeze(self) -> None:
        """Make the adapters trainable; the weights are loaded, if they are not yet.

        Raises:
            UnavailableError: Weights are missing.
        """
        self._start_training(self._loaded_engine("cpu"))

    def _start_training(self, engine: Engine) -> None:
        self._modules["adapters"] = engine.start_training()

    def freeze(self) -> None:
        """Make the adapters a fixed part again; what was trained is part of the state."""
        if not self._is_unfrozen() or self._engine is None:
            return
        self._tuned = self._trained_adapters()
        del self._modules["adapters"]
        self._engine.end_training()

    def _is_unfrozen(self) -> bool:
        return "adapters" in self._modules

    def _trained_adapters(self) -> Mapping[str, Tensor] | None:
        """Return the adapters under their public names where they are not those of a file."""
        if not self._is_unfrozen() or self._engine is None:
            return self._tuned
        present = _copies(self._engine)
        differs = any(not torch.equal(present[name], self._untrained[name]) for name in present)
        return present if differs else None

    def save_adapters(self, path: str | PathLike[str]) -> None:
        """Write the adapters, trained or not, as the public checkpoints are laid out.

        ``checkpoint_path`` and ``specloom weights add`` take the file, and so does AdaCLIP's own
        code where it ends in ``.pth``; another ending writes safetensors.

        Raises:
            UnavailableError: The file cannot be written, or weights are missing.
        """
        from specloom_adaclip.weights.writing import write_adapters

        adapters = self._loaded_engine("cpu").model.adapters
        write_adapters(Path(path), adapters.public_state_dict())

    def _loaded_engine(self, device: str) -> Engine:
        if self._engine is None:
            self.prepare(device)
        assert self._engine is not None
        return self._engine

    def _load_engine(self, backbone: Path, adapter: Path | None, device: torch.device) -> Engine:
        from specloom_adaclip.engine import load_model, make_engine

        model = load_model(
            self.backbone,
            backbone,
            adapter,
            self.image_size,
            self.prompting_depth,
            self.prompting_length,
            self.prompting_branch,
            self.prompting_type,
        )
        return make_engine(
            model,
            device,
            prompt_text=self.prompt_text,
            ensemble=self.ensemble,
            kmeans=self.kmeans,
            clusters=self.clusters,
            tower_dtype=self._tower_dtype(device),
            through_prompts=self.through_prompts,
        )

    def _tower_dtype(self, device: torch.device) -> torch.dtype:
        """Return what the towers run in on a device."""
        if self.enable_gradients:
            return torch.float32
        if device.type == "cuda" and self.use_half_precision:
            return torch.float16
        if device.type == "cpu" and self.precision == "bfloat16":
            return torch.bfloat16
        return torch.float32

    def state(self) -> Mapping[str, Tensor]:
        """Return the hashes of both files, zeros for unknown ones, and trained adapters."""
        hashes = dict.fromkeys(("backbone", "adapter"), UNKNOWN_HASH)
        for file in self.weight_files():
            hashes[file.kind] = file.current_sha256() or UNKNOWN_HASH
        state = {}
        for kind, sha256 in hashes.items():
            digits = [*bytes.fromhex(sha256)]
            state[f"{kind}_sha256"] = torch.tensor(digits, dtype=torch.uint8)
        for name, tensor in (self._trained_adapters() or {}).items():
            state[f"{TRAINED}{name}"] = tensor
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the hashes, and trained adapters; the files themselves must be available.

        Raises:
            IntegrityError: The state is another node's, or the files are missing or others.
        """
        tuned = {
            name.removeprefix(TRAINED): value
            for name, value in state.items()
            if name.startswith(TRAINED)
        }
        hashes = {name: value for name, value in state.items() if not name.startswith(TRAINED)}
        unexpected = hashes.keys() ^ {"backbone_sha256", "adapter_sha256"}
        if unexpected:
            what = f"the state of {type(self).__name__} is wrong in {sorted(unexpected)}"
            raise IntegrityError(what)
        saved = {}
        for name, digits in hashes.items():
            if digits.dtype != torch.uint8 or digits.shape != (HASH_BYTES,):
                what = (
                    f"{self.label}: {name} of the state has the shape {tuple(digits.shape)} and "
                    f"the type {digits.dtype}, which is no hash"
                )
                raise IntegrityError(what, fix="restore the file of the state, or train again")
            sha256 = bytes(digits.tolist()).hex()
            if sha256 != UNKNOWN_HASH:
                saved[name.removesuffix("_sha256")] = sha256
        before = self._saved_hashes
        self._saved_hashes = saved
        for error in self.missing():
            raise IntegrityError(f"{error.what}; {error.fix}", fix=error.fix)
        if before != saved:
            self._engine = None
        self._tuned = tuned or None
        if self._engine is not None:
            self._engine.load_adapters(tuned or self._untrained)

    def forward(self, rgb_image: Tensor) -> Batch:
        """Score each image."""
        engine = self._loaded_engine(str(rgb_image.device))
        is_differentiable = self.enable_gradients or self._is_unfrozen()
        wants_gradients = torch.is_grad_enabled() and is_differentiable
        # The mixed precision of a trainer would round similarities of up to 100.
        full_precision = torch.autocast(rgb_image.device.type, enabled=False)
        with torch.set_grad_enabled(wants_gradients), full_precision:
            usable = finite_pixels(rgb_image)
            pictures = fill_with_mean(rgb_image.float(), usable)
            parts = torch.split(pictures, self._images_together(pictures))
            scored = [self._score(engine, part) for part in parts]
            outputs = {}
            for name in scored[0]:
                outputs[name] = torch.cat([part[name] for part in scored])
            usable_images = usable.any((1, 2))  # (B, 1)
            masks = {
                "scores": usable,
                "anomaly_score": usable_images[:, 0],
                "image_score_2ch": usable_images,
            }
            for name, mask in masks.items():
                outputs[name] = torch.where(mask, outputs[name], torch.nan)
        return outputs

    def _images_together(self, pictures: Tensor) -> int:
        if self.images_at_once is not None:
            return self.images_at_once
        if pictures.device.type == "cpu":
            return 1
        return max(len(pictures), 1)

    def _score(self, engine: Engine, rgb: Tensor) -> dict[str, Tensor]:
        """Score pictures (B, H, W, 3) whose pixels are all finite."""
        prediction = engine(normalise(self._resize(rgb)))
        shape = rgb.shape[1:3]
        maps = smooth(prediction.abnormal_map(self.image_size), self.gaussian_sigma).unsqueeze(1)
        scores = interpolate(maps, shape, mode="bilinear", align_corners=False)
        abnormal = prediction.score[:, 1]
        outputs = {
            "scores": scores.permute(0, 2, 3, 1),
            "anomaly_score": abnormal,
            "image_score_2ch": torch.stack([1 - abnormal, abnormal], 1),
        }
        if self.training and not self.training_aggregation:
            layers = torch.cat(prediction.layer_maps(self.image_size), 1)
            outputs["per_layer_scores"] = interpolate(
                layers, shape, mode="bilinear", align_corners=True
            )
        return outputs

    def _resize(self, rgb: Tensor) -> Tensor:
        """Return pictures (B, H, W, 3) in [0, 1] as (B, 3, S, S) in 0 to 255."""
        if self.enable_gradients:
            return resize_floats(rgb, self.image_size)
        if self.use_torch_preprocess:
            return resize_bytes(to_bytes(rgb), self.image_size)
        return resize_with_pillow(to_bytes(rgb), self.image_size)
