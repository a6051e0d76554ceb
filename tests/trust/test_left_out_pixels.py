"""NaN pixels and ignored classes take no part: everything is as NumPy finds it on the others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

import specloom
from specloom import Run
from specloom_cubes.sources.memory import InMemory
from specloom_cubes.sources.synthetic import Synthetic

CONFIG = Path(__file__).parents[2] / "configs/rx_statistical.yaml"
IGNORED, UNLABELLED = 9, -1
SETTINGS = [
    "data.config.bands=12",
    "nodes.data.config.anomaly_class_ids=[2, 3]",
    "nodes.rx.config.eps=0.0",
]


def damaged_scenes():
    """Scenes with pixels that are not finite, of another class, or of no class at all."""
    random, splits = np.random.default_rng(0), {}
    source = Synthetic(
        scenes=12, height=24, width=28, bands=12, batch_size=2, anomaly_fraction=0.06
    )
    for split in ("train", "val", "test"):
        splits[split] = []
        for batch in source.batches(split):
            cube, mask = batch["cube"].copy(), batch["mask"].copy()
            for share, value in ((0.02, np.nan), (0.01, np.inf), (0.01, -np.inf)):
                hit = random.random(mask.shape) < share
                cube[hit, random.integers(0, 12, hit.sum())] = value
            mask[random.random(mask.shape) < 0.05] = IGNORED
            mask[random.random(mask.shape) < 0.05] = UNLABELLED
            # What is excluded must be able to spoil a fit that does not exclude it.
            cube[mask == IGNORED] *= 50
            splits[split].append({"cube": cube, "mask": mask, "wavelengths": batch["wavelengths"]})
    return splits


def run_on(splits):
    loaded = specloom.load(CONFIG, SETTINGS, device="cpu")
    return Run(loaded.graph, InMemory(**splits), loaded.phases, device="cpu")


def predicted(run, batches):
    ends = ["rx.scores", "logits.logits", "decider.decisions"]
    plan = run.plan("predict", ends)
    with run.inference():
        made = [plan(run.runtime.adopt(batch, run.graph.batch)) for batch in batches]
    return [np.concatenate([one[end].numpy() for one in made])[..., 0] for end in ends]


def pixels(batches):
    """Cubes, which pixels have a label, and which of them are anomalous."""
    cube, mask = (np.concatenate([one[name] for one in batches]) for name in ("cube", "mask"))
    counts = np.isfinite(cube).all(-1) & np.isin(mask, [0, 1, 2, 3])
    return cube, counts, counts & np.isin(mask, [2, 3])


def usable_rows(batches):
    """Cubes, and which pixels are finite and of no ignored class, with a label or without."""
    cube, mask = (np.concatenate([one[name] for one in batches]) for name in ("cube", "mask"))
    return cube, np.isfinite(cube).all(-1) & (mask != IGNORED)


@pytest.fixture(scope="module")
def ran():
    splits = damaged_scenes()
    run = run_on(splits)
    run.run()
    return SimpleNamespace(run=run, splits=splits, nodes=run.graph.nodes)


def test_the_fit_is_that_of_the_pixels_that_may_be_used(ran):
    cube, counts = usable_rows(ran.splits["train"])
    rows, nodes = cube[counts].astype(np.float64), ran.nodes
    assert nodes["normalizer"].pixels == nodes["rx"].pixels == nodes["logits"].pixels == len(rows)
    low, high = nodes["normalizer"].low.item(), nodes["normalizer"].high.item()
    assert (low, high) == (rows.min(), rows.max())
    span = np.float32(high) - np.float32(low)
    scaled = ((cube[counts] - np.float32(low)) / span).astype(np.float64)
    mean, covariance = scaled.mean(0), np.cov(scaled.T)
    white = np.linalg.inv(np.linalg.cholesky(covariance))
    assert np.linalg.norm(white @ (nodes["rx"].background_mean.numpy() - mean)) < 1e-6
    gap = white @ (nodes["rx"].covariance.numpy() - covariance) @ white.T
    assert np.linalg.norm(gap, 2) < 1e-6
    scores = (((scaled - mean) @ white.T) ** 2).sum(1)
    assert nodes["logits"].score_mean.item() == pytest.approx(scores.mean(), rel=1e-6)
    assert nodes["logits"].score_std.item() == pytest.approx(scores.std(ddof=1), rel=1e-6)


def test_the_threshold_is_the_best_for_the_pixels_that_count(ran):
    _, counts, anomalous = pixels(ran.splits["val"])
    _, logits, decisions = predicted(ran.run, ran.splits["val"])
    logits, truth = logits[counts], anomalous[counts]
    assert np.isfinite(logits).all()
    best = max(reference.f1_score(truth, logits >= cut) for cut in np.unique(logits[truth]))
    found = ran.run.metrics["val"]
    assert reference.f1_score(truth, decisions[counts]) == pytest.approx(best, abs=1e-12)
    assert found["decider/calibrated_f1"] == pytest.approx(best, abs=1e-12)
    assert found["metrics/f1"] == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_metrics_are_those_of_scikit_learn_on_the_pixels_that_count(ran, split):
    _, counts, anomalous = pixels(ran.splits[split])
    _, logits, decisions = predicted(ran.run, ran.splits[split])
    truth, logits, decided = anomalous[counts], logits[counts], decisions[counts]
    want = {
        "iou": reference.jaccard_score(truth, decided),
        "precision": reference.precision_score(truth, decided),
        "recall": reference.recall_score(truth, decided),
        "f1": reference.f1_score(truth, decided),
        "roc_auc": reference.roc_auc_score(truth, logits),
        "average_precision": reference.average_precision_score(truth, logits),
        "pixels": counts.sum(),
        "left_out_pixels": (~counts).sum(),
        "anomalous_pixels": truth.sum(),
        "decided_pixels": decided.sum(),
        "images": len(counts),
    }
    found = ran.run.metrics[split]
    assert {name: found[f"metrics/{name}"] for name in want} == pytest.approx(want, abs=1e-12)


def test_what_is_not_finite_scores_nan_and_is_decided_normal(ran):
    cube, _, _ = pixels(ran.splits["test"])
    broken = ~np.isfinite(cube).all(-1)
    scores, logits, decisions = predicted(ran.run, ran.splits["test"])
    np.testing.assert_array_equal(np.isnan(scores), broken)
    np.testing.assert_array_equal(np.isnan(logits), broken)
    assert broken.any()
    assert not decisions[broken].any()


def test_what_is_left_out_is_still_scored_where_it_is_finite(ran):
    cube, counts, _ = pixels(ran.splits["test"])
    scores, _, _ = predicted(ran.run, ran.splits["test"])
    uncounted = np.isfinite(cube).all(-1) & ~counts
    assert uncounted.any()
    assert np.isfinite(scores[uncounted]).all()


def test_neighbours_of_nan_keep_every_bit(ran):
    mended = [
        batch | {"cube": np.where(np.isfinite(batch["cube"]), batch["cube"], np.float32(0.3))}
        for batch in ran.splits["test"]
    ]
    broken = ~np.isfinite(pixels(ran.splits["test"])[0]).all(-1)
    for before, after in zip(
        predicted(ran.run, ran.splits["test"]), predicted(ran.run, mended), strict=True
    ):
        assert not np.isnan(after).any()
        np.testing.assert_array_equal(before[~broken], after[~broken])


def test_values_of_what_is_left_out_change_no_bit_of_the_fit(ran):
    other = {
        split: [one | {"cube": spoiled(one["cube"], one["mask"])} for one in batches]
        for split, batches in ran.splits.items()
    }
    again = run_on(other)
    again.run()
    first, second = ran.run.graph.state(), again.graph.state()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert again.metrics == ran.run.metrics


def spoiled(cube, mask):
    left_out = (mask == IGNORED) | ~np.isfinite(cube).all(-1)
    return np.where(left_out[..., None] & np.isfinite(cube), np.float32(-1e6), cube)
