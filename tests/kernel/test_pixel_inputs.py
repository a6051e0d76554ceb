"""Metrics, losses and fits that do not read which pixels count, where the graph offers it."""

import pytest

from specloom import Graph, Plugins, Port, Ported, Run, UnavailableError, impl
from specloom.contract.ports import Connection

CUBE = Port("B H W C")
FLAGS = Port("B H W 1", dtype="bool")
OPTIONAL = Port("B H W 1", dtype="bool", optional=True)
LABELLED = Port("B H W 1", dtype="bool", optional=True, labelled=True)
NOTE = "no-data pixels are not excluded"


class Data(Ported):
    inputs = {"cube": CUBE}
    outputs = {
        "cube": CUBE,
        "valid": Port("B H W 1", dtype="bool", unused_note=NOTE),
        "labelled": Port("B H W 1", dtype="bool", instead_of="valid", labels="valid"),
    }
    entry = True

    def forward(self, cube):
        flags = cube[..., :1] > 0
        return {"cube": cube, "valid": flags, "labelled": flags}


class Background(Ported):
    inputs = {"cube": CUBE, "valid": OPTIONAL}
    outputs = {"valid": Port("B H W 1", dtype="bool", unused_note=NOTE)}

    def forward(self, cube, valid=None):
        return {"valid": cube[..., :1] > 0}


class Reader(Ported):
    inputs = {"data": CUBE, "valid": OPTIONAL}
    outputs = {"data": CUBE}

    def forward(self, data, valid=None):
        return {"data": data}


class Fit(Reader):
    fit_passes = 1
    fitted = False

    def fit_start(self, pass_):
        pass

    def fit_update(self, **arrays):
        pass

    def fit_state(self):
        return {}

    def fit_merge(self, state):
        pass

    def fit_end(self):
        pass


class Measure(Ported):
    inputs = {"data": CUBE, "valid": LABELLED}
    outputs = {"metrics": Port(dtype="scalars", per_stage=True)}

    def measure_start(self, stage):
        pass

    def measure_end(self):
        return {"metrics": {}}

    def forward(self, data, valid=None):
        return {}


class Draw(Measure):
    outputs = {"picture": Port(dtype="record", per_stage=True)}


class Loss(Ported):
    inputs = {"data": CUBE, "valid": LABELLED}
    outputs = {"loss": Port("")}
    weight = 1.0

    def pooled(self):
        return 0, 0

    def forward(self, data, valid=None):
        return {"loss": 0}


def notes(nodes, *links):
    return Graph(nodes, [Connection(*link.split(" > ")) for link in links]).notes()


@pytest.mark.parametrize(
    ("node", "source", "use"),
    [
        (Fit(), "data.valid", "fitted"),
        (Measure(), "data.labelled", "measured"),
        (Loss(), "data.labelled", "counted by the loss"),
    ],
)
def test_an_open_input_is_reported_though_another_node_reads_the_output(node, source, use):
    nodes = {"data": Data(), "other": Reader(), "node": node}
    links = ["data.cube > other.data", "data.valid > other.valid", "data.cube > node.data"]
    assert notes(nodes, *links) == [
        f"node.valid is not connected: pixels that {source} excludes are {use} like the others\n"
        f"  fix: connect {source} to node.valid"
    ]
    assert notes(nodes, *links, f"{source} > node.valid") == []


def test_the_last_node_that_excludes_pixels_is_offered():
    nodes = {"data": Data(), "ground": Background(), "node": Fit()}
    links = ["data.cube > ground.cube", "data.valid > ground.valid", "data.cube > node.data"]
    (note, *more) = notes(nodes, *links)
    assert more == []
    assert "connect it to node.valid" in note
    nodes["other"] = Reader()
    links += ["data.cube > other.data", "ground.valid > other.valid"]
    (note,) = notes(nodes, *links)
    assert note.endswith("fix: connect ground.valid to node.valid")


def test_what_only_computes_or_draws_needs_no_pixels_that_count():
    nodes = {"data": Data(), "reader": Reader(), "other": Reader(), "draw": Draw()}
    links = ["data.cube > reader.data", "data.cube > other.data", "data.cube > draw.data"]
    assert notes(nodes, *links, "data.valid > other.valid", "data.valid > reader.valid") == []


def test_an_output_that_no_node_reads_is_reported_once():
    (note,) = notes({"data": Data(), "node": Fit()}, "data.cube > node.data")
    assert note.startswith(f"data.valid is not connected: {NOTE}")


class Weights(Reader):
    absent = ("weights", "adapter")

    def missing(self):
        for name in self.absent:
            yield UnavailableError(f"there is no file of {name}", fix="fetch it")

    def setup_notes(self):
        yield UnavailableError("the weights are for tests", fix="fetch others")


class Source:
    outputs = {"cube": CUBE}

    def sizes(self):
        return {}

    def splits(self):
        return ("train",)

    def count(self, split):
        return 0

    def batches(self, split):
        raise AssertionError("a pass over the data began")


class Pass:
    def check(self, graph, at):
        return ()

    def train(self, run):
        list(run.batches("train"))


def test_a_run_ends_before_its_first_pass_where_files_are_missing():
    graph = Graph({"weights": Weights()}, [Connection("batch.cube", "weights.data")])
    seen = []

    class Watcher:
        @impl
        def warned(self, run, message):
            seen.append(message)

    plugins = Plugins({})
    plugins.add("watcher", Watcher())
    run = Run(graph, Source(), [("Pass", Pass())], plugins=plugins, device="cpu")
    with pytest.raises(Exception, match=r"(?s)no file of weights.*no file of adapter") as caught:
        run.run()
    assert caught.value.exit_code == UnavailableError.exit_code
    assert seen == ["the weights are for tests\n  fix: fetch others"]
