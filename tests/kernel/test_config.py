"""The form of run files: each mistake with its place and its cure, several at once; overrides."""

import pytest

from run_file_toys import good, reported
from specloom import ConfigError, Problems


def test_a_good_file():
    file = good()
    assert file.metadata["tags"] == ["a", "b"]
    assert (file.seed, file.data.type) == (3, "toy.Data")
    assert file.nodes["rx"].config == {"eps": 1e-6, "windows": [[1, 2], [3, 4]]}
    assert (file.nodes["rx"].stages, file.nodes["head"].stages) == (None, ["val", "test"])
    assert file.connections == [["rx.scores", "head.scores"]]
    assert [use.type for use in file.phases] == ["toy.Fit"]
    assert file.outputs == {"scores": "rx.scores"}


LEAST = "specloom: 1\nnodes:\n  a: {type: toy.A}\n"


FORMS = {
    "empty": (
        "# nothing\n",
        "run.yaml:1: the file has no 'specloom'\n"
        "  fix: write 'specloom: 1', the form that this version reads\n"
        "run.yaml:1: the file has no 'data'\n  fix: add data: {type: …, config: {…}}\n"
        "run.yaml:1: the file has no 'nodes'\n  fix: add 'nodes:' with at least one node",
    ),
    "text": ("hello\n", "run.yaml:1: the file is \"hello\"\n  fix: write 'key: value' lines"),
    "no version": (
        "nodes:\n  a: {type: toy.A}\n",
        "run.yaml:1: the file has no 'specloom'\n"
        "  fix: write 'specloom: 1', the form that this version reads",
    ),
    "a pipeline of cuvis-ai": (
        "metadata: {name: x}\nnodes:\n- {name: a, class: b.C, params: {}}\n",
        "run.yaml:1: the file is a pipeline or a train run of cuvis-ai, and no run file\n"
        "  fix: run: specloom import cuvis run.yaml",
    ),
    "a train run of cuvis-ai": (
        "name: x\npipeline: {nodes: []}\nunfreeze_nodes: [a]\n",
        "run.yaml:1: the file is a pipeline or a train run of cuvis-ai, and no run file\n"
        "  fix: run: specloom import cuvis run.yaml",
    ),
    "other version": (
        "\nspecloom: 2\nnodes: {a: {type: toy.A}}\n",
        "run.yaml:2: specloom is 2\n  fix: write 'specloom: 1', the form that this version reads",
    ),
    "version true": (
        "specloom: true\nnodes: {a: {type: toy.A}}\n",
        "run.yaml:1: specloom is true\n"
        "  fix: write 'specloom: 1', the form that this version reads",
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
        "run.yaml:4: seed is -1\n  fix: give a whole number, 0 to 2**63 - 1",
    ),
    "huge seed": (
        LEAST + "seed: 9223372036854775808\n",
        "run.yaml:4: seed is 9223372036854775808\n  fix: give a whole number, 0 to 2**63 - 1",
    ),
    "metadata": (
        LEAST + "metadata: {name: 2024}\n",
        "run.yaml:4: metadata.name is 2024\n  fix: write text, in quotes",
    ),
    "tags": (
        LEAST + "metadata: {tags: rx}\n",
        "run.yaml:4: metadata.tags is \"rx\"\n  fix: write '- …' lines",
    ),
    "one tag": (
        LEAST + "metadata: {tags: [rx, 1]}\n",
        "run.yaml:4: metadata.tags.1 is 1\n  fix: write text, in quotes",
    ),
    "no nodes": (
        "specloom: 1\n",
        "run.yaml:1: the file has no 'nodes'\n  fix: add 'nodes:' with at least one node",
    ),
    "empty nodes": (
        "specloom: 1\nnodes: {}\n",
        "run.yaml:2: the file has no 'nodes'\n  fix: add 'nodes:' with at least one node",
    ),
    "nodes as a list": (
        "specloom: 1\nnodes:\n  - {type: toy.A}\n",
        'run.yaml:2: nodes is [{"type": "toy.A"}]\n  fix: write \'key: value\' lines',
    ),
    "node name": (
        "specloom: 1\nnodes:\n  my-node: {type: toy.A}\n",
        "run.yaml:3: 'my-node' cannot be a node's name\n"
        "  fix: use letters, digits and _, beginning with a letter; 'batch' is the data",
    ),
    "node named batch": (
        "specloom: 1\nnodes:\n  batch: {type: toy.A}\n",
        "run.yaml:3: 'batch' cannot be a node's name\n"
        "  fix: use letters, digits and _, beginning with a letter; 'batch' is the data",
    ),
    "output that is a path": (
        LEAST + "outputs:\n  a: rx.scores\n  ../../x: rx.scores\n",
        "run.yaml:6: '../../x' cannot be an output's name\n"
        "  fix: use letters, digits and _, beginning with a letter: files are named after it",
    ),
    "output that is an absolute path, and its end": (
        LEAST + "outputs: {/tmp/x: rx}\n",
        "run.yaml:4: '/tmp/x' cannot be an output's name\n"
        "  fix: use letters, digits and _, beginning with a letter: files are named after it\n"
        'run.yaml:4: outputs./tmp/x is "rx"\n  fix: write node.port',
    ),
    "node as text": (
        "specloom: 1\nnodes:\n  rx: toy.RX\n",
        "run.yaml:3: nodes.rx is \"toy.RX\"\n  fix: write 'key: value' lines",
    ),
    "no type": (
        "specloom: 1\nnodes:\n  rx: {config: {a: 1}}\n",
        "run.yaml:3: nodes.rx has no 'type'\n  fix: write 'type: plugin.Name'",
    ),
    "type as number": (
        "specloom: 1\nnodes:\n  rx:\n    type: 5\n",
        "run.yaml:4: nodes.rx.type is 5\n  fix: write 'type: plugin.Name'",
    ),
    "class_name": (
        "specloom: 1\nnodes:\n  rx:\n    class_name: toy.RX\n",
        "run.yaml:3: nodes.rx has no 'type'\n  fix: write 'type: plugin.Name'\n"
        "run.yaml:4: unknown key 'class_name' in nodes.rx\n  fix: did you mean 'type'?",
    ),
    "config": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, config: [1]}\n",
        "run.yaml:3: nodes.rx.config is [1]\n  fix: write 'key: value' lines",
    ),
    "parameters beside config": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, eps: 1}\n",
        "run.yaml:3: unknown key 'eps' in nodes.rx\n"
        "  fix: use one of: config, stages, type (parameters stand under config)",
    ),
    "stage": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, stages: [train, tset]}\n",
        'run.yaml:3: nodes.rx.stages.1 is "tset"\n  fix: use one of: train, val, test, predict',
    ),
    "stages as text": (
        "specloom: 1\nnodes:\n  rx: {type: toy.RX, stages: train}\n",
        "run.yaml:3: nodes.rx.stages is \"train\"\n  fix: write '- …' lines",
    ),
    "stages of data": (
        LEAST + "data: {type: toy.Data, stages: [train]}\n",
        "run.yaml:4: unknown key 'stages' in data\n"
        "  fix: use one of: config, type (parameters stand under config)",
    ),
    "connections": (
        LEAST + "connections: a.x\n",
        "run.yaml:4: connections is \"a.x\"\n  fix: write '- …' lines",
    ),
    "connection": (
        LEAST + "connections:\n  - [a.x]\n  - a.x -> b.y\n  - [a.x, b]\n  - [a.x, b.y.z]\n",
        'run.yaml:5: connections.0 is ["a.x"]\n'
        "  fix: write - [source.output, target.input]\n"
        'run.yaml:6: connections.1 is "a.x -> b.y"\n'
        "  fix: write - [source.output, target.input]\n"
        'run.yaml:7: connections.2 is ["a.x", "b"]\n'
        "  fix: write - [source.output, target.input]\n"
        'run.yaml:8: connections.3 is ["a.x", "b.y.z"]\n'
        "  fix: write - [source.output, target.input]",
    ),
    "phases": (
        LEAST + "phases: {type: toy.Fit}\n",
        'run.yaml:4: phases is {"type": "toy.Fit"}\n  fix: write \'- …\' lines',
    ),
    "phase": (
        LEAST + "phases:\n  - toy.Fit\n",
        "run.yaml:5: phases.0 is \"toy.Fit\"\n  fix: write 'key: value' lines",
    ),
    "output": (
        LEAST + "outputs: {scores: a}\n",
        'run.yaml:4: outputs.scores is "a"\n  fix: write node.port',
    ),
    "number": (
        LEAST + "metadata: {name: 1.10}\n",
        "run.yaml:4: metadata.name is 1.10\n  fix: write text, in quotes",
    ),
    "outputs": (
        LEAST + "outputs: [a.x]\n",
        "run.yaml:4: outputs is [\"a.x\"]\n  fix: write 'key: value' lines",
    ),
}


@pytest.mark.parametrize(("text", "message"), FORMS.values(), ids=FORMS)
def test_forms(text, message):
    with_data = ":" in text and "\ndata:" not in text
    assert reported(text + "data: {type: toy.Data}\n" * with_data) == message


def test_several_mistakes_in_the_order_of_the_file():
    text = "specloom: 3\nseeds: 1\nnodes:\n  a: {}\n  b-: {type: x.Y}\noutputs: {s: t}\n"
    text += "data: {type: a.B}\n"
    assert reported(text) == (
        "run.yaml:1: specloom is 3\n  fix: write 'specloom: 1', the form that this version reads\n"
        "run.yaml:2: unknown key 'seeds' in the file\n  fix: did you mean 'seed'?\n"
        "run.yaml:4: nodes.a has no 'type'\n  fix: write 'type: plugin.Name'\n"
        "run.yaml:5: 'b-' cannot be a node's name\n"
        "  fix: use letters, digits and _, beginning with a letter; 'batch' is the data\n"
        'run.yaml:6: outputs.s is "t"\n  fix: write node.port'
    )
    with pytest.raises(Problems) as caught:
        good(text=text)
    assert len(caught.value.errors) == 5
    assert all(isinstance(error, ConfigError) for error in caught.value.errors)
