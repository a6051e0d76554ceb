import pytest
import torch

from specloom import NodeError, Port
from specloom_statistics import RunningVariance, StreamingNode


class Deviation(StreamingNode[RunningVariance]):
    """The standard deviation of every band."""

    inputs = {"data": Port("B H W C")}
    outputs = {"deviation": Port("C")}

    def build(self, sizes):
        self.register_buffer("std", torch.zeros(sizes["C"], dtype=torch.float64))

    def fit_start(self, pass_):
        self.start_statistics(RunningVariance(len(self.std)))

    def fit_update(self, data):
        self.statistics().update(data)

    def fit_end(self):
        statistics = self.take_statistics()
        self.left_out = statistics.left_out
        self.finish_fit(statistics.count)
        self.std.copy_(statistics.variance().sqrt())


def made():
    node = Deviation()
    node.build({"C": 3})
    return node


def data():
    cubes = torch.randn(4, 5, 6, 3, generator=torch.Generator().manual_seed(0))
    cubes[0, 0, 0, 1] = torch.inf
    return cubes


def test_a_fit_sets_the_count_and_the_summary():
    node = made()
    node.fit_start(0)
    node.fit_update(data())
    node.fit_end()
    usable = data().reshape(-1, 3)[1:].double()
    torch.testing.assert_close(node.std, usable.std(0, correction=0))
    assert node.fitted
    assert node.pixel_summary() == "119 pixels (1 excluded)"
    node.fit_start(0)
    assert not node.fitted


def test_processes_merge():
    one, two = made(), made()
    for node, part in ((one, data()[:1]), (two, data()[1:])):
        node.fit_start(0)
        node.fit_update(part)
    one.fit_merge(two.fit_state())
    one.fit_end()
    assert one.pixels == 119


@pytest.mark.parametrize(
    "call",
    [
        lambda node: node.fit_update(data()),
        lambda node: node.fit_state(),
        lambda node: node.fit_merge({}),
        lambda node: node.fit_end(),
    ],
    ids=["update", "state", "merge", "end"],
)
def test_without_a_started_fit_there_is_an_error(call):
    node = made()
    with pytest.raises(NodeError) as caught:
        call(node)
    expected = "Deviation has not started a fit\n  fix: call fit_start(0) first"
    assert str(caught.value) == expected
    node.fit_start(0)
    node.fit_update(data())
    node.fit_end()
    with pytest.raises(NodeError, match="has not started a fit"):
        call(node)
