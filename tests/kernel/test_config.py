"""The form of run files: each mistake with its place and its cure, several at once; overrides."""

import pytest

from specloom import ConfigError, Problems, SpecloomError
from specloom.config import interpret
from specloom.errors import raise_all
from specloom.overrides import override
from specloom.yamlfile import parse

GOOD = """\
specloom: 1
metadata: {name: toy, description: "", tags: [a, b], author: me}
seed: 3
data: {type: toy.Data}
nodes:
  rx: {type: toy.RX, config: {eps: 1e-6, windows: [[1, 2], [3, 4]]}}
  head: {type: Head, stages: [val, test]}
connections:
  - [rx.scores, head.scores]
phases:
  - {type: toy.Fit}
outputs: {scores: rx.scores}
"""


def good(*overrides, text=GOOD):
    document = parse(text, "run.yaml")
    for one in overrides:
        override(document, one)
    file, problems = interpret(document)
    raise_all(problems)
    return file


def told(text, *overrides):
    with pytest.raises(SpecloomError) as caught:
        good(*overrides, text=text)
    return str(caught.value)


def test_a_good_file():
    file = good()
    assert file.metadata["tags"] == ["a", "b"]
    assert (file.seed, file.data.type) == (3, "toy.Data")
    assert file.nodes["rx"].config == {"eps": 1e-6, "windows": [[1, 2], [3, 4]]}
    assert (file.nodes["rx"].stages, file.nodes["head"].stages) == (None, ("val", "test"))
    assert file.connections == [("rx.scores", "head.scores")]
    assert [use.type for use in file.phases] == ["toy.Fit"]
    assert file.outputs == {"scores": "rx.scores"}


LEAST = "specloom: 1\nnodes:\n  a: {type: toy.A}\n"

