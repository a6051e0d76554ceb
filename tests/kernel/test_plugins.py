"""Plugins: found by entry point, imported on first use, and harmful to nobody but their users."""

from types import ModuleType, SimpleNamespace

import pytest

from specloom import PluginError, Plugins, Port, Ported, impl
from specloom import plugins as found
from specloom.plugins import find_manifest

NODES = ("nodes", "losses")


class RX(Ported):
    outputs = {"scores": Port("B H W 1")}


def toy(name="toy", **nodes):
    nodes = nodes or {"RX": f"{__name__}:RX"}
    made = ModuleType(name)

    def register_nodes():
        return nodes

    made.register_nodes = impl(register_nodes)
    return made


def reported(plugins, reference, kinds=NODES, where="run.yaml:3"):
    with pytest.raises(PluginError) as caught:
        plugins.find(reference, kinds, where)
    return str(caught.value)


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Modules on disk that fail when they are imported, each in its own way."""
    texts = {
        "toy_raises": "raise RuntimeError('no licence')",
        "toy_exits": "import sys\nsys.exit(3)",
        "toy_syntax": "def (",
        "toy_needs": "import no_such_package_at_all",
        "toy_counts": "import builtins\nbuiltins.toy_count += 1\nraise RuntimeError('again')",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return {name.removeprefix("toy_"): name for name in texts}


def test_full_and_bare_names():
    plugins = Plugins({"toy": toy()})
    assert plugins.find("toy.RX", NODES, "") == ("toy.RX", RX)
    assert plugins.find("RX", NODES, "") == ("toy.RX", RX)
    assert plugins.reference(RX) == "toy.RX"


def test_a_bare_name_that_two_plugins_offer():
    assert reported(Plugins({"toy": toy(), "other": toy("other")}), "RX") == (
        "run.yaml:3: 'RX' is offered by several plugins\n  fix: write one of: other.RX, toy.RX"
    )


def test_did_you_mean_looks_at_all_plugins():
    plugins = Plugins({"toy": toy(), "pca": toy("pca", TrainablePCA="x:Y")})
    assert reported(plugins, "toy.RXX") == (
        "run.yaml:3: no plugin offers 'toy.RXX' as a node or loss\n  fix: did you mean 'toy.RX'?"
    )
    assert reported(plugins, "toy.TrainablePca") == (
        "run.yaml:3: no plugin offers 'toy.TrainablePca' as a node or loss\n"
        "  fix: did you mean 'pca.TrainablePCA'?"
    )
    assert reported(plugins, "TranablePCA") == (
        "run.yaml:3: no plugin offers 'TranablePCA' as a node or loss\n"
        "  fix: did you mean 'pca.TrainablePCA'?"
    )
    assert reported(plugins, "Zebra") == (
        "run.yaml:3: no plugin offers 'Zebra' as a node or loss\n"
        "  fix: use one of: toy.RX, pca.TrainablePCA"
    )
    assert reported(plugins, "pac.TrainablePCA") == (
        "run.yaml:3: no plugin 'pac' is installed\n  fix: did you mean 'pca'?"
    )
    assert reported(Plugins({}), "rx.RX") == (
        "run.yaml:3: no plugin 'rx' is installed\n"
        "  fix: run: specloom plugins add rx, or install it"
    )
    assert reported(Plugins({}), "RX") == (
        "run.yaml:3: no plugin offers 'RX' as a node or loss\n"
        "  fix: install a plugin that offers one"
    )


def test_a_name_of_the_wrong_kind():
    plugins = Plugins({"toy": toy()})
    assert reported(plugins, "toy.RX", ("trainers",)) == (
        "run.yaml:3: no plugin offers 'toy.RX' as a trainer\n"
        "  fix: toy.RX is among the nodes: use it there"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "RuntimeError: no licence"),
        ("exits", "SystemExit: 3"),
        ("needs", "ModuleNotFoundError: No module named 'no_such_package_at_all'"),
    ],
)
def test_a_broken_plugin_harms_only_those_who_name_it(broken, name, reason):
    plugins = Plugins({**broken, "toy": toy()})
    assert plugins.find("toy.RX", NODES, "")[1] is RX
    assert plugins.find("RX", NODES, "")[1] is RX
    assert reported(plugins, f"{name}.X") == (
        f"run.yaml:3: plugin {name!r} fails to import: {reason}\n"
        f"  fix: repair or remove the plugin {name!r}; graphs that do not use it still work"
    )
    assert [name for name, _ in plugins.working()] == ["toy"]


def test_a_syntax_error_is_told_as_well(broken):
    assert "plugin 'syntax' fails to import: SyntaxError" in reported(Plugins(broken), "syntax.X")


def test_a_broken_plugin_is_tried_once_by_those_who_look_at_all(broken, monkeypatch):
    import builtins

    monkeypatch.setattr(builtins, "toy_count", 0, raising=False)
    plugins = Plugins({"counts": broken["counts"], "toy": toy()})
    for _ in range(3):
        plugins.find("RX", NODES, "")
    assert builtins.toy_count == 1


def test_a_plugin_whose_hook_fails_harms_only_those_who_name_it():
    bad = ModuleType("bad")

    def register_nodes():
        raise KeyError("oops")

    bad.register_nodes = impl(register_nodes)
    plugins = Plugins({"bad": bad, "toy": toy()})
    assert plugins.find("RX", NODES, "")[0] == "toy.RX"
    assert reported(plugins, "bad.X") == (
        "run.yaml:3: plugin 'bad' fails in register_nodes: KeyError: 'oops'\n"
        "  fix: repair or remove the plugin 'bad'"
    )


@pytest.mark.parametrize(
    ("offered", "shown"),
    [({5: 6}, "5: 6"), ({"A": None}, "'A': None"), ({"A": RX}, f"'A': {RX!r}")],
    ids=["numbers", "nothing", "a class"],
)
def test_a_plugin_that_offers_something_else_than_texts(offered, shown):
    bad = ModuleType("bad")
    bad.register_nodes = impl(lambda: offered)
    bad.register_nodes.__name__ = "register_nodes"
    plugins = Plugins({"bad": bad, "toy": toy()})
    assert plugins.find("RX", NODES, "")[0] == "toy.RX"
    assert reported(plugins, "bad.X") == (
        f"run.yaml:3: plugin 'bad' offers {shown} in register_nodes\n"
        "  fix: repair the plugin 'bad': offer {'Name': 'module:Class'}"
    )


def test_hooks_that_do_not_exist_are_errors_every_time():
    bad = toy("bad")

    def register_nods():
        return {}

    bad.register_nods = impl(register_nods)
    plugins = Plugins({"bad": bad, "toy": toy()})
    for _ in range(2):
        assert reported(plugins, "bad.RX") == (
            "run.yaml:3: 'bad' does not follow the hook specs: "
            "unknown hook 'register_nods' in plugin <module 'bad'>\n"
            "  fix: use only the hooks and arguments of specloom.contract.hooks"
        )
    assert plugins.find("toy.RX", NODES, "")[1] is RX
    assert [name for name, _ in plugins.working()] == ["toy"]


def test_hooks_with_other_arguments_are_errors():
    bad = ModuleType("bad")

    def recorded(run, epoch):
        pass

    bad.recorded = impl(recorded)
    text = reported(Plugins({"bad": bad}), "bad.RX")
    assert "'bad' does not follow the hook specs" in text
    assert "Argument(s) {'epoch'} are declared in the hookimpl" in text


def test_classes_that_cannot_be_imported(broken):
    offered = {"A": "no_such_module_here:A", "B": f"{__name__}:Absent", "C": "toy_exits:C"}
    plugins = Plugins({"toy": toy(**offered)})
    fix = "\n  fix: repair the plugin 'toy', or install what it needs"
    assert reported(plugins, "toy.A") == (
        "run.yaml:3: toy.A cannot be imported: "
        f"ModuleNotFoundError: No module named 'no_such_module_here'{fix}"
    )
    assert "toy.B cannot be imported: AttributeError: module" in reported(plugins, "toy.B")
    assert reported(plugins, "toy.C") == f"run.yaml:3: toy.C cannot be imported: SystemExit: 3{fix}"


def test_entry_points_are_not_imported_before_they_are_needed(broken, monkeypatch):
    entries = [SimpleNamespace(name="raises", value="toy_raises")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries)
    plugins = Plugins()
    assert plugins.modules == found.installed() == {"raises": "toy_raises"}
    assert "fails to import" in reported(plugins, "raises.X")


def test_the_nearest_manifest_up_to_the_repository_counts(tmp_path):
    inner = tmp_path / "repository" / "configs"
    inner.mkdir(parents=True)
    (tmp_path / "plugins.yaml").touch()
    run = inner / "run.yaml"
    assert find_manifest(run) == tmp_path / "plugins.yaml"
    (tmp_path / "repository" / ".git").mkdir()
    assert find_manifest(run) is None
    (tmp_path / "repository" / "plugins.yaml").touch()
    assert find_manifest(run) == tmp_path / "repository" / "plugins.yaml"


def test_a_manifest_that_nobody_can_resolve(tmp_path, monkeypatch):
    monkeypatch.setattr("specloom.plugins.installed_resolver", dict)
    manifest = tmp_path / "plugins.yaml"
    manifest.touch()
    with pytest.raises(PluginError) as caught:
        Plugins.for_file(tmp_path / "run.yaml")
    assert str(caught.value) == (
        f"{manifest}: {manifest} names plugins, but nothing installed can resolve it\n"
        "  fix: install the registry (it comes with specloom), or remove the file"
    )


def test_with_a_manifest_only_its_plugins_exist(tmp_path):
    manifest = tmp_path / "plugins.yaml"
    assert reported(Plugins({"toy": toy()}, manifest), "toys.RX") == (
        f"run.yaml:3: no plugin 'toys' is in {manifest}\n  fix: did you mean 'toy'?"
    )
