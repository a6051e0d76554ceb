"""Errors while training leave the last good state; warnings say what to do about them."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from specloom import NodeError, Pipeline, UnavailableError
from specloom_training.gradient import GradientTrainer

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")


def trained(run, **options):
    phase = GradientTrainer(**{"unfreeze": ["weigh"], "epochs": 3, **options})
    phase.train(run)
    return phase


def test_a_loss_that_is_not_finite_names_node_batch_and_epoch(tmp_path):
    run = toys.run_of({**toys.nodes_of(), "bce": toys.Bce(breaks_at=5)})
    run.folder = tmp_path
    with pytest.raises(NodeError) as caught:
        trained(run)
    assert str(caught.value) == (
        "the loss of 'bce' is not finite in batch 1 of epoch 1\n"
        "  fix: lower the optimizer's lr, set gradient_clip_val, or check the inputs of the loss"
    )
    good = toys.run_of()
    trained(good, epochs=1)
    stored = load_file(tmp_path / "record" / "phase-0.safetensors")
    expected = good.graph.nodes["weigh"].weights
    assert torch.equal(run.graph.nodes["weigh"].weights, expected)
    assert torch.equal(stored["node/weigh/weights"], expected)
    assert not list(run.graph.nodes["weigh"].parameters())


def test_weights_that_are_not_finite_are_found_at_the_end_of_the_epoch():
    nodes = {**toys.nodes_of(), "bce": toys.Bce(weight=1e30)}
    run = toys.run_of(nodes, toys.Scenes(images=2))
    with pytest.raises(NodeError) as caught:
        trained(run, optimizer={"name": "sgd", "lr": 1e20})
    assert str(caught.value) == (
        "the weights of 'weigh' are not finite after epoch 0\n"
        "  fix: lower the optimizer's lr, or set gradient_clip_val"
    )
    assert not run.graph.nodes["weigh"].weights.any()


class Full:
    """A node that runs out of memory on more than one image."""

    def __init__(self, node, limit: int, error: Exception) -> None:
        self.forward, self.limit, self.error = node.forward, limit, error

    def __call__(self, data):
        if torch.is_grad_enabled() and len(data) > self.limit:
            raise self.error
        return self.forward(data)


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_says_what_would_fit(error):
    run = toys.run_of(source=toys.Scenes(images=8, batch_size=8))
    node = run.graph.nodes["weigh"]
    node.forward = Full(node, 2, error)
    with pytest.raises(UnavailableError) as caught:
        trained(run)
    assert str(caught.value) == (
        "out of memory while training on batches of 8 images\n"
        "  fix: use a batch_size of 2, which fits"
    )


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_out_of_memory_with_one_image(precision):
    run = toys.run_of()
    node = run.graph.nodes["weigh"]
    node.forward = Full(node, 0, NO_MEMORY[0])
    with pytest.raises(UnavailableError) as caught:
        trained(run, precision=precision)
    assert str(caught.value) == (
        "out of memory while training on batches of 2 images, and not even one image fits\n"
        "  fix: use smaller images, a part of the graph that is not trained, or a larger GPU"
    )


def test_a_mistake_in_a_node_comes_through_as_it_is():
    run = toys.run_of()
    node = run.graph.nodes["weigh"]
    node.forward = Full(node, 0, ValueError("a mistake"))
    with pytest.raises(NodeError, match="node 'weigh' \\(Weigh\\) failed: ValueError: a mistake"):
        trained(run)


def warned(run, **options) -> list[str]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trained(run, **options)
    return [str(one.message) for one in said]


def test_a_collapse_is_said_once():
    assert warned(toys.run_of(warns="all on one band: raise the entropy weight")) == [
        "all on one band: raise the entropy weight"
    ]


def test_weights_that_do_not_move():
    run = toys.run_of()
    run.graph.nodes["weigh"].weights += 1
    run.graph.nodes["weigh"].bias += 1
    assert warned(run, optimizer={"name": "sgd", "lr": 1e-9}) == [
        "the weights of 'weigh' did not move in 1 epochs: raise the optimizer's lr, and check "
        "that a loss depends on them"
    ]


def test_a_temperature_that_is_never_updated():
    assert warned(toys.run_of(decay=1.0)) == [
        "weigh/temperature was 1 in every epoch: let it decay, or leave on_epoch to the trainer"
    ]


def test_validation_that_never_ran():
    monitored = {"monitor": "metrics/iou"}
    assert warned(toys.run_of(), check_val_every_n_epoch=4, checkpoint=monitored) == [
        "no epoch recorded 'metrics/iou', so the last one is used: set check_val_every_n_epoch "
        "to 1, or train for more epochs",
        "validation never ran in 3 epochs: set check_val_every_n_epoch to 3 or less",
    ]


def test_an_epoch_that_is_never_improved_on():
    checkpoint = {"monitor": "train/learning_rate"}
    assert warned(toys.run_of(), epochs=5, checkpoint=checkpoint) == [
        "no epoch was better than the first by train/learning_rate: train for longer, lower the "
        "weights of regularisers, or let temperatures fall more slowly",
        "the validation IoU of the best epoch is 0.345: check which class ids are normal, "
        "calibrate the threshold, or train for longer",
    ]


def test_swings_are_recognised():
    from specloom_training.gradient.diagnostics import Diagnostics
    from specloom_training.gradient.settings import settings_of

    settings, _ = settings_of(GradientTrainer())
    run = toys.run_of()
    calm, wild = (Diagnostics(run, settings, []) for _ in range(2))
    for epoch in range(20):
        calm.epoch_ended(epoch, {"train/total/loss": 1 / (epoch + 1)}, [])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for epoch in range(20):
            wild.epoch_ended(epoch, {"train/total/loss": 1 + epoch % 2}, [])
    assert [str(one.message) for one in said] == [
        "the loss swings up and down from epoch to epoch: lower the optimizer's lr, or let "
        "temperatures fall more slowly"
    ]


def test_a_loss_that_is_not_trained_is_told_in_python():
    nodes = {**toys.nodes_of(), "flat": toys.Flat()}
    pipeline = Pipeline("toy")
    for name, node in nodes.items():
        pipeline.add_node(node, name)
    pipeline.connections = [*toys.LINKS, toys.Connection("weigh.used", "flat.used")]
    source = toys.Scenes()
    pipeline.graph(source)
    pipeline.unfreeze_nodes_by_name(["weigh"])
    phase = GradientTrainer(pipeline, source, loss_nodes=[nodes["bce"]], epochs=1)
    text = "the loss 'flat' is in the pipeline, but it is not minimised: "
    with pytest.warns(UserWarning, match=f"^{text}add it to loss_nodes, or remove it$"):
        phase.fit()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_nodes_own_warnings_pass_and_lightnings_do_not(precision):
    run = toys.run_of()
    node = run.graph.nodes["weigh"]
    forward = node.forward

    def loud(data):
        warnings.warn("of the node", stacklevel=1)
        return forward(data)

    node.forward = loud
    assert set(warned(run, precision=precision)) == {"of the node"}
