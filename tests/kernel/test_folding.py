"""Folding: an affine node goes into the linear map behind it where nobody can tell."""

import pytest
import torch

from specloom import Graph, LazyAffine, LazyLinear, LazyMonotone, NodeError, Port, Ported
from specloom.contract.ports import Connection
from specloom.execution.plan import Plan
from specloom.torch import TorchRuntime

CUBE_PORT = Port("B H W C")


class Scale(Ported):
    inputs = {"data": Port("B H W C", dtype="real"), "valid": Port("B H W 1", optional=True)}
    outputs = {"scaled": CUBE_PORT, "factors": Port("1")}
    affine_output = "scaled"

    def __init__(self, on: bool = True, factor: float = 2.0) -> None:
        self.on, self.factor = on, factor

    def forward(self, data, valid=None):
        return {"scaled": data.float() * self.factor + 1, "factors": torch.tensor([self.factor])}

    def forward_lazy(self, data, valid=None):
        made = self.forward(torch.zeros(1))
        scaled = LazyAffine(data, made["factors"], torch.ones(1), torch.float32)
        return {**made, "scaled": scaled} if self.on else self.forward(data)


class Chained(Scale):
    """Takes a map in front of it into its own."""

    affine_input = "data"

    def forward_lazy(self, data, valid=None):
        made = super().forward_lazy(torch.zeros(1))["scaled"]
        scaled = LazyAffine.of(data, made.scale, made.offset, torch.float32)
        return {"scaled": scaled, "factors": made.scale}


class Linear(Ported):
    inputs = {"data": CUBE_PORT, "weights": Port("B H W C", optional=True)}
    outputs = {"out": CUBE_PORT}
    affine_input = "data"

    def forward(self, data, weights=None):
        self.got = type(data)
        if not isinstance(data, LazyAffine):
            return {"out": data * 3}
        return {"out": data.data * (3 * data.scale) + 3 * data.offset}


class NumpyLinear(Linear):
    array_library = "numpy"


class Bands(Ported):
    """Differences of neighbouring bands, which takes maps in."""

    inputs = {"data": CUBE_PORT}
    outputs = {"bands": CUBE_PORT}
    linear_output = "bands"
    affine_input = linear_input = "data"

    def forward(self, data):
        return {"bands": values_of(data) @ DIFFERENCES.T + 1}

    def forward_lazy(self, data):
        return {"bands": LazyLinear.of(data, DIFFERENCES, torch.ones(3), torch.float32)}


class LinearScale(Chained):
    """Passes a linear map on."""

    linear_input = "data"

    def forward(self, data, valid=None):
        return super().forward(values_of(data), valid)


class Dense(Ported):
    inputs = {"data": CUBE_PORT}
    outputs = {"out": CUBE_PORT}
    affine_input = linear_input = "data"

    def forward(self, data):
        self.got = type(data)
        return {"out": values_of(data) * 3}


DIFFERENCES = torch.tensor([[-1.0, 1, 0], [0, -1, 1], [0, 0, 2]])


def values_of(data):
    if isinstance(data, LazyAffine):
        return data.data * data.scale + data.offset
    if isinstance(data, LazyLinear):
        return data.data @ data.matrix.T + data.offset
    return data


def built(links, batch=CUBE_PORT, **nodes):
    links = [Connection(*link.split(" > ")) for link in links]
    return Graph(nodes, links, batch={"cube": batch, "valid": Port("B H W 1")})


def plan(graph, *want, **options):
    return Plan(graph, "test", TorchRuntime("cpu"), want, fold=True, **options)


PAIR = ["batch.cube > scale.data", "scale.scaled > linear.data"]
CUBE = torch.randn(1, 2, 2, 3, generator=torch.Generator().manual_seed(0))
BATCH = {"cube": CUBE, "valid": torch.ones(1, 2, 2, 1)}


def agrees(graph, *want):
    """Run the folded plan, hold it to the plain one, and say what reached ``linear``."""
    plain = Plan(graph, "test", TorchRuntime("cpu"), want)(BATCH)
    folded = plan(graph, *want)
    for _ in range(2):
        made = folded(BATCH)
        assert all(torch.allclose(made[end], plain[end], atol=1e-6) for end in want)
    return graph.nodes["linear"].got


FOLDED = {
    "nobody else reads it": (PAIR, {}, []),
    "an optional input is fed": ([*PAIR, "batch.valid > scale.valid"], {}, []),
    "another output is read": (PAIR, {}, ["scale.factors"]),
    "all its readers take it in": (
        [*PAIR, "scale.scaled > other.data"],
        {"other": Linear()},
        ["other.out"],
    ),
}


@pytest.mark.parametrize(("links", "nodes", "want"), FOLDED.values(), ids=FOLDED)
def test_it_folds_where(links, nodes, want):
    graph = built(links, **{"scale": Scale(), "linear": Linear(), **nodes})
    assert agrees(graph, "linear.out", *want) is LazyAffine


