import doctest
import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

import specloom_metrics
from specloom import Metric
from specloom_metrics import anomaly, rows
from specloom_metrics.anomaly import AnomalyDetectionMetrics

COUNTS = {
    "pixels",
    "anomalous_pixels",
    "decided_pixels",
    "left_out_pixels",
    "images",
    "images_left_out",
}


def measure(*batches: Mapping[str, torch.Tensor]) -> dict[str, float]:
    node = AnomalyDetectionMetrics(name="metrics_anomaly")
    node.measure_start("test")
    for batch in batches:
        assert node(**batch) == {}
    made = node.measure_end()
    assert list(made) == ["metrics"]
    assert all(type(value) in (int, float) for value in made["metrics"].values())
    return made["metrics"]


def split(images: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    """Images with ties, of which the last has no anomaly."""
    random = np.random.default_rng(seed)
    targets = random.random((images, 9, 11, 1)) < np.linspace(0.4, 0, images).reshape(-1, 1, 1, 1)
    logits = np.round(random.normal(size=targets.shape) * 2 + 2 * targets, 1).astype(np.float32)
    valid = random.random(targets.shape) < 0.9
    logits[0, :2, :3] = np.nan
    arrays = {"decisions": logits >= 1, "targets": targets, "logits": logits, "valid": valid}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def cut(batch: Mapping[str, torch.Tensor], rows: slice | list[int]) -> dict[str, torch.Tensor]:
    return {name: array[rows] for name, array in batch.items()}


def test_equals_scikit_learn_pooled_over_the_split():
    batch = split()
    made = measure(cut(batch, slice(0, 4)), cut(batch, slice(4, 6)))
    used = (batch["valid"] & ~batch["logits"].isnan()).numpy()
    decided, targets, logits = (
        batch[name].numpy()[used] for name in ("decisions", "targets", "logits")
    )
    want = {
        "iou": reference.jaccard_score(targets, decided),
        "precision": reference.precision_score(targets, decided),
        "recall": reference.recall_score(targets, decided),
        "f1": reference.f1_score(targets, decided),
        "roc_auc": reference.roc_auc_score(targets, logits),
        "average_precision": reference.average_precision_score(targets, logits),
    }
    assert {name: made[name] for name in want} == pytest.approx(want, rel=1e-12)
    assert made["pixels"] == used.sum()
    assert made["left_out_pixels"] == used.size - used.sum()
    assert made["anomalous_pixels"] == targets.sum()
    assert made["decided_pixels"] == decided.sum()


def test_the_means_of_images_leave_out_those_of_one_class():
    batch = split()
    made = measure(batch)
    assert (made["images"], made["images_left_out"]) == (6, 1)
    for name in ("iou", "recall", "f1", "roc_auc", "average_precision"):
        alone = [measure(cut(batch, [i]))[name] for i in range(5)]
        assert made[f"image_{name}"] == math.fsum(alone) / 5
    assert "image_precision" not in made


def test_batch_size_and_order_change_no_bit():
    batch = split()
    whole = measure(batch)
    assert whole == measure(*(cut(batch, [i]) for i in (3, 1, 5, 0, 2, 4)))
    assert whole == measure(cut(batch, [5, 4, 3, 2]), cut(batch, [1, 0]))


def test_parts_that_are_merged_in_order_change_no_bit():
    batch = split()
    whole = measure(batch)
    parts = [cut(batch, rows) for rows in (slice(0, 1), slice(1, 1), slice(1, 4), slice(4, 6))]
    merged = AnomalyDetectionMetrics(name="metrics_anomaly")
    merged.measure_start("test")
    for part in parts:
        node = AnomalyDetectionMetrics(name="metrics_anomaly")
        node.measure_start("test")
        node(**part)
        merged.measure_merge(node.measure_state())
    alone = AnomalyDetectionMetrics(name="metrics_anomaly")
    alone.measure_start("test")
    alone(**batch)
    state = alone.measure_state()
    for name, value in merged.measure_state().items():
        assert value.dtype == state[name].dtype
        assert value.numpy().tobytes() == state[name].numpy().tobytes()
    assert merged.measure_end()["metrics"] == whole


def test_images_of_different_sizes():
    first, second = split(2, 1), {k: v[:, :5, :7] for k, v in split(3, 2).items()}
    made = measure(first, second)
    assert made["images"] == 5
    assert made["pixels"] + made["left_out_pixels"] == 2 * 99 + 3 * 35


def test_without_logits_and_valid_there_are_no_curves():
    batch = {name: split()[name] for name in ("decisions", "targets")}
    made = measure(batch)
    assert "f1" in made
    assert not {"roc_auc", "average_precision", "image_roc_auc"} & made.keys()
    assert made["left_out_pixels"] == 0


def test_what_is_not_defined_is_left_out():
    no = torch.zeros(1, 2, 2, 1, dtype=torch.bool)
    logits = torch.arange(4.0).view(1, 2, 2, 1)
    assert measure().keys() == COUNTS
    with pytest.warns(UserWarning, match="no pixel is anomalous in the stage") as caught:
        assert measure({"decisions": no, "targets": no, "logits": logits}).keys() == COUNTS
    assert str(caught[0].message) == (
        "node 'metrics_anomaly' (AnomalyDetectionMetrics): no pixel is anomalous in the stage "
        "'test', so some metrics are missing: check the masks, and the data node's class numbers"
    )
    with pytest.warns(UserWarning, match="every pixel is anomalous"):
        found = measure({"decisions": no, "targets": ~no, "logits": logits})
    assert found.keys() == COUNTS | {"iou", "recall", "f1", "average_precision"}
    with pytest.warns(UserWarning, match="no pixel is anomalous"):
        alarms = measure({"decisions": ~no, "targets": no, "logits": logits})
    assert alarms.keys() == COUNTS | {"iou", "precision", "f1"}
    nothing = {"decisions": ~no, "targets": ~no, "logits": logits, "valid": no}
    assert measure(nothing).keys() == COUNTS
    assert measure(nothing)["left_out_pixels"] == 4


def test_a_pixel_that_is_left_out_counts_nowhere():
    batch = split()
    changed = dict(batch)
    out = ~batch["valid"] | batch["logits"].isnan()
    changed["decisions"], changed["targets"] = batch["decisions"] ^ out, batch["targets"] ^ out
    assert measure(changed) == measure(batch)


def test_a_stage_begins_with_nothing():
    node = AnomalyDetectionMetrics()
    node(**split())
    node.measure_start("val")
    assert node.measure_end()["metrics"]["images"] == 0


def test_scores_are_copied_and_carry_no_gradient():
    node, batch = AnomalyDetectionMetrics(), split(2)
    want = measure(batch)
    logits = batch["logits"].clone().requires_grad_()
    node(**batch | {"logits": logits})
    with torch.no_grad():
        logits.zero_()
    assert node.measure_end()["metrics"] == want


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64])
def test_rows_are_what_was_added(dtype, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 64)
    pieces = [torch.arange(n, dtype=dtype).reshape(1, -1, 1) for n in (3, 0, 8, 60, 1, 64, 7)]
    gathered = rows.Rows()
    assert gathered.array().shape == (0,)
    for piece in pieces:
        gathered.add(piece)
        piece.fill_(0)
    want = np.concatenate([np.arange(piece.numel()) for piece in pieces])
    np.testing.assert_array_equal(gathered.array(), want)
    assert gathered.array().dtype == pieces[0].numpy().dtype


def test_it_is_a_measure_with_the_registered_kind():
    node = AnomalyDetectionMetrics(name="metrics_anomaly")
    assert isinstance(node, Metric)
    assert node.name == "metrics_anomaly"
    port = node.outputs["metrics"]
    assert port == specloom_metrics.register_ports()["metrics"]
    assert (port.kind, port.per_stage) == ("metrics.metrics", True)
    port.check(measure(split()), node, {}, "")


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(anomaly).failed == 0
