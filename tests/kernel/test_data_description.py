"""Sources that describe their splits, nodes that compare them, and data that no batch has."""

import types

import pytest

from plan_toys import CUBE
from specloom import DataError, Graph, Plugins, Port, Ported, Run, impl
from specloom.assembly.absent_data import absent_data_problems
from specloom.contract.ports import Connection
from specloom.execution.data_description import data_notes, describe_splits


class Described:
    """A description as a plugin of others may have it."""

    def __init__(self, images):
        self.images = images

    def line(self):
        return f"{self.images} images"

    def details(self):
        return ["more"]

    def values(self):
        return {"images": self.images}


class Source:
    outputs = {"cube": CUBE}
    images = 3

    def sizes(self):
        return {}

    def splits(self):
        return ("train", "test", "predict")

    def count(self, split):
        return 0

    def batches(self, split):
        return iter(())

    def describe(self, split):
        return Described(self.images) if split != "test" else None


class Failing(Source):
    def describe(self, split):
        raise DataError("the mask is torn", fix="copy it again")


class Picky(Ported):
    inputs = {"data": CUBE}
    outputs = {"data": CUBE}

    def data_notes(self, splits):
        for split, values in splits.items():
            yield DataError(f"{split} has {values['images']} images", fix="take more")

    def forward(self, data):
        return {"data": data}


def graph(**nodes):
    links = [Connection("batch.cube", f"{name}.data") for name in nodes]
    return Graph(nodes, links, splits=Source().splits())


def watched(source, *, observed=False):
    """The run of a graph without phases, and what an observer saw of the data."""
    seen = types.SimpleNamespace(splits=[], warnings=[])

    class Watcher:
        @impl
        def data_described(self, run, splits):
            seen.splits.append(splits)

        @impl
        def warned(self, run, message):
            seen.warnings.append(message)

    plugins = Plugins({})
    plugins.add("watcher", Watcher())
    run = Run(graph(picky=Picky()), source, plugins=plugins)
    run.run()
    return run, seen


def test_each_split_but_predict_is_described_to_observers_and_recorded():
    run, seen = watched(Source())
    assert [list(splits) for splits in seen.splits] == [["train"]]
    assert seen.splits[0]["train"].line() == "3 images"
    assert run.record["splits"] == {"train": {"images": 3}}
    assert seen.warnings == ["train has 3 images\n  fix: take more"]


def test_what_is_known_when_a_run_ends_is_recorded(monkeypatch):
    source = Source()
    phase = types.SimpleNamespace(train=lambda run: setattr(source, "images", 5))
    run = Run(graph(), source, [("toy.Phase", phase)], plugins=Plugins({}), observed=True)
    run.run()
    assert run.record["splits"] == {"train": {"images": 5}}


def test_a_run_without_observers_describes_nothing():
    run = Run(graph(), Failing())
    run.run()
    assert "splits" not in run.record


def test_files_that_cannot_be_described_do_not_end_a_run_and_are_errors_of_a_check():
    run, seen = watched(Failing())
    assert (seen.splits, run.record) == ([], {})
    with pytest.raises(DataError, match="the mask is torn\n  fix: copy it again"):
        run.describe_data()


def test_a_source_without_descriptions():
    class Silent:
        pass

    assert describe_splits(graph(), Silent()) == {}
    assert data_notes(graph(picky=Picky()), {}) == []


class Both(Ported):
    inputs = {"data": CUBE, "extra": Port("C", optional=True)}
    outputs = {"data": CUBE}

    def forward(self, data, extra=None):
        return {"data": data}


class Needs(Both):
    inputs = {"data": CUBE, "extra": Port("C")}


def test_a_node_that_needs_what_no_batch_has():
    links = [
        Connection("batch.cube", "first.data"),
        Connection("batch.extra", "first.extra"),
        Connection("first.data", "second.data"),
        Connection("batch.extra", "second.extra"),
        Connection("batch.cube", "third.data"),
        Connection("batch.extra", "third.extra"),
    ]
    ports = {"cube": CUBE, "extra": Port("C", optional=True)}
    made = Graph({"first": Needs(), "second": Needs(), "third": Both()}, links, batch=ports)
    source = types.SimpleNamespace(absent_outputs=lambda: {"extra": "state it"})
    (problem,) = absent_data_problems(made, source)
    assert problem.what == "the data have no extra, and node 'first' (Needs) cannot run without"
    assert problem.fix == "state it"
    assert absent_data_problems(made, types.SimpleNamespace()) == []
    source = types.SimpleNamespace(absent_outputs=dict)
    assert absent_data_problems(made, source) == []
