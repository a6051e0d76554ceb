"""Training of the adapters through the node: against a plain loop, and what is saved."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from specloom import ConfigError, Pipeline
from specloom.cli import cli
from specloom_adaclip.detector import AdaCLIPDetector
from specloom_adaclip.engine import load_model, make_engine
from specloom_adaclip.model.adapters import PREFIX, Adapters
from specloom_adaclip.training.tiny import tiny_weights
from specloom_adaclip.weights.reading import read_weights
from specloom_adaclip.weights.store import Store

TINY = {"weight_name": "tiny", "backbone": "tiny", "image_size": 32, "gaussian_sigma": 1.0}
SIZE = 32


def detector(**params):
    node = AdaCLIPDetector(**{**TINY, **params})
    node.build({})
    node.prepare("cpu")
    return node


def pictures(count):
    generator = torch.Generator().manual_seed(1)
    rgb = torch.rand(count, SIZE, SIZE, 3, generator=generator)
    mask = torch.zeros(count, SIZE, SIZE, 1, dtype=torch.bool)
    mask[:, 8:16, 8:16] = True
    return rgb, mask


def trained(node, rgb, mask, epochs=2):
    """What a trainer does with the node."""
    node.unfreeze()
    node.train()
    optimiser = torch.optim.AdamW(node.parameters(), lr=0.01, betas=(0.5, 0.999))
    for _ in range(epochs):
        for picture, target in zip(rgb.split(2), mask.split(2), strict=True):
            scores = node(rgb_image=picture)["scores"]
            loss = torch.nn.functional.binary_cross_entropy(scores, target.float())
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    node.freeze()
    node.eval()
    return node


def plain_loop(rgb, mask, epochs=2):
    """The same on the model alone, with all its adapters as parameters of torch."""
    towers, file = tiny_weights(Store())
    engine = make_engine(load_model("tiny", towers, file, SIZE), "cpu")
    adapters = engine.model.adapters.requires_grad_(True)
    optimiser = torch.optim.AdamW(adapters.parameters(), lr=0.01, betas=(0.5, 0.999))
    node = detector()
    node._engine = engine
    for _ in range(epochs):
        for start in range(0, len(rgb), 2):
            losses = []
            for number in (start, start + 1):
                maps = node._score(engine, rgb[number : number + 1])["scores"]
                target = mask[number : number + 1].float()
                losses.append(torch.nn.functional.binary_cross_entropy(maps, target))
            optimiser.zero_grad()
            torch.autograd.backward(torch.stack(losses).mean())
            optimiser.step()
    return adapters


def test_the_adapters_are_trained_as_by_a_plain_loop():
    rgb, mask = pictures(4)
    node = trained(detector(), rgb, mask)
    reference = plain_loop(rgb, mask).state_dict()
    ours = node._engine.model.adapters.state_dict()
    assert ours.keys() == reference.keys()
    untrained = detector()._engine.model.adapters.state_dict()
    unused = node._engine.model._unused_prefixes()
    moved = 0
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, reference[name], rtol=1e-5, atol=1e-6)
        is_same = torch.equal(tensor, untrained[name])
        if f"{name}.".startswith(unused):
            assert is_same, name
        elif not name.startswith("cls_token_layer"):  # of the image score alone
            assert not is_same, name
            moved += 1
    assert moved > 20


def test_towers_have_no_gradient_and_stay():
    node = detector()
    before = {name: one.clone() for name, one in node._engine.model.clip.state_dict().items()}
    trained(node, *pictures(2))
    after = node._engine.model.clip.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(one.grad is None for one in node._engine.model.clip.parameters())


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_adapters_are_saved_in_the_layout_of_public_checkpoints(tmp_path, ending):
    rgb, mask = pictures(2)
    node = trained(detector(), rgb, mask)
    path = tmp_path / f"mine{ending}"
    node.save_adapters(path)
    _towers, public = tiny_weights(Store())
    found, expected = read_weights(path).tensors, read_weights(public).tensors
    assert found.keys() == expected.keys()
    assert all(name.startswith(PREFIX) for name in found)
    again = detector(checkpoint_path=str(path))
    with torch.no_grad():
        ours, theirs = node(rgb_image=rgb), again(rgb_image=rgb)
    assert torch.equal(ours["scores"], theirs["scores"])


def test_they_have_the_tensors_of_the_public_checkpoints():
    tensors = Adapters(1024, 768, 768).public_state_dict()
    heads = {
        "dynamic_text_prompt_generator": (5, 768, 768),
        "dynamic_visual_prompt_generator": (5, 1024, 768),
        "patch_token_layer": (4, 768, 1024),
        "cls_token_layer": (1, 768, 768),
    }
    expected = {}
    for layer in range(4):
        expected[f"text_prompter.static_prompts.{layer}"] = (5, 768)
        expected[f"visual_prompter.static_prompts.{layer}"] = (5, 1024)
    for name, (count, to, width) in heads.items():
        for head in range(count):
            expected[f"{name}.head.{head}.weight"] = (to, width)
            expected[f"{name}.head.{head}.bias"] = (to,)
    assert {name: tuple(one.shape) for name, one in tensors.items()} == {
        f"{PREFIX}{name}": shape for name, shape in expected.items()
    }
    assert len(tensors) == 38
    assert sum(one.numel() for one in tensors.values()) == 10_665_472


def test_the_state_has_adapters_only_where_they_were_trained():
    node = detector()
    plain = set(node.state())
    node.unfreeze()
    assert set(node.state()) == plain
    node.freeze()
    assert set(node.state()) == plain
    state = trained(node, *pictures(2)).state()
    assert len(state) == len(plain) + len(node._engine.model.adapters.state_dict())
    other = detector()
    other.restore(state)
    with torch.no_grad():
        expected = node(rgb_image=pictures(1)[0])["scores"]
        assert torch.equal(other(rgb_image=pictures(1)[0])["scores"], expected)
        other.restore(detector().state())
        assert not torch.equal(other(rgb_image=pictures(1)[0])["scores"], expected)


def test_text_prompts_without_images_are_trained_too():
    node = detector(prompting_type="S")
    before = node._engine.model.adapters.text_prompter.static_prompts[1].clone()
    assert node._engine.sentences.class_features is not None
    trained(node, *pictures(2))
    assert not torch.equal(node._engine.model.adapters.text_prompter.static_prompts[1], before)
    features = node._engine.sentences.class_features
    with torch.no_grad():
        expected = node._engine.model.class_features(node._engine.sentences, None)
    assert torch.equal(features, expected)


def test_new_adapters_are_the_same_each_time_and_need_no_file():
    rgb, _mask = pictures(1)
    state = torch.get_rng_state()
    first, second = (detector(weight_name="new") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert [file.kind for file in first.weight_files()] == ["backbone"]
    with torch.no_grad():
        scores = first(rgb_image=rgb)["scores"]
        assert torch.equal(second(rgb_image=rgb)["scores"], scores)
        assert not torch.equal(detector()(rgb_image=rgb)["scores"], scores)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"backbone": "ViT-B-16", "image_size": 518},
            "image_size is 518, no multiple of the backbone's patches of 16\n  fix: use 512 or 528",
        ),
        (
            {"backbone": "ViT-B-16", "image_size": 512},
            "AdaCLIPDetector: the adapters 'pretrained_all' are for towers of 1024 and 768 "
            "features, ViT-B-16 has 768 and 512\n"
            "  fix: use ViT-L-14-336 or ViT-L-14, or weight_name: new and train them",
        ),
        (
            {"backbone": "ViT-L-14", "prompting_depth": 13},
            "AdaCLIPDetector: prompting_depth is 13, and ViT-L-14 has 12 layers\n"
            "  fix: set prompting_depth to 12 or less",
        ),
        (
            {"prompting_length": 6},
            "AdaCLIPDetector: the adapters 'pretrained_all' have prompting_depth 4 and "
            "prompting_length 5, here they are 4 and 6\n"
            "  fix: set these values, or weight_name: new and train them",
        ),
    ],
)
def test_sizes_that_do_not_fit_a_backbone_are_found_by_its_name(params, message):
    with pytest.raises(ConfigError) as caught:
        AdaCLIPDetector(**params).build({})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "params",
    [
        {"backbone": "ViT-L-14"},
        {"backbone": "ViT-L-14-336"},
        {"backbone": "ViT-B-16", "image_size": 224, "weight_name": "new"},
        {"backbone": "ViT-B-16", "image_size": 224, "checkpoint_path": "mine.pth"},
    ],
)
def test_backbones_by_name_pass_the_check(params):
    AdaCLIPDetector(**params).build({})


def test_a_command_writes_the_adapters_of_a_run(tmp_path):
    rgb, mask = pictures(2)
    node = trained(detector(), rgb, mask)
    pipeline = Pipeline("tuned")
    pipeline.connect("batch.cube", node.rgb_image)
    pipeline.graph()
    pipeline.save_to_file(tmp_path / "pipeline.yaml")
    path = tmp_path / "mine.pth"
    done = CliRunner().invoke(cli, ["weights", "export", str(tmp_path), str(path)])
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.stdout == f"adapters of 'ada_clip_detector': {path}\n"
    tensors = torch.load(path, weights_only=True)
    expected = node._engine.model.adapters.public_state_dict()
    assert all(np.array_equal(tensors[name], one.numpy()) for name, one in expected.items())


def test_of_several_detectors_none_is_chosen(tmp_path):
    pipeline = Pipeline("two")
    for _ in range(2):
        pipeline.connect("batch.cube", detector().rgb_image)
    pipeline.graph()
    pipeline.save_to_file(tmp_path / "pipeline.yaml")
    path = tmp_path / "mine.pth"
    done = CliRunner().invoke(cli, ["weights", "export", str(tmp_path), str(path)])
    assert isinstance(done.exception, ConfigError)
    names = ", ".join(pipeline.nodes)
    assert str(done.exception) == (
        f"{tmp_path} has the detectors {names}\n  fix: load it with specloom.Pipeline.load, and "
        "call save_adapters of the node"
    )
    assert not path.exists()


def test_a_pipeline_without_the_detector_has_no_adapters(tmp_path):
    from specloom_deciders import BinaryDecider

    pipeline = Pipeline("other")
    pipeline.connect("batch.cube", BinaryDecider().logits)
    pipeline.graph()
    pipeline.save_to_file(tmp_path / "pipeline.yaml")
    done = CliRunner().invoke(cli, ["weights", "export", str(tmp_path), str(tmp_path / "a.pth")])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        f"{tmp_path} has no node adaclip.AdaCLIPDetector\n  fix: give the folder of a run that "
        "has one"
    )
