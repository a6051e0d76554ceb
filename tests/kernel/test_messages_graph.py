"""What a user reads when connections, phases or the file are wrong: each message whole."""

import pytest

from message_toys import GOOD, plugins, reported

__all__ = ["plugins", "reported"]  # fixtures

MESSAGES = {
    "wrong output port": (
        [("normalizer.normalized", "normalizer.normalised")],
        "run.yaml:16: normalizer has no output 'normalised'\n  fix: did you mean 'normalized'?",
    ),
    "wrong input port": (
        [("rx.data", "rx.cube")],
        "run.yaml:16: rx has no input 'cube'\n  fix: use one of: data",
    ),
    "wrong node": (
        [("normalizer.normalized", "normaliser.normalized")],
        "run.yaml:16: there is no node 'normaliser'\n  fix: did you mean 'normalizer'?",
    ),
    "two edges into one port": (
        [("  - [rx.scores", "  - [data.cube, rx.data]\n  - [rx.scores")],
        "run.yaml:17: rx.data is connected to normalizer.normalized (run.yaml:16) "
        "and to data.cube\n"
        "  fix: remove one of the two connections",
    ),
    "edge of the wrong type": (
        [("[rx.scores, decider", "[data.mask, decider")],
        "run.yaml:17: data.mask is bool but decider.logits wants float32\n"
        "  fix: connect decider.logits to a value that fits",
    ),
    "edge of the wrong size": (
        [("[rx.scores, decider", "[data.cube, decider")],
        "run.yaml:17: data.cube has C = 61 (the data), but decider.logits wants an axis of 1\n"
        "  fix: make these agree: the data; 1 of decider.logits",
    ),
    "duplicate node": (
        [("  decider: {type: toy.Decider}", "  rx: {type: toy.Decider}")],
        "run.yaml:13: key 'rx' a second time (first at run.yaml:9) is not allowed\n"
        "  fix: remove one of the two",
    ),
    "cycle": (
        [("[data.cube, normalizer.data]", "[normalizer.normalized, normalizer.data]")],
        "run.yaml:15: the connections make a cycle: normalizer -> normalizer\n"
        "  fix: remove one of its connections",
    ),
    "missing required input": (
        [("  - [normalizer.normalized, rx.data]\n", "")],
        "run.yaml:9: rx.data is not connected (The cube.)\n"
        "  fix: add a connection - [node.output, rx.data]",
    ),
    "output that is none": (
        [("decider.decisions", "decider.decision")],
        "run.yaml:21: decider has no output 'decision'\n  fix: did you mean 'decisions'?",
    ),
    "output that is a path": (
        [("decisions: decider.decisions", "../x: decider.decision")],
        "run.yaml:21: '../x' cannot be an output's name\n"
        "  fix: use letters, digits and _, beginning with a letter: files are named after it\n"
        "run.yaml:21: decider has no output 'decision'\n  fix: did you mean 'decisions'?",
    ),
    "key of saved pipelines": (
        [("phases:", "plugins: {rx: '1.0'}\nphases:")],
        "run.yaml:18: unknown key 'plugins' in the file\n"
        "  fix: use one of: companions, connections, data, metadata, nodes, outputs, phases, seed, "
        "specloom",
    ),
    "no data": (
        [("data: {type: toy.Scenes}\n", "")],
        "run.yaml:1: the file has no 'data'\n  fix: add data: {type: …, config: {…}}",
    ),
    "data without a type": (
        [("data: {type: toy.Scenes}", "data: {}")],
        "run.yaml:2: data has no 'type'\n  fix: write 'type: plugin.Name'",
    ),
    "data that cannot be read": (
        [("{type: toy.Scenes}", "{type: toy.Scenes, config: {batch_size: 13}}")],
        "run.yaml:2: toy.Scenes failed: OSError: the header is torn\n"
        "  fix: check its inputs; if they are right, report the error to the author of the node",
    ),
    "phase": (
        [("unfreeze: [rx]", "unfreez: [rx]")],
        "run.yaml:20: toy.Train has no parameter 'unfreez'\n  fix: did you mean 'unfreeze'?",
    ),
    "names in a phase": (
        [("unfreeze: [rx]", "unfreeze: [rz, q]")],
        "run.yaml:20: there is no node 'rz'\n  fix: mend it\n"
        "run.yaml:20: there is no node 'q'\n  fix: mend it",
    ),
    "empty file": (
        [(GOOD, "")],
        "run.yaml:1: the file has no 'specloom'\n"
        "  fix: write 'specloom: 1', the form that this version reads\n"
        "run.yaml:1: the file has no 'data'\n  fix: add data: {type: …, config: {…}}\n"
        "run.yaml:1: the file has no 'nodes'\n  fix: add 'nodes:' with at least one node",
    ),
    "tab": (
        [("  normalizer:", "\tnormalizer:")],
        "run.yaml:7: not YAML: found character '\\t' that cannot start any token\n"
        "  fix: indent with spaces, not tabs",
    ),
    "unknown key hparam": (
        [("    config:\n", "    hparam:\n")],
        "run.yaml:11: unknown key 'hparam' in nodes.rx\n  fix: did you mean 'config'?",
    ),
    "consumer without its producer in a stage": (
        [("type: toy.MinMax", "type: toy.MinMax\n    stages: [train, val]")],
        "run.yaml:17: rx runs in test, predict, but normalizer, which it needs, does not\n"
        "  fix: give rx stages: [train, val], or let normalizer run too",
    ),
    "unknown stage": (
        [("type: toy.MinMax", "type: toy.MinMax\n    stages: [training]")],
        'run.yaml:9: nodes.normalizer.stages.0 is "training"\n'
        "  fix: use one of: train, val, test, predict",
    ),
    "loss that nobody trains": (
        [("connections:", "  bce: {type: toy.Entropy}\nconnections:\n  - [rx.scores, bce.scores]")],
        "run.yaml:14: no phase trains the loss 'bce'\n  fix: add a phase that does, name it under "
        "that phase's losses, or remove the node",
    ),
    "output of no node": (
        [("decider.decisions", "scorer.scores")],
        "run.yaml:21: there is no node 'scorer'\n  fix: use one of: data, decider, normalizer, rx",
    ),
}


@pytest.mark.parametrize(("changes", "message"), MESSAGES.values(), ids=MESSAGES)
def test_one_mistake(reported, changes, message):
    assert reported(*changes) == message
