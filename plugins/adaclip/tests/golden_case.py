"""The case of SPECLOOM_ADACLIP_GOLDEN for the tests of parity; every size is read from it."""

import json
import os
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from specloom_adaclip.model.adaclip import AdaCLIP
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import backbone_model

ROOT = Path(__file__).parents[3]
PREFIX = ROOT / os.environ.get("SPECLOOM_ADACLIP_GOLDEN", "../shared/adaclip/golden_small")
FILES = [Path(f"{PREFIX}{suffix}") for suffix in (".json", ".npz")]
THERE = all(file.is_file() for file in FILES)
GOLDEN = json.loads(FILES[0].read_text("utf-8")) if THERE else {"config": {}, "arrays": {}}
CONFIG = GOLDEN["config"]
IMAGES = range(len(CONFIG.get("prompts", ())))
CASES = [name[4:-4] for name in GOLDEN["arrays"] if re.fullmatch(r"cfg_.*\.map", name)]


@cache
def case():
    """The arrays by name, and the CLIP model made of them."""
    with np.load(FILES[1]) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    clip = {name[5:]: value for name, value in arrays.items() if name.startswith("clip.")}
    adapters = {name[4:]: value for name, value in arrays.items() if name.startswith("ada.")}
    vocabulary, width = clip["token_embedding.weight"].shape
    architecture = {
        "embed_dim": CONFIG["embed_dim"],
        "vision_cfg": {
            "image_size": CONFIG["pretrain_size"],
            "layers": CONFIG["v_layers"],
            "width": CONFIG["v_width"],
            "head_width": CONFIG["v_head_width"],
            "patch_size": CONFIG["patch"],
        },
        "text_cfg": {
            "context_length": len(clip["positional_embedding"]),
            "vocab_size": vocabulary,
            "width": width,
            "heads": CONFIG["t_heads"],
            "layers": CONFIG["t_layers"],
        },
    }
    model = backbone_model(architecture, clip, CONFIG["image_size"])
    parts = {"arrays": arrays, "clip": clip, "adapters": adapters, "architecture": architecture}
    return SimpleNamespace(**parts, model=model)


def model(branch="VL", kind="SD", **options):
    proj, width = case().clip["visual.proj"], case().clip["positional_embedding"].shape[1]
    sizes = (proj.shape[0], width, proj.shape[1], len(CONFIG["out_layers"]))
    adapters = Adapters(*sizes, CONFIG["depth"], CONFIG["length"], branch, kind)
    adapters.load(case().adapters, subset=True)
    options = {"taps": CONFIG["out_layers"], "clusters": CONFIG["k_clusters"], **options}
    return AdaCLIP(case().model, adapters, **options).requires_grad_(False)


def read(network, image, ensemble="adaclip"):
    halves = [case().arrays[f"tok.{ensemble}.img{image}.{s}"] for s in ("normal", "abnormal")]
    return network.encode_sentences(*(half.long() for half in halves))


def fixed_clustering(labels, image, variant="fp32"):
    """A clustering that knows the labels by the features, in whatever order they come."""
    chosen = case().arrays[f"{variant}.topk"][image].long()
    taps = CONFIG["out_layers"]
    rows = torch.cat([case().arrays[f"{variant}.proj_l{tap}"][image][chosen] for tap in taps], 1)
    known = case().arrays[labels][image].long()

    def clustering(features, clusters):
        return known[torch.cdist(features.detach(), rows[None]).argmin(2)]

    return clustering


def close(got, want, tolerance=1e-4):
    torch.testing.assert_close(got, want.to(got.dtype), atol=tolerance, rtol=0)
