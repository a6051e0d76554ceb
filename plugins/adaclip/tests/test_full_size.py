"""ViT-L-14-336 with random weights and the public checkpoint's names: sizes, memory and time."""

import os
import resource
import time
from pathlib import Path

import open_clip
import pytest
import torch
import yaml

from specloom_adaclip.model.adaclip import AdaCLIP
from specloom_adaclip.model.adapters import Adapters
from specloom_adaclip.model.backbones import architecture, backbone_model
from specloom_adaclip.model.prompts import parse_nouns, sentences
from specloom_adaclip.weights.catalogue import checkpoints
from specloom_adaclip.weights.reading import read_weights

V, D = 1024, 768
GOLDEN = os.environ.get("SPECLOOM_ADACLIP_GOLDEN", "../shared/adaclip/golden_small")
LIST = (Path(__file__).parents[3] / GOLDEN).parent / "checkpoint_keys_vitl14_336.yaml"


def public_names():
    """The tensors of the public checkpoints, by our own count: 38, of 10,665,472 numbers."""
    names = {}
    for i in range(4):
        names[f"text_prompter.static_prompts.{i}"] = (5, D)
        names[f"visual_prompter.static_prompts.{i}"] = (5, V)
        names |= linear(f"patch_token_layer.head.{i}", V, D)
    names |= linear("cls_token_layer.head.0", D, D)
    for i in range(5):
        names |= linear(f"dynamic_visual_prompt_generator.head.{i}", D, V)
        names |= linear(f"dynamic_text_prompt_generator.head.{i}", D, D)
    return {f"clip_model.{name}": shape for name, shape in names.items()}


def linear(name, width, to):
    return {f"{name}.weight": (to, width), f"{name}.bias": (to,)}


def test_the_names_of_public_checkpoints_are_taken_and_saved(tmp_path):
    names = public_names()
    assert len(names) == 38
    if LIST.is_file():
        listed = yaml.safe_load(LIST.read_text("utf-8"))
        assert {name: tuple(shape) for name, shape in listed["tensors"].items()} == names
        assert listed["openai_vit_l_14_336_sha256"] == checkpoints()["ViT-L-14-336"].sha256
        for name, drive in listed["weights"].items():
            assert f"id={drive}&" in checkpoints()[name].url
    tensors = {name: torch.randn(shape) for name, shape in names.items()}
    assert sum(one.numel() for one in tensors.values()) == 10_665_472
    torch.save({"state_dict": tensors}, tmp_path / "pretrained_all.pth")
    adapters = Adapters(V, D, D)
    adapters.load(read_weights(tmp_path / "pretrained_all.pth").tensors)
    saved = adapters.public_state_dict()
    assert saved.keys() == names.keys()
    assert all(torch.equal(saved[name], tensors[name]) for name in names)


@pytest.mark.soak
def test_a_model_of_full_size_takes_them_and_runs(capsys):
    config = architecture("ViT-L-14-336")
    started = time.perf_counter()
    torch.manual_seed(0)
    tensors = {name: one.half() for name, one in open_clip.CLIP(**config).state_dict().items()}
    built = time.perf_counter()
    clip = backbone_model(config, tensors, 518)
    del tensors
    adapters = Adapters(V, D, D)
    adapters.load({name: 0.02 * torch.randn(shape) for name, shape in public_names().items()})
    model = AdaCLIP(clip, adapters).requires_grad_(False)
    loaded = time.perf_counter()
    assert model.taps == (6, 12, 18, 24)
    assert sum(one.numel() for one in clip.parameters()) > 425_000_000
    prompting = model.encode_sentences(*map(open_clip.tokenize, sentences(parse_nouns("lentils"))))
    read = time.perf_counter()
    seen = model(torch.randn(1, 3, 518, 518), prompting)
    assert seen.abnormal_map(518).shape == (1, 518, 518)
    assert torch.isfinite(seen.score).all()
    assert [one.shape for one in seen.tokens] == [(1, 1 + 37 * 37, V)] * 4
    done = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        print(
            f"\nViT-L-14-336 at 518, float32, {torch.get_num_threads()} CPU thread(s): random "
            f"weights {built - started:.1f} s, loading {loaded - built:.1f} s, reading "
            f"{read - loaded:.2f} s, one image {done - read:.1f} s; peak {memory:.1f} GiB"
        )
