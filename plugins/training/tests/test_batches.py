"""Training batches: order, the cache of the frozen front, and reading ahead."""

from __future__ import annotations

import gc
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import pytest
import torch

from specloom import DataError, impl
from specloom_training.gradient import GradientTrainer
from specloom_training.gradient.batches import order, read_ahead
from specloom_training.gradient.cache import Cache
from specloom_training.gradient.frozen_front import FrozenFront, front_ends

# The toys are not good at what they do.
pytestmark = pytest.mark.filterwarnings("ignore:the validation IoU")

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")

KINDS = (torch.Tensor, torch.nn.Parameter)


def trained(source=None, **options):
    run = toys.run_of(source=source or toys.Scenes(images=7))
    GradientTrainer(**{"unfreeze": ["weigh"], "epochs": 3, **options}).train(run)
    return run


def weights(run) -> torch.Tensor:
    return run.graph.nodes["weigh"].weights


def test_each_epoch_has_its_own_order_that_follows_from_the_seed():
    orders = [tuple(order(20, 0, epoch)) for epoch in range(5)]
    assert len(set(orders)) == 5
    assert all(sorted(one) == list(range(20)) for one in orders)
    assert orders == [tuple(order(20, 0, epoch)) for epoch in range(5)]
    assert order(20, 1, 0) != order(20, 0, 0)


def test_images_are_shuffled_on_request_only():
    run = trained(cache=False, epochs=2)
    assert run.source.read_numbers == order(7, 0, 0) + order(7, 0, 1)
    assert trained(cache=False, epochs=2, shuffle=False).source.read_numbers == [*range(7)] * 2


def test_images_are_read_and_the_frozen_front_runs_once():
    run = trained()
    assert sorted(run.source.read_numbers) == [*range(7)]
    assert run.graph.nodes["double"].seen == 7 + 3 * 4  # and each validation


@pytest.mark.parametrize("memory", [0, 1024])
def test_the_cache_changes_nothing(memory):
    without, with_ = trained(cache=False), trained(cache_memory_mb=memory)
    assert torch.equal(weights(without), weights(with_))
    assert sorted(without.source.read_numbers) == sorted([*range(7)] * 3)
    assert sorted(with_.source.read_numbers) == [*range(7)]


def test_what_does_not_fit_is_made_again():
    run = trained(cache_memory_mb=0, cache_disk_mb=0)
    assert sorted(run.source.read_numbers) == sorted([*range(7)] * 3)
    assert torch.equal(weights(run), weights(trained()))


def test_a_source_without_numbers_keeps_its_own_order():
    run = trained(toys.InTurn(images=7))
    assert run.source.read_numbers == [*range(7)]
    assert torch.equal(weights(run), weights(trained(shuffle=False)))
    without = trained(toys.InTurn(images=7), cache=False)
    assert torch.equal(weights(run), weights(without))


def test_the_disk_is_used_when_memory_is_full_and_left_empty(tmp_path):
    run = toys.run_of()
    run.folder = tmp_path
    cache = Cache(run, 0, 1)
    cache.put(1, {"a.b": torch.ones(3)})
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".safetensors"]
    assert torch.equal(cache.get(1)["a.b"], torch.ones(3))
    cache.put(2, {"a.b": torch.ones(2**20)})
    assert 1 in cache
    assert 2 not in cache
    cache.close()
    assert [*tmp_path.iterdir()] == []


def front(run, moving=("weigh",), by_image=True) -> list[str]:
    return front_ends(run.graph, ["bce"], moving, by_image)


def test_the_frozen_front_ends_where_something_moves():
    assert front(toys.run_of()) == ["double.doubled", "batch.mask"]
    assert front(toys.run_of(), moving=("double", "weigh")) == ["batch.cube", "batch.mask"]


def test_what_depends_on_the_batch_is_not_kept_by_image():
    run = toys.run_of()
    run.graph.nodes["double"].locality = "batch"
    assert front(run) == ["batch.cube", "batch.mask"]
    assert front(run, by_image=False) == ["double.doubled", "batch.mask"]


def test_images_that_do_not_go_together_are_told():
    run = toys.run_of()
    frozen = FrozenFront(run, ["batch.cube"], Cache(run, 1, 0))
    one, other = ({"batch.cube": torch.zeros(1, 8, width, 5)} for width in (8, 9))
    with pytest.raises(DataError) as caught:
        frozen.collate([one, other])
    assert str(caught.value) == (
        "the images of a batch differ in size: batch.cube has [(8, 8, 5), (8, 9, 5)]\n"
        "  fix: use a batch_size of 1"
    )
    with pytest.raises(DataError) as caught:
        frozen.collate([one, {"batch.mask": torch.zeros(1)}])
    assert str(caught.value) == (
        "some images have batch.cube and some do not\n"
        "  fix: use a batch_size of 1, or data in which all have it"
    )


def test_values_that_a_batch_shares_must_be_equal():
    run = toys.run_of()
    frozen = FrozenFront(run, ["weigh.used"], Cache(run, 1, 0))
    one, other = {"weigh.used": torch.zeros(5)}, {"weigh.used": torch.ones(5)}
    assert torch.equal(frozen.collate([one, dict(one)])["weigh.used"], torch.zeros(5))
    with pytest.raises(DataError) as caught:
        frozen.collate([one, other])
    assert str(caught.value) == (
        "the images of a batch differ in weigh.used, which they share\n  fix: use a batch_size of 1"
    )


def test_the_next_item_is_made_while_the_last_one_is_used():
    made, used = [], []
    before = threading.active_count()

    def items():
        for i in range(4):
            made.append(i)
            yield i

    for i in read_ahead(items()):
        time.sleep(0.01)
        used.append(i)
        assert made[: i + 2] == [*range(min(i + 2, 4))]
    assert used == [0, 1, 2, 3]
    assert threading.active_count() <= before + 1


def test_an_error_while_reading_ahead_comes_through():
    def items():
        yield 1
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        list(read_ahead(items()))


def test_a_source_that_breaks_stops_the_training():
    source = toys.Scenes()

    def read(split, numbers):
        raise DataError("image 3 is broken")

    source.read = read
    run = toys.run_of(source=source)
    with pytest.raises(DataError, match="image 3 is broken"):
        GradientTrainer(unfreeze=["weigh"]).train(run)


def test_nothing_piles_up_over_the_epochs():
    class Watch:
        def __init__(self):
            self.tensors = []

        @impl
        def epoch_ended(self):
            gc.collect()
            found = [one for one in gc.get_objects() if type(one) in KINDS]
            self.tensors.append(sum(one.nbytes for one in found))

    run, watch = toys.run_of(), Watch()
    run.plugins.manager.register(watch)
    GradientTrainer(unfreeze=["weigh"], epochs=8, checkpoint={"monitor": "train/bce"}).train(run)
    assert watch.tensors[2] == watch.tensors[-1]
