"""The node on tiny weights."""

import subprocess
import sys

import pytest
import torch

from specloom import ConfigError, threads
from specloom.testing import difference, run
from specloom_adaclip.detector import AdaCLIPDetector
from specloom_adaclip.engine import make_engine

TINY = {"weight_name": "tiny", "backbone": "tiny", "image_size": 32, "gaussian_sigma": 1.0}


def detector(**params):
    node = AdaCLIPDetector(**{**TINY, **params})
    node.build({})
    node.prepare("cpu")
    return node


def pictures(count=3, height=24, width=30):
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"use_torch_preprocess": False, "ensemble": "cubert"},
        {"kmeans": "device", "clusters": 3},
        {"enable_gradients": True, "prompt_text": "normal: lentils, anomaly: stones"},
        {"clusters": 0, "gaussian_sigma": 0.0, "image_size": 64},
    ],
    ids=str,
)
def test_a_batch_equals_its_images_bit_for_bit(params):
    node, rgb = detector(**params), pictures()
    both = run(node, {"rgb_image": rgb})
    for i in range(3):
        alone = run(node, {"rgb_image": rgb[i : i + 1]})
        assert not difference(alone, {name: one[i : i + 1] for name, one in both.items()})
    scores = both["scores"]
    assert scores.shape == (3, 24, 30, 1)
    assert 0 <= scores.min() < scores.max() <= 1
    together = run(detector(**params, images_at_once=3), {"rgb_image": rgb})
    assert not difference(together, both, 1e-4)


def test_the_noun_of_the_prompt_matters():
    texts = ["", "lentils", "normal: lentils, anomaly: stones"]
    made = [run(detector(prompt_text=text), {"rgb_image": pictures(1)}) for text in texts]
    assert difference(made[0], made[1])
    assert difference(made[1], made[2])


def test_pixels_that_are_not_finite_score_nan_and_spoil_no_other():
    node, rgb = detector(), pictures()
    clean = run(node, {"rgb_image": rgb})
    rgb[0, 3, 4, 1], rgb[1] = torch.nan, torch.inf
    made = run(node, {"rgb_image": rgb})
    lost = torch.isnan(made["scores"])
    assert lost[0].sum() == 1
    assert lost[0, 3, 4, 0]
    assert lost[1].all()
    assert not lost[2].any()
    assert torch.isnan(made["anomaly_score"]).tolist() == [False, True, False]
    assert torch.isnan(made["image_score_2ch"][1]).all()
    assert torch.equal(made["scores"][2], clean["scores"][2])


@pytest.mark.parametrize("through", [False, True])
def test_gradients_pass_and_the_weights_stay(through):
    node = detector(enable_gradients=True, through_prompts=through)
    before = [one.clone() for one in node._engine.model.state_dict().values()]
    node.train()
    rgb = pictures(2).requires_grad_()
    made = node(rgb_image=rgb)
    (made["scores"].mean() + made["anomaly_score"].mean()).backward()
    assert torch.isfinite(rgb.grad).all()
    assert (rgb.grad.abs().sum((1, 2, 3)) > 0).all()
    assert not list(node.parameters())
    after = node._engine.model.state_dict().values()
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert all(one.grad is None for one in node._engine.model.parameters())


def test_without_gradients_there_are_none():
    made = detector()(rgb_image=pictures(1).requires_grad_())
    assert not any(one.requires_grad for one in made.values())


def test_layers_are_returned_in_training_only():
    node = detector(enable_gradients=True, training_aggregation=False)
    node.eval()
    assert "per_layer_scores" not in node(rgb_image=pictures(2))
    node.train()
    made = node(rgb_image=pictures(2))
    layers = made["per_layer_scores"]
    assert layers.shape == (2, 8, 24, 30)
    pairs = layers.unflatten(1, (4, 2)).sum(2)
    torch.testing.assert_close(pairs, torch.ones_like(pairs))
    node.eval()
    assert torch.equal(made["scores"], node(rgb_image=pictures(2))["scores"])


