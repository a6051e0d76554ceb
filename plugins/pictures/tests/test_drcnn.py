import numpy as np
import pytest
import torch

from specloom import ConfigError
from specloom.graph.ported import build
from specloom_pictures.drcnn import DRCNNTensorBoardViz
from specloom_pictures.paint import EXCLUDED


def batch(images=2, seed=0):
    torch.manual_seed(seed)
    return {
        "hsi_cube": torch.rand(images, 8, 9, 61),
        "mixer_output": torch.rand(images, 8, 9, 3),
        "ground_truth_mask": torch.rand(images, 8, 9, 1) > 0.7,
        "adaclip_scores": torch.rand(images, 8, 9, 1),
    }


def pictures(node, *batches):
    node.measure_start("val")
    for one in batches:
        assert node(**one) == {}
    return node.measure_end()["artifacts"]


def test_the_documents_names_and_defaults():
    node = DRCNNTensorBoardViz(name="drcnn_tensorboard_viz")
    assert [*node.hsi_channels] == [0, 20, 40]
    assert (node.max_samples, node.log_every_n_batches) == (4, 1)
    assert {"hsi_cube", "mixer_output", "ground_truth_mask", "adaclip_scores"} <= {*node.inputs}


def test_every_step_is_shown():
    data = batch()
    made = pictures(DRCNNTensorBoardViz([0, 20, 40]), data)
    steps = ("hsi", "mixer", "truth", "scores")
    assert sorted(made) == sorted(f"{step}_{i}" for step in steps for i in range(2))
    mixer = np.round(data["mixer_output"][1].double().numpy() * 255)
    np.testing.assert_array_equal(made["mixer_1"], mixer)
    truth = data["ground_truth_mask"][0].numpy() * np.full(3, 255)
    np.testing.assert_array_equal(made["truth_0"], truth)
    for channel, band in enumerate((0, 20, 40)):
        x = data["hsi_cube"][0, ..., band].double().numpy()
        level = np.round((x - x.min()) / (x.max() - x.min()) * 255)  # none of 72 pixels is clipped
        np.testing.assert_array_equal(made["hsi_0"][..., channel], level)
    scores = data["adaclip_scores"][0, ..., 0].numpy()
    lowest, highest = (made["scores_0"][scores == end(scores)][0] for end in (np.min, np.max))
    assert lowest.tolist() == [0, 34, 77]
    assert highest.tolist() == [253, 231, 55]


def test_pixels_that_do_not_count_are_neutral():
    data = batch()
    data["valid"] = torch.ones(2, 8, 9, 1, dtype=torch.bool)
    data["valid"][0, 0] = False
    data["adaclip_scores"][0, 3, 3] = torch.nan
    made = pictures(DRCNNTensorBoardViz(), data)
    for step in ("hsi", "mixer", "truth", "scores"):
        out = (made[f"{step}_0"] == EXCLUDED).all(-1)
        assert out[0].all()
        assert out.sum() == 9 + (step == "scores")


def test_the_truth_of_pixels_without_a_label_is_not_shown():
    data = batch()
    plain = pictures(DRCNNTensorBoardViz(hsi_channels=[0, 1, 2]), data)
    data["labelled"] = torch.ones(2, 8, 9, 1, dtype=torch.bool)
    data["labelled"][0, :, :4] = False
    shown = pictures(DRCNNTensorBoardViz(hsi_channels=[0, 1, 2]), data)
    assert (shown["truth_0"][:, :4] == EXCLUDED).all()
    np.testing.assert_array_equal(shown["truth_0"][:, 4:], plain["truth_0"][:, 4:])
    for name in plain.keys() - {"truth_0"}:
        np.testing.assert_array_equal(shown[name], plain[name])


def test_truth_and_scores_may_be_absent():
    data = {k: v for k, v in batch().items() if k in ("hsi_cube", "mixer_output")}
    assert sorted(pictures(DRCNNTensorBoardViz(max_samples=1), data)) == ["hsi_0", "mixer_0"]


def test_images_come_from_every_nth_batch_and_no_more_than_wanted():
    batches = [batch(seed=seed) for seed in range(7)]
    node = DRCNNTensorBoardViz(max_samples=3, log_every_n_batches=3)
    made = pictures(node, *batches)
    assert len(made) == 3 * 4
    want = [batches[0]["mixer_output"][0], batches[0]["mixer_output"][1]]
    want.append(batches[3]["mixer_output"][0])
    for i, image in enumerate(want):
        picture = np.round(image.double().numpy() * 255)
        np.testing.assert_array_equal(made[f"mixer_{i}"], picture)


def test_mixed_precision_is_shown_as_well():
    data = batch()
    data["mixer_output"] = data["mixer_output"].to(torch.bfloat16)
    assert pictures(DRCNNTensorBoardViz(), data)["mixer_0"].any()


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"hsi_channels": [0, 1]}, "node 'viz' (DRCNNTensorBoardViz) shows 2 hsi_channels"),
        ({"hsi_channels": [0, 20, 61]}, "shows channel 61, but the cubes have 61 bands"),
        ({"max_samples": 0}, "has max_samples=0"),
        ({"log_every_n_batches": 0}, "has log_every_n_batches=0"),
    ],
)
def test_wrong_parameters_are_reported(params, what):
    with pytest.raises(ConfigError) as raised:
        build(DRCNNTensorBoardViz(**params, name="viz"), {"C": 61})
    assert what in raised.value.what
