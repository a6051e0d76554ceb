"""What a user reads when a run file is wrong: the whole text of each message, and no pixel read."""

from types import ModuleType

import pytest

import specloom
from specloom import ConfigError, NodeError, Plugins, Port, Ported, SpecloomError, impl

CUBE, SCORES = Port("B H W C"), Port("B H W 1")


class Scenes:
    """Knows its sizes from headers; reading a pixel is a failure."""

    outputs = {"cube": CUBE, "mask": Port("B H W", dtype="int32")}

    def __init__(self, batch_size: int = 1) -> None:
        self.batch_size = batch_size

    def sizes(self):
        if self.batch_size == 13:
            raise OSError("the header is torn")
        return {"H": 10, "W": 10, "C": 61}

    def splits(self):
        return ["train", "test"]

    def count(self, split):
        return 1

    def batches(self, split):
        raise AssertionError("a pixel was read")


class AnomalyData(Ported):
    inputs = {"cube": CUBE, "mask": Port("B H W", dtype="integer", optional=True)}
    outputs = {"cube": CUBE, "mask": Port("B H W 1", dtype="bool", optional=True)}
    entry = True

    def __init__(self, normal_class_ids: list[int]) -> None:
        self.normal_class_ids = normal_class_ids


class MinMax(Ported):
    inputs = {"data": CUBE}
    outputs = {"normalized": CUBE}

    def __init__(self, eps: float = 1e-6) -> None:
        self.eps = eps

    def build(self, sizes):
        if self.eps < 0:
            raise ConfigError(f"eps is {self.eps}", fix="give an eps from 0")


class RXGlobal(Ported):
    inputs = {"data": Port("B H W num_channels", doc="The cube.")}
    outputs = {"scores": SCORES}

    def __init__(
        self, num_channels: int | None = None, eps: float = 1e-6, cache_inverse: bool = True
    ) -> None:
        self.num_channels, self.eps, self.cache_inverse = num_channels, eps, cache_inverse


class Decider(Ported):
    inputs = {"logits": SCORES}
    outputs = {"decisions": Port("B H W 1", dtype="bool")}

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold


class Clumsy(RXGlobal):
    """Fails where it should only store."""

    def __init__(self, num_channels: int | None = None) -> None:
        raise ZeroDivisionError("in __init__")


class Train:
    def __init__(self, unfreeze: list[str] | None = None) -> None:
        self.unfreeze = unfreeze or []

    def check(self, graph, at):
        for name in self.unfreeze:
            if name not in graph.nodes:
                yield NodeError(f"there is no node {name!r}", where=at("unfreeze"), fix="mend it")

    def train(self, run):
        raise AssertionError("it ran")


@pytest.fixture
def plugins():
    toy = ModuleType("toy")

    def offers(*names):
        return {name: f"{__name__}:{name}" for name in names}

    def register_nodes():
        return offers("AnomalyData", "MinMax", "RXGlobal", "Decider", "Clumsy")

    def register_sources():
        return offers("Scenes")

    def register_trainers():
        return offers("Train")

    for hook in (register_nodes, register_sources, register_trainers):
        setattr(toy, hook.__name__, impl(hook))
    return Plugins({"toy": toy, "broken": "no_such_module_anywhere"})


GOOD = """\
specloom: 1
data: {type: toy.Scenes}
nodes:
  data:
    type: toy.AnomalyData
    config: {normal_class_ids: [0, 1]}
  normalizer:
    type: toy.MinMax
  rx:
    type: toy.RXGlobal
    config:
      eps: 1e-6
  decider: {type: toy.Decider}
connections:
  - [data.cube, normalizer.data]
  - [normalizer.normalized, rx.data]
  - [rx.scores, decider.logits]
phases:
  - type: toy.Train
    config: {unfreeze: [rx]}
outputs: {decisions: decider.decisions}
"""


@pytest.fixture
def told(tmp_path, plugins, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def told(*changes, overrides=()):
        text = GOOD
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(SpecloomError) as caught:
            specloom.load("run.yaml", overrides, plugins=plugins, device="cpu")
        assert caught.value.exit_code == 2
        return str(caught.value)

    return told


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
        "  fix: if its inputs are right this is a mistake in the node: tell its author",
    ),
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
        "run.yaml:17: rx.data is fed by normalizer.normalized (run.yaml:16) and by data.cube\n"
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
        "  fix: keep one of the two",
    ),
    "cycle": (
        [("[data.cube, normalizer.data]", "[normalizer.normalized, normalizer.data]")],
        "run.yaml:15: the connections make a cycle: normalizer -> normalizer\n"
        "  fix: remove one of its connections",
    ),
    "missing required input": (
        [("  - [normalizer.normalized, rx.data]\n", "")],
        "run.yaml:9: rx.data is not fed (The cube.)\n"
        "  fix: add a connection - [node.output, rx.data]",
    ),
    "output that is none": (
        [("decider.decisions", "decider.decision")],
        "run.yaml:21: decider has no output 'decision'\n  fix: did you mean 'decisions'?",
    ),
    "key of saved pipelines": (
        [("phases:", "plugins: {rx: '1.0'}\nphases:")],
        "run.yaml:18: unknown key 'plugins' in the file\n"
        "  fix: use one of: connections, data, metadata, nodes, outputs, phases, seed, specloom",
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
        "  fix: if its inputs are right this is a mistake in the node: tell its author",
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
}


@pytest.mark.parametrize(("changes", "message"), MESSAGES.values(), ids=MESSAGES)
def test_one_mistake(told, changes, message):
    assert told(*changes) == message


def test_several_mistakes_are_told_at_once_in_the_order_of_the_file(told):
    text = told(
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
        "  fix: use one of: connections, data, metadata, nodes, outputs, phases, seed, specloom\n"
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


def test_a_mistake_in_an_override_is_told_with_the_override(told):
    assert told(overrides=["nodes.rx.config.num_channels=15"]) == (
        "run.yaml:16: normalizer.normalized has C = 61 (the data), but rx.data wants num_channels "
        "= 15 (num_channels: 15 of rx (--set nodes.rx.config.num_channels=15))\n"
        "  fix: remove num_channels from rx (--set nodes.rx.config.num_channels=15): "
        "it follows from the graph (61)"
    )
    assert told(overrides=["nodes.rx.config.eps=small"]) == (
        '--set nodes.rx.config.eps=small: toy.RXGlobal: eps should be a valid number, got "small"\n'
        "  fix: change eps, or remove it to use the default"
    )
    assert told(overrides=["nodes.rx.config.epz=0"]) == (
        "--set nodes.rx.config.epz=0: toy.RXGlobal has no parameter 'epz'\n"
        "  fix: did you mean 'eps'?"
    )
