"""Overrides on the command line: they change, make and replace, and are checked like the file."""

import pytest

from run_file_toys import GOOD, good, reported

LEAST = "specloom: 1\ndata: {type: toy.Data}\nnodes:\n  a: {type: toy.A}\n"


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
    text = "specloom: 1\ndata: {type: t.D}\nnodes:\n  a: {type: t.A, config: {classes: {1: old}}}\n"
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
    "alias": (
        "seed=*a",
        "--set seed=*a:1: anchor or alias 'a' is not allowed\n"
        "  fix: write the value out where it is used",
    ),
    "checked like the file": (
        "seed=many",
        '--set seed=many: seed is "many"\n  fix: give a whole number, 0 to 2**63 - 1',
    ),
    "unknown key": (
        "nodes.rx.confg=1",
        "--set nodes.rx.confg=1: unknown key 'confg' in nodes.rx\n  fix: did you mean 'config'?",
    ),
    "nothing to remove": (
        "nodes.metrics=null",
        "--set nodes.metrics=null: nodes has no 'metrics'\n  fix: use one of: head, rx",
    ),
    "no list": (
        "seed+=3",
        "--set seed+=3: seed is no list, so nothing can be appended to it\n"
        "  fix: write = in place of +=, or name a list such as connections or phases",
    ),
    "only a plus": (
        "+=3",
        "--set: '+=3' is not of the form path=value\n"
        "  fix: write --set nodes.NAME.config.PARAMETER=VALUE",
    ),
    "replaced whole": (
        "nodes.rx={type: 3}",
        "--set nodes.rx={type: 3}: nodes.rx.type is 3\n  fix: write 'type: plugin.Name'",
    ),
}


@pytest.mark.parametrize(("change", "message"), OVERRIDES.values(), ids=OVERRIDES)
def test_wrong_overrides(change, message):
    assert reported(GOOD, change) == message


def test_null_removes_a_node_with_its_connections_and_outputs():
    file = good("nodes.rx=null")
    assert list(file.nodes) == ["head"]
    assert not any("rx." in port for pair in file.connections for port in pair)
    assert "scores" not in file.outputs


def test_null_removes_entries_of_lists_and_the_places_of_the_others_move():
    text = LEAST + (
        "  b: {type: toy.B}\n"
        "  c: {type: toy.C}\n"
        "connections:\n"
        "  - [a.x, b.x]\n"
        "  - [b.x, c.x]\n"
        "  - [a.x, c.y]\n"
        "phases:\n"
        "  - {type: toy.One}\n"
        "  - {type: toy.Two}\n"
    )
    file = good("connections.0=null", "phases.0=null", text=text)
    assert file.connections == [["b.x", "c.x"], ["a.x", "c.y"]]
    assert [phase.type for phase in file.phases] == ["toy.Two"]
    assert file.document.where("connections", 0) == "run.yaml:9"
    assert file.document.where("connections", 1) == "run.yaml:10"
    assert file.document.where("phases", 0) == "run.yaml:13"


def test_null_stays_a_value_of_a_parameter():
    file = good("nodes.head.config.label=null")
    assert file.nodes["head"].config["label"] is None


def test_plus_equals_appends_to_a_list():
    file = good("connections+=[head.out, rx.more]", "nodes.rx.config.windows+=[5, 6]")
    assert file.connections[-1] == ["head.out", "rx.more"]
    assert file.nodes["rx"].config["windows"][-1] == [5, 6]
    number = len(file.connections) - 1
    place = file.document.where("connections", number)
    assert place == "--set connections+=[head.out, rx.more]"


def test_plus_equals_begins_a_list_that_the_file_does_not_have():
    file = good("connections+=[a.x, a.y]", "phases+={type: toy.T}", text=LEAST)
    assert file.connections == [["a.x", "a.y"]]
    assert file.phases[0].type == "toy.T"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("#ff0000", "#ff0000"),
        ("run #3", "run #3"),
        ("[#1, b # c]", ["#1", "b # c"]),
        ("{'#00ff00': 1, #ff: 2}", {"#00ff00": 1, "#ff": 2}),
        ('"a # b"', "a # b"),
    ],
)
def test_a_number_sign_is_a_character(written, value):
    file = good(f"nodes.head.config.label={written}")
    assert file.nodes["head"].config["label"] == value
