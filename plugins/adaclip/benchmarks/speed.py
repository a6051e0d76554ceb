"""Images per second of AdaCLIP: against the straightforward loop, and of the full-size model.

Usage: python plugins/adaclip/benchmarks/speed.py [--full] [--images 8]

The straightforward loop takes one image at a time and puts all 48 sentences of 77 positions
through the whole text tower for each. Weights are random: they cost what trained ones cost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import open_clip
import torch

from specloom_adaclip.engine import make_engine
from specloom_adaclip.model.adaclip import AdaCLIP, EncodedSentences
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.anomaly_maps import smooth
from specloom_adaclip.model.backbones import architecture, backbone_model
from specloom_adaclip.model.prompts import parse_nouns, sentences
from specloom_adaclip.model.towers import SentenceEncoder

SMALL: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {
        "image_size": 112,
        "layers": 8,
        "width": 192,
        "head_width": 32,
        "patch_size": 14,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 8},
}


def random_model(config: dict[str, Any], size: int) -> AdaCLIP:
    """A model of random weights."""
    torch.manual_seed(0)
    clip = backbone_model(config, open_clip.CLIP(**config).state_dict(), size)
    widths = (
        clip.visual.proj.shape[0],
        clip.positional_embedding.shape[1],
        clip.visual.proj.shape[1],
    )
    return AdaCLIP(clip, Adapters(*widths)).requires_grad_(False).eval()


class WholeReading(SentenceEncoder):
    """All positions of the sentences through all blocks, again for each image."""

    def __init__(self, clip: Any, ids: torch.Tensor, length: int) -> None:
        super().__init__(clip, ids, length)
        count = ids.shape[1]
        self.mask = torch.full((count, count), -torch.inf, device=self.ends.device).triu(1)
        self.ids = ids.to(self.ends.device)

    def features(self, contexts: Any) -> torch.Tensor:
        """Encode the sentences again, from the words on."""
        words = self.clip.token_embedding(self.ids) + self.clip.positional_embedding
        self.after_first_block = self._run_block(0, words)
        return super().features(contexts)


def straightforward(model: AdaCLIP, images: torch.Tensor, ids: list[torch.Tensor]) -> torch.Tensor:
    """The maps of images, one by one, with nothing cached."""
    made = []
    for image in images.split(1):
        whole = WholeReading(model.clip, torch.cat(ids), model.adapters.length)
        prediction = model(image, EncodedSentences(whole, len(ids[0])))
        made.append(smooth(prediction.abnormal_map(image.shape[-1]), 4.0))
    return torch.cat(made)


def seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """Return the best time of some runs."""
    times = []
    for _ in range(repeats):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def against_the_loop(count: int) -> None:
    """The small model on the CPU: one image at a time with cached text, against the loop."""
    model = random_model(SMALL, 112)
    ids = [open_clip.tokenize(half) for half in sentences(parse_nouns("lentils"))]
    images = torch.randn(count, 3, 112, 112)
    threads = torch.get_num_threads()
    for branch in ("VL", "V"):
        model.adapters.branch = branch
        engine = make_engine(model, "cpu", prompt_text="lentils")

        def ours(together: int, engine: Any = engine) -> torch.Tensor:
            maps = [engine(one).abnormal_map(112) for one in images.split(together)]
            return smooth(torch.cat(maps), 4.0)

        apart = (ours(1) - straightforward(model, images, ids)).abs().max()
        slow = seconds(lambda: straightforward(model, images, ids)) / count
        for together in (1, count):
            fast = seconds(lambda n=together: ours(n)) / count
            print(
                f"small model, CPU, {threads} thread(s), branch {branch}, {together} together: "
                f"{slow * 1e3:.1f} ms an image by the loop, {fast * 1e3:.1f} ms here: "
                f"{slow / fast:.1f} times as fast, maps within {apart:.0e}"
            )


def full_size(batches: tuple[int, ...] = (1, 4, 8)) -> None:
    """ViT-L-14-336 at 518 with random weights: images per second."""
    gpu = torch.cuda.is_available()
    device = "cuda" if gpu else "cpu"
    name = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} thread(s)"
    model = random_model(architecture("ViT-L-14-336"), 518)
    cases = [(torch.float32, "sklearn"), (torch.bfloat16, "sklearn")]
    if gpu:
        cases = [(torch.float16, "sklearn"), (torch.float16, "device")]
    for dtype, kmeans in cases:
        engine = make_engine(model, device, tower_dtype=dtype, kmeans=kmeans)
        for count in batches if gpu else (1,):
            images = torch.randn(count, 3, 518, 518, device=device)
            engine(images)
            rate = count / seconds(
                lambda e=engine, x=images: e(x).abnormal_map(518), 5 if gpu else 1
            )
            precision = str(dtype).removeprefix("torch.")
            print(f"{name}, {precision}, batch {count}, k-means {kmeans}: {rate:.2f} images/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the full-size model too")
    parser.add_argument("--images", type=int, default=8)
    arguments = parser.parse_args()
    with torch.no_grad():
        against_the_loop(arguments.images)
        if arguments.full:
            full_size()