def test_a_chain_of_affine_nodes_folds_as_a_whole():
    links = ["batch.cube > far.data", "far.scaled > scale.data", PAIR[1]]
    graph = built(links, far=Scale(factor=5.0), scale=Chained(), linear=Linear())
    assert agrees(graph, "linear.out") is LazyAffine
    batch = {"cube": torch.ones(1, 1, 1, 1, dtype=torch.float32)}
    assert plan(graph, "linear.out")(batch)["linear.out"].item() == 3 * (2 * 6 + 1)


WRITTEN_OUT = {
    "it is wanted": (PAIR, {}, ["scale.scaled"]),
    "another node reads it": (
        [*PAIR, "scale.scaled > other.data"],
        {"other": Scale()},
        ["other.scaled"],
    ),
    "the reader takes it twice": ([*PAIR, "scale.scaled > linear.weights"], {}, []),
    "it goes to another input": (
        [PAIR[0], "batch.cube > linear.data", "scale.scaled > linear.weights"],
        {},
        [],
    ),
    "it is not affine now": (PAIR, {"scale": Scale(on=False)}, []),
}


@pytest.mark.parametrize(("links", "nodes", "want"), WRITTEN_OUT.values(), ids=WRITTEN_OUT)
def test_it_is_worked_out_where(links, nodes, want):
    graph = built(links, **{"scale": Scale(), "linear": Linear(), **nodes})
    assert agrees(graph, "linear.out", *want) is torch.Tensor


def test_it_is_worked_out_for_a_node_that_works_on_numpy_arrays():
    linear = NumpyLinear()
    plan(built(PAIR, scale=Scale(), linear=linear), "linear.out")(BATCH)
    assert linear.got.__name__ == "ndarray"


def test_whole_numbers_reach_the_reader_as_they_are():
    graph = built(PAIR, Port("B H W C", dtype="uint16"), scale=Scale(), linear=Linear())
    cube = torch.ones(1, 1, 1, 1, dtype=torch.uint16)
    assert plan(graph, "linear.out")({"cube": cube})["linear.out"].item() == 9
    assert graph.nodes["linear"].got is LazyAffine


def test_a_wanted_value_comes_mapped_to_who_says_so():
    graph = built(PAIR, scale=Scale(), linear=Linear())
    made = plan(graph, "scale.scaled", lazy=["scale.scaled"])(BATCH)["scale.scaled"]
    assert isinstance(made, LazyAffine)
    assert made.shape == (1, 2, 2, 3)
    twice = LazyAffine.of(made, 3.0, 1.0, torch.float32)
    assert (twice.data is BATCH["cube"], *twice.scale, *twice.offset) == (True, 6.0, 4.0)


BANDS = ["batch.cube > bands.data", "bands.bands > linear.data"]
LINEAR = {
    "its reader takes linear maps": (BANDS, {}, LazyLinear),
    "an affine node before it": (
        [*PAIR[:1], "scale.scaled > bands.data", BANDS[1]],
        {"scale": LinearScale()},
        LazyLinear,
    ),
    "an affine node behind it passes it on": (
        [BANDS[0], "bands.bands > scale.data", PAIR[1]],
        {"scale": LinearScale()},
        LazyLinear,
    ),
    "two of them": (
        [BANDS[0], "bands.bands > second.data", "second.bands > linear.data"],
        {"second": Bands()},
        LazyLinear,
    ),
    "an affine node behind it takes no linear maps": (
        [BANDS[0], "bands.bands > scale.data", PAIR[1]],
        {"scale": Chained()},
        LazyAffine,
    ),
}


@pytest.mark.parametrize(("links", "nodes", "form"), LINEAR.values(), ids=LINEAR)
def test_a_linear_node_folds_where(links, nodes, form):
    graph = built(links, **{"bands": Bands(), "linear": Dense(), **nodes})
    assert agrees(graph, "linear.out") is form


def test_a_linear_node_is_worked_out_for_a_reader_of_affine_maps():
    graph = built(BANDS, bands=Bands(), linear=Linear())
    assert agrees(graph, "linear.out") is torch.Tensor


def test_an_affine_node_is_worked_out_where_its_reader_cannot_pass_on_what_comes_to_it():
    """``scale`` is folded, as ``linear`` takes affine maps; so ``bands`` may not be."""
    links = [BANDS[0], "bands.bands > scale.data", PAIR[1]]
    graph = built(links, bands=Bands(), scale=LinearScale(), linear=Linear())
    assert agrees(graph, "linear.out") is LazyAffine


def test_a_wanted_value_comes_as_a_linear_map_only_to_who_takes_one():
    graph = built(BANDS, bands=Bands(), linear=Dense())
    want = ["bands.bands"]
    made = plan(graph, *want, lazy=want, lazy_linear=want)(BATCH)["bands.bands"]
    assert isinstance(made, LazyLinear)
    assert made.shape == (1, 2, 2, 3)
    torch.testing.assert_close(values_of(made), graph.nodes["bands"].forward(CUBE)["bands"])
    assert isinstance(plan(graph, *want, lazy=want)(BATCH)["bands.bands"], torch.Tensor)


