"""Tiny weights for tests and demos, made on first use and stored.

The towers are random and stay so; the adapters are trained on synthetic anomalies. They show
that a graph runs, that gradients flow and what things cost. They are no measure of what AdaCLIP
does without training: the model has never seen a photograph or understood a word.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from specloom import UnavailableError
from specloom_adaclip.model.adaclip import AdaCLIP, EncodedSentences
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import backbone_model
from specloom_adaclip.model.patches import TINY_PATCH
from specloom_adaclip.model.preprocessing import normalise
from specloom_adaclip.model.prompts import TEMPLATES, parse_nouns, sentences
from specloom_adaclip.training.recipe import train_adapters
from specloom_adaclip.weights.catalogue import TINY, TINY_ADAPTER
from specloom_adaclip.weights.store import FOLDER, Store

SIDE = 64
CONFIG: dict[str, Any] = {
    "embed_dim": 48,
    "vision_cfg": {
        "image_size": SIDE,
        "layers": 4,
        "width": 96,
        "head_width": 24,
        "patch_size": TINY_PATCH,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SEED = 20240
STEPS = 200
BATCH = 16


class TinyFiles(NamedTuple):
    """The files of the tiny towers and of their adapters."""

    towers: Path
    adapters: Path


def tiny_weights(store: Store, steps: int = STEPS) -> TinyFiles:
    """Return the files of the tiny weights; they are made if the store does not have them.

    Raises:
        UnavailableError: The store cannot be written.
    """
    found = _find(store)
    if found is not None:
        return found
    with _exclusively(store):
        if _find(store) is None:  # no other process made them meanwhile
            _make(store, steps)
    return tiny_weights(store)


def _find(store: Store) -> TinyFiles | None:
    towers = store.find(TINY)
    adapters = store.find(TINY_ADAPTER)
    if towers is None or adapters is None:
        return None
    return TinyFiles(towers, adapters)


def _make(store: Store, steps: int) -> None:
    model = train_tiny(steps)
    _put(store, TINY, model.clip.state_dict(), {"architecture": json.dumps(CONFIG)})
    _put(store, TINY_ADAPTER, model.adapters.public_state_dict(), {})


def _put(store: Store, name: str, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    contiguous = {key: value.contiguous() for key, value in sorted(tensors.items())}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.safetensors"
        save_file(contiguous, file, metadata)
        store.put(name, file, f"made here with seed {SEED}")


@contextmanager
def _exclusively(store: Store) -> Iterator[None]:
    """Let one process of this machine in at a time; a killed process leaves no lock."""
    try:
        import fcntl
    except ImportError:  # Windows: two may make the same files, and either's can be used
        yield
        return
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        lock = (store.folder / "tiny.lock").open("w")
    except OSError as e:
        fix = f"check the path, or set another folder in {FOLDER}"
        raise UnavailableError(f"{e.filename}: {e.strerror}", fix=fix) from e
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def train_tiny(steps: int = STEPS) -> AdaCLIP:
    """Return the tiny model with trained adapters; torch's own generator is not changed."""
    import open_clip

    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(SEED)
        clip = backbone_model(CONFIG, open_clip.CLIP(**CONFIG).state_dict(), SIDE)
        adapters = Adapters(
            CONFIG["vision_cfg"]["width"], CONFIG["text_cfg"]["width"], CONFIG["embed_dim"]
        )
        model = AdaCLIP(clip, adapters, clusters=None)
        texts = sentences(parse_nouns(""))
        # One template of four: the others say the same with other words.
        normal = open_clip.tokenize(texts.normal)[:: len(TEMPLATES)]
        abnormal = open_clip.tokenize(texts.abnormal)[:: len(TEMPLATES)]

        def encode_sentences() -> EncodedSentences:
            return model.encode_sentences(normal, abnormal)

        train_adapters(model, encode_sentences, training_batches(SEED), steps)
    return model


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sum in one order, however many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def training_batches(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of normalised synthetic images, and their masks at half the side, forever."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        rgb, masks = synthetic_pictures(BATCH, SIDE, generator)
        yield normalise(rgb * 255), max_pool2d(masks.float(), 2) > 0


def synthetic_pictures(count: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw grainy pictures (count, 3, side, side) in [0, 1] with discs of another colour.

    Returns:
        The pictures, and the bool masks (count, side, side) of the discs; a third has none.
    """
    draw = Draw(count, side, generator)
    ground = draw.uniform(count, 3, 1, 1)
    rgb = ground + 0.06 * draw.noise(4) + 0.05 * draw.noise(side // 4) + 0.03 * draw.noise(side)
    masks = draw.discs()
    difference = torch.randn(count, 3, 1, 1, generator=generator)
    length = 0.3 + 0.5 * draw.uniform(count, 1, 1, 1)
    difference = difference / difference.norm(dim=1, keepdim=True) * length
    discs = (ground + difference).clamp(0, 1)
    discs = discs + 0.05 * draw.noise(side // 4) + 0.03 * draw.noise(side)
    rgb = torch.where(masks[:, None], discs, rgb)
    low = rgb.amin((2, 3), keepdim=True)
    high = rgb.amax((2, 3), keepdim=True)
    stretched = (rgb - low) / (high - low)
    is_stretched = draw.uniform(count, 1, 1, 1) < 0.5
    return torch.where(is_stretched, stretched, rgb).clamp(0, 1), masks


class Draw:
    """Random parts of synthetic pictures; the order of the calls decides on the numbers.

    Args:
        count: The number of pictures.
        side: Their side.
        generator: The source of the numbers.
    """

    def __init__(self, count: int, side: int, generator: torch.Generator) -> None:
        self.count = count
        self.side = side
        self.generator = generator

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers in [0, 1)."""
        return torch.rand(shape, generator=self.generator)

    def noise(self, grid: int) -> Tensor:
        """Draw normal noise on a grid, enlarged to (count, 3, side, side)."""
        coarse = torch.randn(self.count, 3, grid, grid, generator=self.generator)
        return interpolate(coarse, (self.side, self.side), mode="bilinear", align_corners=False)

    def discs(self) -> Tensor:
        """Draw bool masks (count, side, side) of up to three discs; a third has none."""
        places = (torch.arange(self.side) + 0.5) / self.side
        masks = torch.zeros(self.count, self.side, self.side, dtype=torch.bool)
        is_anomalous = self.uniform(self.count, 1, 1) < 0.67
        for probability in (1.0, 0.5, 0.5):
            is_drawn = is_anomalous & (self.uniform(self.count, 1, 1) < probability)
            x, y = self.uniform(2, self.count, 1, 1)
            radius = 0.05 + 0.13 * self.uniform(self.count, 1, 1)
            distance = (places - x).square() + (places[:, None] - y).square()
            masks |= (distance < radius.square()) & is_drawn
        return masks


if __name__ == "__main__":
    print(*tiny_weights(Store()), sep="\n")