FORMS = {
    "empty": ("", "run.yaml:1: the file is empty\n  fix: start with 'specloom: 1'"),
    "text": (
        "hello\n",
        "run.yaml:1: the file is text, not a mapping\n  fix: write 'key: value' lines",
    ),
    "no version": (
        "nodes:\n  a: {type: toy.A}\n",
        "run.yaml:1: the key 'specloom' is absent, this version reads 1\n"
        "  fix: write 'specloom: 1' first",
    ),
    "other version": (
        "\nspecloom: 2\nnodes: {a: {type: toy.A}}\n",
        "run.yaml:2: the key 'specloom' is 2, this version reads 1\n"
        "  fix: write 'specloom: 1' first",
    ),
    "version true": (
        "specloom: true\nnodes: {a: {type: toy.A}}\n",
        "run.yaml:1: the key 'specloom' is True, this version reads 1\n"
        "  fix: write 'specloom: 1' first",
    ),
    "unknown key": (
        LEAST + "conections: []\n",
        "run.yaml:4: unknown key 'conections' in the file\n  fix: did you mean 'connections'?",
    ),
    "key of another tool": (
        LEAST + "edges: []\n",
        "run.yaml:4: unknown key 'edges' in the file\n  fix: did you mean 'connections'?",
    ),
    "seed": (
        LEAST + "seed: -1\n",
        "run.yaml:4: seed is -1\n  fix: give a whole number from 0 to 2**63 - 1",
    ),
    "huge seed": (
        LEAST + "seed: 9223372036854775808\n",
        "run.yaml:4: seed is 9223372036854775808\n  fix: give a whole number from 0 to 2**63 - 1",
    ),
    "metadata": (
        LEAST + "metadata: {name: 2024}\n",
        "run.yaml:4: metadata.name is 2024\n  fix: write text, in quotes",
    ),
    "tags": (
        LEAST + "metadata: {tags: rx}\n",
        "run.yaml:4: metadata.tags is text, not a list\n  fix: write '- …' lines",
    ),
    "one tag": (
        LEAST + "metadata: {tags: [rx, 1]}\n",
        "run.yaml:4: metadata.tags is ['rx', 1]\n  fix: write text, in quotes",
    ),
    "no nodes": (
        "specloom: 1\n",
        "run.yaml:1: there are no nodes\n  fix: add 'nodes:' with at least one node",
    ),
    "empty nodes": (
        "specloom: 1\nnodes: {}\n",
        "run.yaml:2: there are no nodes\n  fix: add 'nodes:' with at least one node",
    ),
    "nodes as a list": (
        "specloom: 1\nnodes:\n  - {type: toy.A}\n",
        "run.yaml:2: nodes is a list, not a mapping\n  fix: write 'key: value' lines",
    ),
    "node name": (
        "specloom: 1\nnodes:\n  my-node: {type: toy.A}\n",
        "run.yaml:3: node name 'my-node' is no name\n"
        "  fix: use letters, digits and _, beginning with a letter",
    ),
    "node named batch": (
        "specloom: 1\nnodes:\n  batch: {type: toy.A}\n",
        "run.yaml:3: node name 'batch' is kept for the data\n  fix: give the node another name",
    ),
    "node as text": (
        "specloom: 1\nnodes:\n  rx: toy.RX\n",
        "run.yaml:3: nodes.rx is text, not a mapping\n  fix: write 'key: value' lines",
    ),
    "no type": (
        "specloom: 1\nnodes:\n  rx: {config: {a: 1}}\n",
        "run.yaml:3: nodes.rx has no type\n  fix: write 'type: plugin.Name'",
    ),
    "type as number": (
        "specloom: 1\nnodes:\n  rx:\n    type: 5\n",
        "run.yaml:4: nodes.rx.type is 5\n  fix: write 'type: plugin.Name'",
    ),
    "class_name": (
        "specloom: 1\nnodes:\n  rx:\n    class_name: toy.RX\n",
        "run.yaml:3: nodes.rx has no type\n  fix: write 'type: plugin.Name'\n"
        "run.yaml:4: unknown key 'class_name' in nodes.rx\n  fix: did you mean 'type'?",
    ),
    "config": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, config: [1]}\n",
        "run.yaml:3: nodes.rx.config is a list, not a mapping\n  fix: write 'key: value' lines",
    ),
    "parameters beside config": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, eps: 1}\n",
        "run.yaml:3: unknown key 'eps' in nodes.rx\n"
        "  fix: use one of: config, stages, type (parameters stand under config)",
    ),
    "stage": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, stages: [train, tset]}\n",
        "run.yaml:3: nodes.rx names the stage 'tset'\n  fix: did you mean 'test'?",
    ),
    "stages as text": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, stages: train}\n",
        "run.yaml:3: nodes.rx.stages is text, not a list\n  fix: write '- …' lines",
    ),
    "stages of data": (
        LEAST + "data: {type: toy.Data, stages: [train]}\n",
        "run.yaml:4: unknown key 'stages' in data\n"
        "  fix: use one of: config, type (parameters stand under config)",
    ),
    "connections": (
        LEAST + "connections: a.x\n",
        "run.yaml:4: connections is text, not a list\n  fix: write '- …' lines",
    ),
    "connection": (
        LEAST + "connections:\n  - [a.x]\n  - a.x -> b.y\n  - [a.x, b]\n  - [a.x, b.y.z]\n",
        "run.yaml:5: connection ['a.x'] is not of the form [node.port, node.port]\n"
        "  fix: write - [source.output, target.input]\n"
        "run.yaml:6: connection 'a.x -> b.y' is not of the form [node.port, node.port]\n"
        "  fix: write - [source.output, target.input]\n"
        "run.yaml:7: connection ['a.x', 'b'] is not of the form [node.port, node.port]\n"
        "  fix: write - [source.output, target.input]\n"
        "run.yaml:8: connection ['a.x', 'b.y.z'] is not of the form [node.port, node.port]\n"
        "  fix: write - [source.output, target.input]",
    ),
    "phases": (
        LEAST + "phases: {type: toy.Fit}\n",
        "run.yaml:4: phases is a mapping, not a list\n  fix: write '- …' lines",
    ),
    "phase": (
        LEAST + "phases:\n  - toy.Fit\n",
        "run.yaml:5: phases.0 is text, not a mapping\n  fix: write 'key: value' lines",
    ),
    "output": (
        LEAST + "outputs: {scores: a}\n",
        "run.yaml:4: output 'scores' is 'a'\n  fix: write node.port",
    ),
    "outputs": (
        LEAST + "outputs: [a.x]\n",
        "run.yaml:4: outputs is a list, not a mapping\n  fix: write 'key: value' lines",
    ),
}


@pytest.mark.parametrize(("text", "message"), FORMS.values(), ids=FORMS)
def test_forms(text, message):
    assert told(text) == message


def test_several_mistakes_in_the_order_of_the_file():
    text = "specloom: 3\nseeds: 1\nnodes:\n  a: {}\n  b-: {type: x.Y}\noutputs: {s: t}\n"
    assert told(text) == (
        "run.yaml:1: the key 'specloom' is 3, this version reads 1\n"
        "  fix: write 'specloom: 1' first\n"
        "run.yaml:2: unknown key 'seeds' in the file\n  fix: did you mean 'seed'?\n"
        "run.yaml:4: nodes.a has no type\n  fix: write 'type: plugin.Name'\n"
        "run.yaml:5: node name 'b-' is no name\n"
        "  fix: use letters, digits and _, beginning with a letter\n"
        "run.yaml:6: output 's' is 't'\n  fix: write node.port"
    )
    with pytest.raises(Problems) as caught:
        good(text=text)
    assert len(caught.value.errors) == 5
    assert all(isinstance(error, ConfigError) for error in caught.value.errors)


