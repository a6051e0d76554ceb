"""What a user reads when names or values are wrong: each message whole, and no pixel read."""

import pytest

import specloom
from message_toys import GOOD, plugins, reported

__all__ = ["plugins", "reported"]  # fixtures


def test_the_good_file_is_good_and_no_pixel_is_read(tmp_path, plugins):
    (tmp_path / "run.yaml").write_text(GOOD)
    run = specloom.load(tmp_path / "run.yaml", plugins=plugins, device="cpu")
    assert run.graph.nodes["rx"].num_channels == 61
    assert run.graph.unbuilt == []


MESSAGES = {
    "channels that are not the data's": (
        [("      eps: 1e-6", "      num_channels: 15")],
        "run.yaml:16: normalizer.normalized has C = 61 (the data), but rx.data wants "
        "num_channels = 15 (num_channels: 15 of rx (run.yaml:12))\n"
        "  fix: remove num_channels from rx (run.yaml:12): it follows from the graph (61)",
    ),
    "unknown key of the file": (
        [("connections:", "conections:")],
        "run.yaml:14: unknown key 'conections' in the file\n  fix: did you mean 'connections'?",
    ),
    "unknown key of a node": (
        [("    config:\n", "    hparams:\n")],
        "run.yaml:11: unknown key 'hparams' in nodes.rx\n  fix: did you mean 'config'?",
    ),
    "node without a type": (
        [("    type: toy.RXGlobal\n", "")],
        "run.yaml:9: nodes.rx has no 'type'\n  fix: write 'type: plugin.Name'",
    ),
    "misspelt parameter": (
        [("eps: 1e-6", "epsilon: 1e-6")],
        "run.yaml:12: toy.RXGlobal has no parameter 'epsilon'\n  fix: did you mean 'eps'?",
    ),
    "parameter of the wrong type": (
        [("eps: 1e-6", "eps: '1e-6'")],
        'run.yaml:12: toy.RXGlobal: eps should be a valid number, got "1e-6"\n'
        "  fix: change eps, or remove it to use the default",
    ),
    "missing parameter": (
        [("    config: {normal_class_ids: [0, 1]}\n", "")],
        "run.yaml:4: toy.AnomalyData needs the parameter 'normal_class_ids'\n"
        "  fix: add normal_class_ids: … to its config",
    ),
    "wrong item of a list": (
        [("[0, 1]", "[0, one]")],
        "run.yaml:6: toy.AnomalyData: normal_class_ids[1] should be a valid integer, "
        'got "one"\n  fix: change normal_class_ids',
    ),
    "value that the node refuses": (
        [("type: toy.MinMax", "type: toy.MinMax\n    config: {eps: -1}")],
        "run.yaml:9: eps is -1.0\n  fix: give an eps from 0",
    ),
    "misspelt node type": (
        [("toy.RXGlobal", "toy.RXGlobl")],
        "run.yaml:10: no plugin offers 'toy.RXGlobl' as a node or loss\n"
        "  fix: did you mean 'toy.RXGlobal'?",
    ),
    "bare misspelt node type": (
        [("toy.RXGlobal", "RXglobal")],
        "run.yaml:10: no plugin offers 'RXglobal' as a node or loss\n"
        "  fix: did you mean 'toy.RXGlobal'?",
    ),
    "import path": (
        [("toy.RXGlobal", "os.path.join")],
        "run.yaml:10: no plugin 'os.path' is installed\n  fix: use one of: broken, toy",
    ),
    "path of a class of another system": (
        [("toy.RXGlobal", "other.anomaly.RXGlobal")],
        "run.yaml:10: no plugin 'other.anomaly' is installed\n  fix: did you mean 'toy.RXGlobal'?",
    ),
    "plugin that is not there": (
        [("toy.RXGlobal", "rx.RXGlobal")],
        "run.yaml:10: no plugin 'rx' is installed\n  fix: use one of: broken, toy",
    ),
    "plugin that is broken": (
        [("toy.RXGlobal", "broken.RXGlobal")],
        "run.yaml:10: plugin 'broken' fails to import: ModuleNotFoundError: "
        "No module named 'no_such_module_anywhere'\n"
        "  fix: repair or remove the plugin 'broken'; graphs that do not use it still work",
    ),
    "trainer among the nodes": (
        [("toy.RXGlobal", "toy.Train")],
        "run.yaml:10: no plugin offers 'toy.Train' as a node or loss\n"
        "  fix: toy.Train is among the trainers: use it there",
    ),
    "node that fails when it is made": (
        [("toy.RXGlobal", "toy.Clumsy"), ("      eps: 1e-6\n", "      {}\n")],
        "run.yaml:9: toy.Clumsy failed: ZeroDivisionError: in __init__\n"
        "  fix: check its inputs; if they are right, report the error to the author of the node",
    ),
}


