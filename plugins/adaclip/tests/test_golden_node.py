"""Parity of what is around the network with the reference: pictures, clusters, the node."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import sklearn
import torch
from torch.nn.functional import interpolate

from specloom_adaclip.detector import AdaCLIPDetector
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.fusion import sklearn_labels
from specloom_adaclip.model.preprocessing import (
    normalise,
    resize_bytes,
    resize_floats,
    resize_with_pillow,
    to_bytes,
)

sys.path.insert(0, str(Path(__file__).parent))
golden = import_module("golden_case")
CONFIG, IMAGES, close = golden.CONFIG, golden.IMAGES, golden.close
pytestmark = pytest.mark.skipif(not golden.THERE, reason="SPECLOOM_ADACLIP_GOLDEN is not there")


@pytest.mark.skipif(
    sklearn.__version__ != CONFIG.get("sklearn"), reason="scikit-learn is another version"
)
@pytest.mark.parametrize("i", IMAGES)
def test_golden_labels(i):
    chosen = golden.case().arrays["fp32.topk"][i].long()
    rows = [golden.case().arrays[f"fp32.proj_l{tap}"][i][chosen] for tap in CONFIG["out_layers"]]
    found = sklearn_labels(torch.cat(rows, 1)[None], CONFIG["k_clusters"])
    assert torch.equal(found[0], golden.case().arrays["fp32.labels"][i].long())


def test_golden_preprocessing():
    arrays, size = golden.case().arrays, CONFIG["image_size"]
    rgb = arrays["in.rgb_uint8"].float() / 255
    for found, want in (
        (resize_bytes(to_bytes(rgb), size), "pre.tensor_uint8"),
        (resize_floats(rgb, size), "pre.tensor_float"),
        (resize_with_pillow(to_bytes(rgb), size), "in.image"),
    ):
        close(normalise(found), arrays[want], 1e-5)


def scored(i, tmp_path, **options):
    """What the node, made from files, gives for the pictures of the case."""
    from safetensors.torch import save_file

    about = {"architecture": json.dumps(golden.case().architecture)}
    save_file(golden.case().clip, tmp_path / "clip.safetensors", about)
    torch.save(
        {f"clip_model.{k}": v for k, v in golden.case().adapters.items()}, tmp_path / "ada.pth"
    )
    node = AdaCLIPDetector(
        checkpoint_path=str(tmp_path / "ada.pth"),
        backbone_path=str(tmp_path / "clip.safetensors"),
        prompt_text=CONFIG["prompts"][i],
        image_size=CONFIG["image_size"],
        prompting_depth=CONFIG["depth"],
        prompting_length=CONFIG["length"],
        gaussian_sigma=CONFIG["sigma"],
        clusters=CONFIG["k_clusters"],
        use_torch_preprocess=False,
        **options,
    )
    node.eval()
    node.prepare("cpu")
    node._engine.model.clustering = golden.fixed_clustering("fp32.labels", i)
    return node(rgb_image=golden.case().arrays["in.rgb_uint8"].float() / 255)


def golden_map(i):
    shape = golden.case().arrays["in.rgb_uint8"].shape[1:3]
    maps = golden.case().arrays["fp32.map_gauss"][None]
    return interpolate(maps, shape, mode="bilinear")[0][i]


@pytest.mark.parametrize("i", IMAGES)
def test_golden_node(i, tmp_path):
    """The node, from files, with the reference's preprocessing (Pillow)."""
    made = scored(i, tmp_path)
    close(made["scores"][i, ..., 0], golden_map(i))
    close(made["anomaly_score"][i], golden.case().arrays["fp32.score"][i])


@pytest.mark.parametrize("i", IMAGES)
def test_towers_in_bfloat16_change_the_second_decimal(i, tmp_path):
    made = scored(i, tmp_path, precision="bfloat16")
    assert made["scores"].dtype == torch.float32
    far = (made["scores"][i, ..., 0] - golden_map(i)).abs().max()
    assert 1e-4 < far < 0.02
    assert (made["anomaly_score"][i] - golden.case().arrays["fp32.score"][i]).abs() < 0.01


@pytest.mark.parametrize("i", IMAGES)
@pytest.mark.parametrize("pre", ["uint8", "float"])
def test_golden_cubert_node(pre, i, monkeypatch):
    """Cubert's node, with what it does differently: its sentences, float16 prompts, its filter."""
    plain = Adapters.contexts
    monkeypatch.setattr(Adapters, "contexts", lambda *a: [one.half().float() for one in plain(*a)])
    known = golden.case().arrays[f"node_{pre}.labels"].long()
    network = golden.model(clustering=lambda features, clusters: known[: len(features)])
    seen = network(golden.case().arrays[f"pre.tensor_{pre}"], golden.read(network, i, "cubert"))
    radius = int(3 * CONFIG["sigma"]) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / CONFIG["sigma"]) ** 2)
    maps = seen.abnormal_map(CONFIG["image_size"])[:, None]
    weights = torch.outer(kernel, kernel)[None, None] / kernel.sum() ** 2
    maps = torch.nn.functional.conv2d(maps, weights, padding=radius)
    scores = interpolate(maps, golden.case().arrays["in.rgb_uint8"].shape[1:3], mode="bilinear")
    close(scores[i, 0], golden.case().arrays[f"node_{pre}.scores"][i, ..., 0])
    close(seen.score[i, 1], golden.case().arrays[f"node_{pre}.anomaly_score"][i])