def test_overrides_change_create_and_replace():
    file = good(
        "nodes.rx.config.eps=0",
        "nodes.rx.config.windows.1.0=7",
        "nodes.head.config.scale=1e-3",
        "nodes.head.config.label=null",
        "nodes.rx.config.text=",
        "nodes.rx.config.list=[1, {a: b}]",
        "nodes.rx.type=toy.RX2",
        "phases.0.config.epochs=5",
        "outputs.more=head.out",
        "metadata.name=other=name",
        "seed=9",
    )
    assert file.nodes["rx"].config == {
        "eps": 0,
        "windows": [[1, 2], [7, 4]],
        "text": "",
        "list": [1, {"a": "b"}],
    }
    assert file.nodes["head"].config == {"scale": 1e-3, "label": None}
    assert file.nodes["rx"].type == "toy.RX2"
    assert file.phases[0].config == {"epochs": 5}
    assert file.outputs == {"scores": "rx.scores", "more": "head.out"}
    assert (file.metadata["name"], file.seed) == ("other=name", 9)
    assert file.document.where("nodes", "rx", "config", "eps") == "--set nodes.rx.config.eps=0"


def test_overrides_create_in_empty_keys_and_reach_keys_that_look_like_numbers():
    text = LEAST + "outputs:\n"
    file = good("outputs.x=a.y", text=text)
    assert file.outputs == {"x": "a.y"}
    text = "specloom: 1\nnodes:\n  a: {type: t.A, config: {classes: {1: old}}}\n"
    file = good("nodes.a.config.classes.1=new", text=text)
    assert file.nodes["a"].config == {"classes": {"1": "new"}}


OVERRIDES = {
    "no value": (
        "nodes.rx",
        "--set: 'nodes.rx' is not of the form path=value\n"
        "  fix: write --set nodes.NAME.config.PARAMETER=VALUE",
    ),
    "no path": (
        "=3",
        "--set: '=3' is not of the form path=value\n"
        "  fix: write --set nodes.NAME.config.PARAMETER=VALUE",
    ),
    "unknown node": (
        "nodes.rxx.config.eps=1",
        "--set nodes.rxx.config.eps=1: nodes has no 'rxx'\n  fix: did you mean 'rx'?",
    ),
    "unknown top": (
        "node.rx.config.eps=1",
        "--set node.rx.config.eps=1: the file has no 'node'\n  fix: did you mean 'nodes'?",
    ),
    "index": (
        "connections.7.0=a.b",
        "--set connections.7.0=a.b: connections has no '7'\n  fix: use one of: 0",
    ),
    "no index": (
        "connections.first=1",
        "--set connections.first=1: connections has no 'first'\n  fix: use one of: 0",
    ),
    "odd digit": ("phases.².x=1", "--set phases.².x=1: phases has no '²'\n  fix: use one of: 0"),
    "too deep": ("seed.x.y=1", "--set seed.x.y=1: seed has no 'x'\n  fix: shorten the path"),
    "too deep by one": ("seed.x=1", "--set seed.x=1: seed has no 'x'\n  fix: shorten the path"),
    "no yaml": (
        "seed=[1",
        "--set seed=[1:1: not YAML: expected ',' or ']', but got '<stream end>'\n"
        "  fix: close the bracket or the quote above it",
    ),
    "alias": ("seed=*a", "--set seed=*a:1: alias '*a' is not allowed\n  fix: write the value out"),
    "checked like the file": (
        "seed=many",
        "--set seed=many: seed is 'many'\n  fix: give a whole number from 0 to 2**63 - 1",
    ),
    "unknown key": (
        "nodes.rx.confg=1",
        "--set nodes.rx.confg=1: unknown key 'confg' in nodes.rx\n  fix: did you mean 'config'?",
    ),
    "replaced whole": (
        "nodes.rx={type: 3}",
        "--set nodes.rx={type: 3}: nodes.rx.type is 3\n  fix: write 'type: plugin.Name'",
    ),
}


@pytest.mark.parametrize(("change", "message"), OVERRIDES.values(), ids=OVERRIDES)
def test_wrong_overrides(change, message):
    assert told(GOOD, change) == message