def test_text_that_does_not_depend_on_images_is_encoded_once():
    """With dynamic prompts only the first block of the text tower is common to all images."""
    node = detector()
    assert node._engine.sentences.class_features is None
    reading = node._engine.sentences.encoder
    assert reading.after_first_block.shape[1] < 20  # of 77 positions
    calls = []
    first, second = node._engine.model.clip.transformer.resblocks[:2]
    for block in (first, second):
        block.register_forward_hook(lambda block, *_: calls.append(block))
    run(node, {"rgb_image": pictures(2)})
    assert calls == [second, second]


@pytest.mark.parametrize(("branch", "kind"), [("V", "SD"), ("VL", "S"), ("L", "S"), ("", "SD")])
def test_text_that_does_not_depend_on_images_is_read_once(branch, kind):
    node = detector(prompting_branch=branch, prompting_type=kind)
    calls = []
    for block in node._engine.model.clip.transformer.resblocks:
        block.register_forward_hook(lambda block, *_: calls.append(block))
    made = run(node, {"rgb_image": pictures(2)})
    assert calls == []
    assert difference(made, run(detector(), {"rgb_image": pictures(2)}), 1e-4)


def test_half_precision_is_close():
    from specloom_adaclip.engine import make_engine

    node = detector(enable_gradients=True)
    full = run(node, {"rgb_image": pictures()})
    node._engine = make_engine(node._engine.model, "cpu", tower_dtype=torch.float16)
    half = run(node, {"rgb_image": pictures()})
    assert next(node._engine.model.clip.parameters()).dtype == torch.float16
    assert full["scores"].dtype == half["scores"].dtype == torch.float32
    assert (full["scores"] - half["scores"]).abs().max() < 0.05


def test_mixed_precision_of_a_trainer_changes_nothing():
    node, rgb = detector(enable_gradients=True), pictures(1)
    want = run(node, {"rgb_image": rgb})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not difference(run(node, {"rgb_image": rgb}), want, 1e-5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image_size": 0}, "image_size is 0\n  fix: use 1 or more"),
        ({"gaussian_sigma": -1.0}, "gaussian_sigma is -1.0\n  fix: use 0 or more"),
        ({"images_at_once": 0}, "images_at_once is 0"),
        ({"prompt_text": "normal: lentils"}, "is half a pair of nouns"),
        ({"enable_gradients": True, "use_torch_preprocess": False}, "Pillow has no gradients"),
        ({"image_size": 30}, "image_size is 30, no multiple of the backbone's patches of 8"),
    ],
)
def test_wrong_parameters_are_reported(params, message):
    with pytest.raises(ConfigError, match=message):
        detector(**params)


def test_open_clip_is_imported_by_weights_alone():
    code = """
import sys
from specloom_adaclip.detector import AdaCLIPDetector
from specloom_adaclip.engine import make_engine
node = AdaCLIPDetector(prompt_text="lentils", name="adaclip")
node.build({})
heavy = ("open_clip", "torchvision", "sklearn")
print(len(list(node.missing())), [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"SPECLOOM_WEIGHTS": "/nowhere", "PATH": ""},
    )
    assert done.stdout == "2 []\n"


def test_only_the_towers_have_all_cores_by_default(monkeypatch):
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 5)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = {}
        for name, count in (("default", None), ("chosen", 2)):
            with threads.limited(count):
                seen[name] = threads_of(detector())
                assert torch.get_num_threads() == 1
        seen["library"] = threads_of(detector())
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert seen == {"default": [5, 5, 1], "chosen": [2, 2, 1], "library": [3, 3, 1]}


def threads_of(node):
    """The threads while images are seen, while text is read, and while maps are smoothed."""
    found = []
    model, score = node._engine.model, node._score
    hook = model.register_forward_pre_hook(lambda *_: found.append(torch.get_num_threads()))
    encode = model.encode_sentences

    def encoding(*ids):
        found.append(torch.get_num_threads())
        return encode(*ids)

    model.encode_sentences = encoding
    make_engine(model, "cpu", kmeans="device")
    del model.encode_sentences
    found.reverse()

    def scoring(*arguments):
        made = score(*arguments)
        rest.append(torch.get_num_threads())
        return made

    rest = []
    node._score = scoring
    run(node, {"rgb_image": pictures(1)})
    hook.remove()
    return [*found, *rest]
