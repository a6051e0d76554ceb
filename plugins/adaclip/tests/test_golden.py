"""Parity of the network with the reference.

The prompt of image i is only used for image i, but the whole batch runs with it each time, so
that a row of a batch is compared with the reference's run of that image alone.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom_adaclip.model.adaclip import quarters
from specloom_adaclip.model.anomaly_maps import smooth
from specloom_adaclip.model.preprocessing import CLIP_MEAN, CLIP_STD
from specloom_adaclip.model.prompts import parse_nouns, sentences
from specloom_adaclip.model.towers import SentenceEncoder, embed_image, run_visual_blocks

sys.path.insert(0, str(Path(__file__).parent))
golden = import_module("golden_case")
CONFIG, IMAGES, close = golden.CONFIG, golden.IMAGES, golden.close
pytestmark = pytest.mark.skipif(not golden.THERE, reason="SPECLOOM_ADACLIP_GOLDEN is not there")


def test_golden_architecture():
    assert list(quarters(CONFIG["v_layers"])) == CONFIG["out_layers"]
    assert (tuple(CONFIG["mean"]), tuple(CONFIG["std"])) == (CLIP_MEAN, CLIP_STD)
    want = golden.case().arrays["exp.visual_positional_embedding_resized"]
    close(golden.case().model.visual.positional_embedding, want, 1e-6)


def test_golden_tokens():
    from open_clip import tokenize

    with np.load(golden.FILES[1]) as stored:
        names = [name for name in stored.files if name.startswith("tok.")]
        assert len(names) == 4 * len(IMAGES)
        for name in names:
            _, ensemble, image, state = name.split(".")
            halves = sentences(parse_nouns(CONFIG["prompts"][int(image[3:])]), ensemble)
            assert np.array_equal(tokenize(halves[state == "abnormal"]).numpy(), stored[name])


def test_golden_plain_towers():
    arrays, clip = golden.case().arrays, golden.case().model
    pooled, tokens = run_visual_blocks(
        clip.visual, embed_image(clip.visual, arrays["in.image"]), (), CONFIG["out_layers"]
    )
    close(pooled, arrays["plain.image_features"])
    for tap, one in zip(CONFIG["out_layers"], tokens, strict=True):
        close(one, arrays[f"plain.tokens_l{tap}"])
    text = SentenceEncoder(clip, arrays["plain.text_tokens"].long(), CONFIG["length"]).features([])
    close(text[0], arrays["plain.text_features"])


@pytest.mark.parametrize("i", IMAGES)
def test_golden_forward(i):
    arrays, size = golden.case().arrays, CONFIG["image_size"]
    network = golden.model(clustering=golden.fixed_clustering("fp32.labels", i))
    seen = network(arrays["in.image"], golden.read(network, i))
    close(seen.text[i], arrays["fp32.text"][i])
    close(seen.pooled[i], arrays["fp32.pooled"][i])
    for n, tap in enumerate(CONFIG["out_layers"]):
        close(seen.tokens[n][i], arrays[f"fp32.tokens_l{tap}"][i])
        close(seen.patches[n][i], arrays[f"fp32.proj_l{tap}"][i])
        close(seen.logits[n][i], arrays[f"fp32.logits_l{tap}"][i], 1e-3)
        close(seen.layer_maps(size)[n][i], arrays[f"fp32.map_l{tap}"][i])
    close(seen.abnormal_map(size)[i], arrays["fp32.map"][i])
    close(smooth(seen.abnormal_map(size), CONFIG["sigma"])[i], arrays["fp32.map_gauss"][i])
    close(seen.score[i], arrays["fp32.score2"][i])
    close(seen.score[i, 1], arrays["fp32.score"][i])


@pytest.mark.parametrize("i", IMAGES)
def test_golden_without_fusion(i):
    network = golden.model(clusters=None)
    seen = network(golden.case().arrays["in.image"], golden.read(network, i))
    close(seen.image_feature[i], golden.case().arrays["fp32.proj_cls"][i])
    close(seen.score[i], golden.case().arrays["fp32.score2_nohsf"][i])


@pytest.mark.parametrize("i", IMAGES)
@pytest.mark.parametrize("case", golden.CASES)
def test_golden_prompting(case, i):
    branch, kind = case.split("_")
    network = golden.model(branch.replace("none", ""), kind, clusters=None)
    encoded = golden.read(network, i)
    assert (encoded.class_features is None) == ("L" in branch and "D" in kind)
    seen = network(golden.case().arrays["in.image"], encoded)
    close(seen.abnormal_map(CONFIG["image_size"])[i], golden.case().arrays[f"cfg_{case}.map"][i])
    close(seen.score[i], golden.case().arrays[f"cfg_{case}.score2"][i])


@pytest.mark.parametrize("i", IMAGES)
@pytest.mark.parametrize("way", ["detached", "full"])
def test_golden_gradients(way, i):
    network = golden.model(clustering=golden.fixed_clustering("fp32.labels", i))
    network.through_prompts = way == "full"
    image = golden.case().arrays["in.image"].clone().requires_grad_()
    seen = network(image, golden.read(network, i))
    loss = 10 * seen.abnormal_map(CONFIG["image_size"])[i].mean() + seen.score[i, 1]
    close(loss.detach(), golden.case().arrays["grad.loss"][i])
    (found,) = torch.autograd.grad(loss, image)
    close(found[i], golden.case().arrays[f"grad.{way}"][i], 1e-5)
    assert not found[[n for n in IMAGES if n != i]].any()  # each image on its own
