"""Tiny weights for tests and demos, made on first use and kept in the store.

The towers are random and stay so; the adapters are trained on synthetic anomalies. They show
that a graph runs, that gradients flow and what things cost. They are no measure of what AdaCLIP
does without training: nothing here has ever seen a photograph or understood a word.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from specloom import UnavailableError
from specloom_adaclip.model.adaclip import AdaCLIP, Prompting
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import backbone_model
from specloom_adaclip.model.preprocessing import normalised
from specloom_adaclip.model.prompts import nouns, sentences
from specloom_adaclip.training.recipe import train_adapters
from specloom_adaclip.weights.catalogue import TINY
from specloom_adaclip.weights.detector_files import TINY_ADAPTER
from specloom_adaclip.weights.store import FOLDER, Store

SIDE = 64
CONFIG: dict[str, Any] = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": SIDE, "layers": 4, "width": 96, "head_width": 24, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SEED, STEPS, BATCH = 20240, 200, 16


def tiny_weights(store: Store, steps: int = STEPS) -> tuple[Path, Path]:
    """The files of the tiny towers and of their adapters; made if they are not in the store."""
    if found := _found(store):
        return found
    with _alone(store):
        if _found(store) is None:  # nobody made them while we waited
            _make(store, steps)
    return tiny_weights(store)


def _found(store: Store) -> tuple[Path, Path] | None:
    towers, adapters = store.find(TINY), store.find(TINY_ADAPTER)
    return (towers, adapters) if towers and adapters else None


def _make(store: Store, steps: int) -> None:
    from safetensors.torch import save_file

    model = trained(steps)
    parts = {
        TINY: (model.clip.state_dict(), {"architecture": json.dumps(CONFIG)}),
        TINY_ADAPTER: (model.adapters.public(), {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (tensors, about) in parts.items():
            file = Path(folder) / f"{name}.safetensors"
            save_file({k: v.contiguous() for k, v in sorted(tensors.items())}, file, about)
            store.put(name, file, f"made here with seed {SEED}")


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """One process of this machine at a time; the lock of one that was killed is free again."""
    try:
        import fcntl
    except ImportError:  # Windows: two may make the same files, and either's will do
        yield
        return
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        lock = (store.folder / "tiny.lock").open("w")
    except OSError as e:
        fix = f"check the path, or name another folder in {FOLDER}"
        raise UnavailableError(f"{e.filename}: {e.strerror}", fix=fix) from e
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def trained(steps: int = STEPS) -> AdaCLIP:
    """The tiny model with trained adapters; torch's own generator is left as it was."""
    import open_clip

    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(SEED)
        clip = backbone_model(CONFIG, open_clip.CLIP(**CONFIG).state_dict(), SIDE)
        widths = CONFIG["vision_cfg"]["width"], CONFIG["text_cfg"]["width"], CONFIG["embed_dim"]
        adapters = Adapters(*widths)
        model = AdaCLIP(clip, adapters, clusters=None)
        ids = [open_clip.tokenize(half) for half in sentences(nouns(""))]
        # One template of four: the others say the same with other words.
        normal, abnormal = (one[::4] for one in ids)

        def prompting() -> Prompting:
            return model.read(normal, abnormal)

        train_adapters(model, prompting, pictures(SEED), steps)
    return model


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, however many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pictures(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of normalised synthetic images, and their masks at half the side, without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        rgb, masks = synthetic(BATCH, SIDE, generator)
        yield normalised(rgb * 255), max_pool2d(masks.float(), 2) > 0


def synthetic(count: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Grainy pictures (count, 3, side, side) in [0, 1] with discs of another colour.

    Returns:
        The pictures, and the bool masks (count, side, side) of the discs; a third has none.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def noise(grid: int) -> Tensor:
        drawn = torch.randn(count, 3, grid, grid, generator=generator)
        return interpolate(drawn, (side, side), mode="bilinear", align_corners=False)

    ground = uniform(count, 3, 1, 1)
    rgb = ground + 0.06 * noise(4) + 0.05 * noise(side // 4) + 0.03 * noise(side)
    steps = (torch.arange(side) + 0.5) / side
    masks = torch.zeros(count, side, side, dtype=torch.bool)
    spoilt = uniform(count, 1, 1) < 0.67
    for chance in (1.0, 0.5, 0.5):
        there = spoilt & (uniform(count, 1, 1) < chance)
        x, y = uniform(2, count, 1, 1)
        radius = 0.05 + 0.13 * uniform(count, 1, 1)
        near = (steps - x).square() + (steps[:, None] - y).square() < radius.square()
        masks |= near & there
    away = torch.randn(count, 3, 1, 1, generator=generator)
    away = away / away.norm(dim=1, keepdim=True) * (0.3 + 0.5 * uniform(count, 1, 1, 1))
    other = (ground + away).clamp(0, 1) + 0.05 * noise(side // 4) + 0.03 * noise(side)
    rgb = torch.where(masks[:, None], other, rgb)
    low, high = rgb.amin((2, 3), keepdim=True), rgb.amax((2, 3), keepdim=True)
    stretched = (rgb - low) / (high - low)
    return torch.where(uniform(count, 1, 1, 1) < 0.5, stretched, rgb).clamp(0, 1), masks


if __name__ == "__main__":
    print(*tiny_weights(Store()), sep="\n")
