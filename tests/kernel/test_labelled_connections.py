"""Inputs for labelled pixels get the output for them where a file wires all usable pixels."""

from types import ModuleType

import pytest

from specloom import Pipeline, Plugins, Port, Ported, SpecloomWarning, impl, load
from specloom.contract.ports import Connection
from specloom.execution import saved_pipeline
from specloom.graph.labelled import LabelledConnections

CUBE = Port("B H W C")
FLAGS = Port("B H W 1", dtype="bool")
OPTIONAL = Port("B H W 1", dtype="bool", optional=True)
LABELLED = Port("B H W 1", dtype="bool", optional=True, labelled=True)
USABLE = Port("B H W 1", dtype="bool", optional=True, labelled=False)


class Data(Ported):
    inputs = {"cube": CUBE}
    outputs = {
        "cube": CUBE,
        "mask": FLAGS,
        "valid": FLAGS,
        "labelled": Port("B H W 1", dtype="bool", instead_of="valid", labels="mask"),
    }
    entry = True

    def forward(self, cube):
        flags = cube[..., :1] > 0
        return {"cube": cube, "mask": flags, "valid": flags, "labelled": flags}


class Reader(Ported):
    """Every port of a kind; the tests connect what they need."""

    inputs = {"mask": OPTIONAL, "valid": OPTIONAL, "counted": LABELLED, "usable": USABLE}
    outputs = {"out": FLAGS}

    def forward(self, mask=None, valid=None, counted=None, usable=None):
        return {"out": valid}


class Plain(Ported):
    inputs = {"mask": OPTIONAL, "valid": OPTIONAL}
    outputs = {"out": FLAGS}

    def forward(self, mask=None, valid=None):
        return {"out": valid}


def rewired(node, *links, **more):
    written = [Connection(*link.split(" > "), f"run.yaml:{n}") for n, link in enumerate(links, 7)]
    made = LabelledConnections({"data": Data(), "node": node, **more}, written)
    return [f"{one.source} > {one.target}" for one in made.connections], made.notes


def test_an_input_that_counts_labelled_pixels_reads_which_those_are():
    links, notes = rewired(Reader(), "data.cube > node.other", "data.valid > node.counted")
    assert links == ["data.cube > node.other", "data.labelled > node.counted"]
    assert [str(note) for note in notes] == [
        "run.yaml:8: data.valid is connected to node.counted, where only pixels with a label "
        "count: data.labelled is used instead\n"
        "  fix: write '- [data.labelled, node.counted]'"
    ]


def test_an_input_that_does_not_say_follows_whether_the_node_reads_labels():
    assert rewired(Plain(), "data.valid > node.valid") == (["data.valid > node.valid"], [])
    links, notes = rewired(Plain(), "data.valid > node.valid", "data.mask > node.mask")
    assert links == ["data.labelled > node.valid", "data.mask > node.mask"]
    assert [note.fix for note in notes] == ["write '- [data.labelled, node.valid]'"]
    assert notes[0].where == "run.yaml:7"


def test_labels_of_another_data_node_change_nothing():
    links = ["data.valid > node.valid", "other.mask > node.mask"]
    assert rewired(Plain(), *links, other=Data()) == (links, [])


def test_an_input_for_all_usable_pixels_stays_and_its_companion_is_connected_once():
    links, notes = rewired(
        Reader(), "data.valid > node.usable", "data.mask > node.mask", "data.valid > node.valid"
    )
    assert links == [
        "data.valid > node.usable",
        "data.labelled > node.counted",
        "data.mask > node.mask",
        "data.labelled > node.valid",
    ]
    assert [str(note) for note in notes] == [
        "run.yaml:7: data.valid is connected to node.usable, but node.counted, where only pixels "
        "with a label count, is not connected: data.labelled is used\n"
        "  fix: add '- [data.labelled, node.counted]'",
        "run.yaml:9: data.valid is connected to node.valid, where only pixels with a label count: "
        "data.labelled is used instead\n"
        "  fix: write '- [data.labelled, node.valid]'",
    ]


