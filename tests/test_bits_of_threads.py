"""No bit of what nodes learn and compute depends on how many threads work on it."""

import copy

import pytest
import torch

from specloom.plugins import Plugins
from specloom.testing.driving import fit, needs_fit, run
from specloom.testing.making import batch_for, built
from specloom.threads import limited

COUNTS = (1, 2, 3, 8)
SIZES = {"B": 2, "H": 48, "W": 80}
PLUGINS = Plugins()
#: What threads take at a time, so small that these images are many parts.
PARTS = {
    "specloom_statistics.blocks.PART_VALUES": 1 << 14,
    "specloom_statistics.extremes.BLOCK_VALUES": 1 << 14,
    "specloom_statistics.extremes.NATIVE_BLOCK_VALUES": 1 << 14,
    "specloom_normalize.scaling.BLOCK": 1 << 12,
    "specloom_rx.blocks.PART_VALUES": 1 << 14,
    "specloom_rx.blocks.CPU_BLOCK": 1 << 14,
    "specloom_pca.pixel_maps.PART_VALUES": 1 << 14,
    "specloom_pca.pixel_maps.CPU_VALUES": 1 << 13,
    "specloom_mrmr.class_statistics.BLOCK": 1 << 14,
    "specloom_mrmr.sample.SORTED_BANDS": 3,
    "specloom_mrmr.counts.SORTED_BANDS": 3,
}
#: Nodes whose example needs files.
EXCLUDED = {"targets.OSP"}


def fitted_nodes():
    """Every node that learns from a stream, by its name."""
    found = {}
    for label in PLUGINS.offers(("nodes",)):
        name, cls = PLUGINS.find(label, ("nodes",), "")
        if name not in EXCLUDED and hasattr(cls, "fit_update"):
            found[name] = cls
    return found


NODES = fitted_nodes()


def learnt(cls):
    """The state of a node after its fit, and its outputs."""
    node = built(cls, SIZES)
    batches = [batch_for(node, SIZES, seed, for_fit=True, optional=True) for seed in (1, 2)]
    if needs_fit(node):
        fit(node, batches)
    outputs = run(node, batch_for(node, SIZES, 3, optional=True))
    state = {name: torch.as_tensor(value) for name, value in node.state().items()}
    tensors = {name: value for name, value in outputs.items() if isinstance(value, torch.Tensor)}
    return copy.deepcopy({**state, **tensors})


@pytest.mark.parametrize("name", NODES)
def test_fits_and_results_are_the_same_with_any_number(name, monkeypatch):
    for target, value in PARTS.items():
        monkeypatch.setattr(target, value)
    results = []
    for count in COUNTS:
        with limited(count):
            torch.set_num_threads(1)
            results.append(learnt(NODES[name]))
    first, *others = results
    assert first
    for count, other in zip(COUNTS[1:], others, strict=True):
        assert other.keys() == first.keys()
        for key, value in first.items():
            assert torch.equal(value.nan_to_num(7), other[key].nan_to_num(7)), (count, key)


@pytest.mark.parametrize("name", ["rx.RXGlobal", "pca.TrainablePCA", "normalize.MinMaxNormalizer"])
def test_parts_of_the_usual_size_give_the_same_bits_too(name):
    sizes = {"B": 2, "H": 160, "W": 170}
    cls = NODES[name]
    results = []
    for count in COUNTS:
        with limited(count):
            node = built(cls, sizes)
            fit(node, [batch_for(node, sizes, 1, for_fit=True)])
            results.append({**node.state(), **run(node, batch_for(node, sizes, 2))})
    first, *others = results
    for other in others:
        for key, value in first.items():
            assert torch.equal(value, other[key]), key


def test_the_usual_nodes_are_among_them():
    assert NODES.keys() >= {
        "rx.RXGlobal",
        "rx.ScoreToLogit",
        "pca.TrainablePCA",
        "pca.MNF",
        "normalize.MinMaxNormalizer",
        "mrmr.SupervisedFullSpectrumBandSelector",
        "selectors.SoftChannelSelector",
    }