def test_maps_are_composed_in_any_order():
    generator = torch.Generator().manual_seed(1)
    cube = torch.randn(1, 2, 2, 3, generator=generator, dtype=torch.float64)
    matrix = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    second = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    offset = torch.randn(4, generator=generator, dtype=torch.float64)
    scale = torch.tensor([1.0, 2, 3]).double()
    affine = LazyAffine.of(cube, scale, torch.tensor(1.0).double(), cube.dtype)
    linear = LazyLinear.of(affine, matrix, offset, cube.dtype)
    again = LazyAffine.of(linear, offset, torch.tensor(2.0).double(), cube.dtype)
    twice = LazyLinear.of(again, second, torch.tensor(5.0).double(), torch.float32)
    assert twice.data is cube
    assert twice.dtype == torch.float32
    assert twice.shape == (1, 2, 2, 2)
    want = ((cube * scale + 1) @ matrix.T + offset) * offset + 2
    torch.testing.assert_close(values_of(twice), want @ second.T + 5)


class Curve(Ported):
    """A function of each number that never decreases."""

    inputs = {"data": CUBE_PORT, "valid": Port("B H W 1", optional=True)}
    outputs = {"curved": CUBE_PORT, "unread": CUBE_PORT}
    monotone_output = "curved"

    def forward(self, data, valid=None):
        return {"curved": data**3, "unread": data}

    def forward_lazy(self, data, valid=None):
        return {"curved": LazyMonotone(data, lambda values: values**3, data.dtype), "unread": data}


class Compare(Ported):
    inputs = {"data": CUBE_PORT}
    outputs = {"out": CUBE_PORT}
    monotone_input = "data"

    def forward(self, data):
        self.got = type(data)
        if isinstance(data, LazyMonotone):
            data = data.function(data.data)
        return {"out": (data > 0.5).float()}


CURVE = ["batch.cube > curve.data", "curve.curved > linear.data"]
MONOTONE = {
    "its reader takes monotone maps": (CURVE, {}, [], LazyMonotone),
    "its reader takes values": (
        [*CURVE, "curve.curved > other.data"],
        {"other": Linear()},
        ["other.out"],
        torch.Tensor,
    ),
    "it is wanted": (CURVE, {}, ["curve.curved"], torch.Tensor),
}


@pytest.mark.parametrize(("links", "nodes", "want", "form"), MONOTONE.values(), ids=MONOTONE)
def test_a_monotone_node_folds_where(links, nodes, want, form):
    graph = built(links, **{"curve": Curve(), "linear": Compare(), **nodes})
    assert agrees(graph, "linear.out", *want) is form


def test_a_reader_of_monotone_maps_gets_the_values_of_an_affine_node():
    graph = built(PAIR, scale=Scale(), linear=Compare())
    assert agrees(graph, "linear.out") is torch.Tensor


def test_a_reader_of_affine_maps_gets_the_values_of_a_monotone_node():
    graph = built(CURVE, curve=Curve(), linear=Linear())
    assert agrees(graph, "linear.out") is torch.Tensor


class Two(Ported):
    """Makes only what it has to."""

    inputs = {"data": CUBE_PORT}
    outputs = {"first": CUBE_PORT, "second": CUBE_PORT}

    def forward(self, data):
        return {"first": data, "second": 2 * data}

    def forward_for(self, outputs):
        self.selected = list(outputs)
        return lambda data: {"second": 2 * data}


class Changed(Two):
    """Another ``forward``, which ``forward_for`` of the base class knows nothing of."""

    def forward(self, data):
        return {"first": data, "second": 3 * data}


TWO = ["batch.cube > two.data", "two.second > linear.data"]


def test_outputs_that_nothing_reads_are_left_out():
    graph = built(TWO, two=Two(), linear=Linear())
    assert agrees(graph, "linear.out") is torch.Tensor
    assert graph.nodes["two"].selected == ["second"]


def test_a_forward_of_a_derived_class_is_called():
    graph = built(TWO, two=Changed(), linear=Linear())
    agrees(graph, "linear.out")
    assert not hasattr(graph.nodes["two"], "selected")


def test_a_listener_gets_every_output():
    graph = built(TWO, two=Two(), linear=Linear())
    heard = {}
    made = plan(graph, "linear.out", listener=lambda node, outputs, **_: heard.update(outputs))
    made(BATCH)
    assert {"first", "second"} <= heard.keys()


def test_a_read_output_that_is_left_out_is_an_error():
    class Wrong(Two):
        def forward_for(self, outputs):
            return lambda data: {"first": data}

    graph = built(TWO, two=Wrong(), linear=Linear())
    with pytest.raises(NodeError, match="two did not make its output 'second'"):
        plan(graph, "linear.out")(BATCH)
