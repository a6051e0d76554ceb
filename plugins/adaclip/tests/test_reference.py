"""Cases of other sizes than the golden one, against a slow reference of our own."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from sklearn.cluster import KMeans

from specloom_adaclip.model.adaclip import AdaCLIP, quarters
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import backbone_model
from specloom_adaclip.model.prompts import parse_nouns, sentences

sys.path.append(str(Path(__file__).parent))
slow = import_module("slow_reference")

KEYS = (
    "v_layers",
    "v_width",
    "v_heads",
    "patch",
    "grid",
    "t_layers",
    "t_width",
    "t_heads",
    "embed",
    "depth",
    "length",
    "clusters",
    "branch",
    "kind",
)
CASES = [
    (4, 24, 2, 8, 3, 2, 16, 2, 16, 4, 5, 1, "VL", "SD"),
    (9, 32, 4, 4, 6, 4, 24, 3, 20, 2, 3, 3, "VL", "SD"),  # text width is not embed_dim; 9 // 4
    (5, 16, 1, 5, 4, 3, 16, 4, 8, 7, 2, 2, "VL", "SD"),  # more prompted layers than layers
    (4, 16, 2, 4, 5, 3, 8, 1, 12, 1, 20, 5, "VL", "SD"),  # one layer: no text prompting
    (4, 16, 2, 4, 4, 3, 8, 1, 12, 3, 20, 0, "VL", "D"),  # prompts reach behind the sentences' end
    (8, 16, 2, 4, 4, 2, 12, 2, 8, 3, 4, 2, "L", "D"),
    (6, 16, 2, 4, 4, 3, 12, 2, 8, 3, 4, 2, "V", "SD"),
    (6, 16, 2, 4, 4, 3, 12, 2, 8, 3, 4, 2, "", "SD"),
]


def labels(rows, clusters):
    rows = np.asarray(rows, np.float32).round(4)
    return KMeans(min(clusters, len(rows)), n_init="auto", random_state=0).fit(rows).labels_


def both(case, seed=0):
    """The model, and the weights by name as float64 arrays."""
    torch.manual_seed(seed)
    size = case["grid"] * case["patch"]
    sizes = {
        "embed_dim": case["embed"],
        "vision_cfg": {
            "image_size": size,
            "layers": case["v_layers"],
            "width": case["v_width"],
            "head_width": case["v_width"] // case["v_heads"],
            "patch_size": case["patch"],
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": case["t_width"],
            "heads": case["t_heads"],
            "layers": case["t_layers"],
        },
    }
    clip = backbone_model(sizes, open_clip.CLIP(**sizes).state_dict(), size)
    widths = (case["v_width"], case["t_width"], case["embed"], 4)
    adapters = Adapters(*widths, case["depth"], case["length"], case["branch"], case["kind"])
    for one in (*clip.parameters(), *adapters.parameters()):
        one.data += 0.05 * torch.randn(one.shape)

    def clustering(features, clusters):
        return torch.stack([torch.from_numpy(labels(one, clusters)).long() for one in features])

    model = AdaCLIP(clip, adapters, clusters=case["clusters"] or None, clustering=clustering)
    parts = (
        {k: v.double().numpy() for k, v in one.state_dict().items()} for one in (clip, adapters)
    )
    return model.requires_grad_(False), *parts


@pytest.mark.parametrize("values", CASES, ids=str)
def test_the_network_equals_the_slow_reference(values):
    case = dict(zip(KEYS, values, strict=True))
    model, state, adapters = both(case)
    case["taps"] = quarters(case["v_layers"])
    size = case["grid"] * case["patch"]
    images = torch.randn(3, 3, size, size)
    halves = [open_clip.tokenize(half[::9]) for half in sentences(parse_nouns("bolt"), "cubert")]
    seen = model(images, model.encode_sentences(*halves))
    maps = seen.abnormal_map(size)
    for i, image in enumerate(images.double().numpy()):
        ids = [half.numpy() for half in halves]
        want, score = slow.adaclip(image, ids, state, adapters, case, labels)
        np.testing.assert_allclose(maps[i].numpy(), want, atol=2e-5)
        np.testing.assert_allclose(seen.score[i].numpy(), score, atol=2e-5)
        alone = model(images[i : i + 1], model.encode_sentences(*halves))
        torch.testing.assert_close(alone.abnormal_map(size)[0], maps[i], atol=1e-5, rtol=0)