@pytest.mark.parametrize(
    "links",
    [
        ["data.valid > node.usable"],  # it reads no labels
        ["data.valid > node.usable", "data.mask > node.mask", "data.labelled > node.counted"],
        ["data.labelled > node.valid", "data.mask > node.mask"],
        ["batch.valid > node.counted"],
        ["data.valid > absent.valid", "absent.valid > node.counted"],
        ["data.valid > node.absent"],
    ],
)
def test_what_stays_as_it_is_written(links):
    assert rewired(Reader(), *links) == (links, [])


def test_nodes_that_could_not_be_made_are_left_to_their_own_errors():
    links = ["data.valid > broken.valid", "broken.valid > node.counted"]
    assert rewired(Reader(), *links, broken=None) == (links, [])


RUN = """\
specloom: 1
data: {type: toy.Cubes}
nodes:
  data: {type: toy.Data}
  node: {type: toy.Plain}
connections:
  - [data.mask, node.mask]
  - [data.valid, node.valid]
outputs:
  out: node.out
"""


class Cubes:
    outputs = {"cube": CUBE}

    def sizes(self):
        return {"C": 4}

    def splits(self):
        return ["test"]

    def count(self, split):
        return 1

    def batches(self, split):
        return iter(())


def plugins():
    toy = ModuleType("toy")
    offered = {name: f"{__name__}:{name}" for name in ("Data", "Plain")}
    toy.register_nodes = impl(lambda: offered)
    toy.register_sources = impl(lambda: {"Cubes": f"{__name__}:Cubes"})
    return Plugins({"toy": toy})


WHAT = (
    "data.valid is connected to node.valid, where only pixels with a label count: "
    "data.labelled is used instead\n"
)


def test_a_run_file_is_warned_of_at_its_line(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(RUN)
    with pytest.warns(SpecloomWarning) as caught:
        graph = load(file, plugins=plugins(), device="cpu").graph
    (warning,) = caught
    assert str(warning.message) == WHAT + "  fix: write '- [data.labelled, node.valid]'"
    assert (warning.filename, warning.lineno) == (str(file), 8)
    assert graph.incoming("node")["valid"] == ["data.labelled"]
    file.write_text(RUN.replace("data.valid", "data.labelled"))
    assert load(file, plugins=plugins(), device="cpu").graph.incoming("node") == (
        graph.incoming("node")
    )


def test_python_is_warned_once_where_the_graph_is_made():
    pipeline = Pipeline("p", plugins())
    data = Data(name="data")
    node = Plain(name="node")
    pipeline.connect((data.outputs.mask, node.mask), (data.outputs.valid, node.valid))
    with pytest.warns(SpecloomWarning) as caught:
        graph = pipeline.graph(Cubes())
    (warning,) = caught
    assert str(warning.message) == (
        WHAT + '  fix: write pipeline.connect("data.labelled", "node.valid")'
    )
    assert warning.filename == __file__
    assert graph.incoming("node")["valid"] == ["data.labelled"]
    assert pipeline.graph(Cubes()).incoming("node")["valid"] == ["data.labelled"]


def test_a_saved_pipeline_is_read_without_a_warning(tmp_path, monkeypatch):
    old_outputs = {name: port for name, port in Data.outputs.items() if name != "labelled"}
    file = tmp_path / "run.yaml"
    file.write_text(RUN)
    with monkeypatch.context() as patch:
        patch.setattr(Data, "outputs", type(Data.outputs)("outputs", old_outputs))
        graph = load(file, plugins=plugins(), device="cpu").graph
    assert graph.incoming("node")["valid"] == ["data.valid"]
    text, weights = saved_pipeline.pack(graph, plugins())
    restored, _ = saved_pipeline.unpack(text, weights, plugins())
    assert restored.incoming("node")["valid"] == ["data.labelled"]