@pytest.mark.parametrize(("changes", "message"), MESSAGES.values(), ids=MESSAGES)
def test_one_mistake(reported, changes, message):
    assert reported(*changes) == message


def test_several_mistakes_are_told_at_once_in_the_order_of_the_file(reported):
    text = reported(
        ("specloom: 1", "specloom: 1\ntitle: mine"),
        ("{type: toy.Scenes}", "{type: toy.Scenes, config: {batch: 2}}"),
        ("[0, 1]", "[a]"),
        ("toy.MinMax", "toy.MinMx"),
        ("      eps: 1e-6", "      epss: 1e-6\n      num_channels: x"),
        ("[rx.scores, decider.logits]", "[rx.score, decider.logits]"),
        ("toy.Train", "toy.Trainn"),
        ("decider.decisions", "decidr.decisions"),
    )
    assert text == (
        "run.yaml:2: unknown key 'title' in the file\n"
        "  fix: use one of: companions, connections, data, metadata, nodes, outputs, phases, seed, "
        "specloom\n"
        "run.yaml:3: toy.Scenes has no parameter 'batch'\n  fix: did you mean 'batch_size'?\n"
        'run.yaml:7: toy.AnomalyData: normal_class_ids[0] should be a valid integer, got "a"\n'
        "  fix: change normal_class_ids\n"
        "run.yaml:9: no plugin offers 'toy.MinMx' as a node or loss\n"
        "  fix: did you mean 'toy.MinMax'?\n"
        "run.yaml:13: toy.RXGlobal has no parameter 'epss'\n  fix: did you mean 'eps'?\n"
        'run.yaml:14: toy.RXGlobal: num_channels should be a valid integer, got "x"\n'
        "  fix: change num_channels, or remove it to use the default\n"
        "run.yaml:19: rx has no output 'score'\n  fix: did you mean 'scores'?\n"
        "run.yaml:21: no plugin offers 'toy.Trainn' as a trainer\n"
        "  fix: did you mean 'toy.Train'?\n"
        "run.yaml:23: there is no node 'decidr'\n"
        "  fix: did you mean 'decider'?"
    )


def test_a_mistake_in_an_override_is_told_with_the_override(reported):
    assert reported(overrides=["nodes.rx.config.num_channels=15"]) == (
        "run.yaml:16: normalizer.normalized has C = 61 (the data), but rx.data wants num_channels "
        "= 15 (num_channels: 15 of rx (--set nodes.rx.config.num_channels=15))\n"
        "  fix: remove num_channels from rx (--set nodes.rx.config.num_channels=15): "
        "it follows from the graph (61)"
    )
    assert reported(overrides=["nodes.rx.config.eps=small"]) == (
        '--set nodes.rx.config.eps=small: toy.RXGlobal: eps should be a valid number, got "small"\n'
        "  fix: change eps, or remove it to use the default"
    )
    assert reported(overrides=["nodes.rx.config.epz=0"]) == (
        "--set nodes.rx.config.epz=0: toy.RXGlobal has no parameter 'epz'\n"
        "  fix: did you mean 'eps'?"
    )
