"""The JSON Schema against what ``specloom check`` says: what an editor can know, and what not.

That all of ``configs`` pass it is in ``test_configs.py``.
"""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

import message_toys as toys
import test_messages
import test_messages_graph
from specloom import SpecloomError
from specloom.runfile import yaml
from specloom.testing.describing import describe_class
from specloom_registry.catalogue.json_schema import schema
from specloom_rx import RXGlobal

ROOT = Path(__file__).parents[1]
OFFERED = {
    "nodes": (toys.AnomalyData, toys.MinMax, toys.RXGlobal, toys.Decider, toys.Clumsy),
    "losses": (toys.Entropy,),
    "sources": (toys.Scenes,),
    "trainers": (toys.Train,),
}
CATALOGUE = test_messages.MESSAGES | test_messages_graph.MESSAGES

NAMES = "a schema cannot say that a text names a key, or a port of a node, elsewhere in the file"
GRAPH = "it follows from the connections as a whole, which a schema does not follow"
CODE = "only the code of the class knows: a schema has its parameters' types"
NO_YAML = "it is not YAML, or has a key twice: the editor's own parser tells it"
CANNOT = {
    **dict.fromkeys(("wrong output port", "wrong input port", "wrong node"), NAMES),
    **dict.fromkeys(("output that is none", "output of no node", "names in a phase"), NAMES),
    **dict.fromkeys(("two edges into one port", "edge of the wrong type", "cycle"), GRAPH),
    **dict.fromkeys(("edge of the wrong size", "missing required input"), GRAPH),
    **dict.fromkeys(("channels that are not the data's", "loss that nobody trains"), GRAPH),
    "consumer without its producer in a stage": GRAPH,
    **dict.fromkeys(("value that the node refuses", "node that fails when it is made"), CODE),
    "data that cannot be read": CODE,
    **dict.fromkeys(("duplicate node", "tab"), NO_YAML),
}
LEFT_OUT = set[str]()
"""What a schema could know, and ours leaves to ``specloom check``."""


@pytest.fixture(scope="module")
def knows():
    """Whether the schema finds something wrong with a file."""
    found = {
        f"toy.{cls.__name__}": describe_class(cls, kind)
        for kind, classes in OFFERED.items()
        for cls in classes
    }
    made = schema(found)
    jsonschema.Draft202012Validator.check_schema(made)
    checker = jsonschema.Draft202012Validator(made)

    def knows(text):
        return not checker.is_valid(yaml.parse(text, "run.yaml").value)

    return knows


def changed(name):
    text = toys.GOOD
    for old, new in CATALOGUE[name][0]:
        text = text.replace(old, new)
    return text


def test_the_good_file_is_good(knows):
    assert not knows(toys.GOOD)


@pytest.mark.parametrize("name", sorted(CATALOGUE.keys() - CANNOT.keys() - LEFT_OUT))
def test_a_mistake_that_a_schema_can_know(knows, name):
    assert knows(changed(name))


@pytest.mark.parametrize("name", ["../rx", "/rx", "a.b", "batch", "a-b", "1", "", "\u00e9"])
def test_names_that_the_reader_refuses(knows, name):
    node = toys.GOOD.replace("  decider: {", f"  {name!r}: {{type: toy.Decider}}\n  decider: {{")
    assert knows(node)
    output = toys.GOOD.replace("{decisions: ", f"{{{name!r}: ")
    assert knows(output) == (name != "batch")


@pytest.mark.parametrize("name", CANNOT)
def test_a_mistake_that_a_schema_cannot_know(knows, name):
    if CANNOT[name] == NO_YAML:
        with pytest.raises(SpecloomError):
            knows(changed(name))
    else:
        assert not knows(changed(name))


def test_most_of_the_catalogue_is_known_to_one_or_the_other():
    assert len(CATALOGUE) >= 35
    assert CANNOT.keys() | LEFT_OUT <= CATALOGUE.keys()
    assert len(CATALOGUE.keys() - CANNOT.keys()) >= 18


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/**/*.yaml")), ids=lambda p: p.name)
def test_run_files_of_the_examples_pass(file):
    from specloom.plugins import Plugins
    from specloom_registry.catalogue.descriptors import read_descriptors

    found = schema(read_descriptors(Plugins.for_file(ROOT / "configs/run.yaml")))
    jsonschema.validate(yaml.read(file).value, found)


def test_parameters_are_described_as_in_their_docstrings():
    described = {"rx.RXGlobal": describe_class(RXGlobal, "nodes")}
    uses = schema(described)["properties"]["nodes"]["additionalProperties"]["oneOf"]
    eps = uses[0]["properties"]["config"]["properties"]["eps"]
    expected = "The regularisation relative to a band's standard deviation; 0 for none."
    assert eps["description"] == expected
