"""Public names of a plugin's package: imported on first use, and written by a command."""

import sys
from types import ModuleType

import pytest

from specloom import Plugins, SpecloomWarning
from specloom.lazy import lazy
from specloom.testing.exporting import END, START, with_exports
from specloom.testing.offering import descriptor_is_current, exports_are_current

TEXT = f"""\
from typing import TYPE_CHECKING
from specloom import impl
from specloom.lazy import lazy
from specloom_toy.info import KIND

MODULES = {{"Settings": "specloom_toy.config"}}

{START.format("toy")}
{END}


@impl
def register_nodes():
    return {{}}


def helper():
    pass
"""
OFFERED = {"Zeta": "specloom_toy.z:Zeta", "Alpha": "specloom_toy.a:First", "Old": "Alpha"}


@pytest.fixture
def package(monkeypatch):
    """A package that offers a class of this file, under two names."""
    module = ModuleType("lazy_toy")
    module.__all__ = ["Counter"]
    module.register_nodes = lambda: {"Counter": "collections:Counter", "Tally": "Counter"}
    monkeypatch.setitem(sys.modules, "lazy_toy", module)
    module.__getattr__ = lazy("lazy_toy", OrderedDict="collections")
    return module


def test_names_are_imported_on_first_use_and_stay(package):
    from collections import Counter, OrderedDict

    assert "Counter" not in vars(package)
    assert package.Counter is Counter
    assert vars(package)["Counter"] is Counter
    assert package.OrderedDict is OrderedDict


def test_an_old_name_warns_and_a_misspelt_one_names_the_nearest(package):
    with pytest.warns(SpecloomWarning, match=r"lazy_toy\.Tally is now called Counter: change it"):
        assert package.Tally is package.Counter
    with pytest.raises(AttributeError) as caught:
        package.Conuter  # noqa: B018  # the attribute is what is tested
    assert str(caught.value) == (
        "module 'lazy_toy' has no attribute 'Conuter': did you mean 'Counter'?"
    )
    assert not hasattr(package, "__path__")
    assert not hasattr(package, "register_losses")


def test_public_names_are_written_between_the_comments():
    text = with_exports(TEXT, "toy", OFFERED)
    block = text[text.index("# Public") : text.index(END)]
    assert block.splitlines()[1:] == [
        '__all__ = ["KIND", "Alpha", "Settings", "Zeta", "helper"]',
        "",
        "if TYPE_CHECKING:",
        "    from specloom_toy.a import First as Alpha",
        "    from specloom_toy.config import Settings",
        "    from specloom_toy.z import Zeta",
        "else:",
        "    __getattr__ = lazy(__name__, **MODULES)",
    ]
    assert with_exports(text, "toy", OFFERED) == text
    assert with_exports("x = 1\n", "toy", OFFERED) == "x = 1\n"


def test_long_lists_and_imports_are_broken_as_ruff_breaks_them():
    names = [f"{letter * 30}Node" for letter in "ABCD"]
    text = with_exports(TEXT, "toy", {name: f"specloom_toy.many:{name}" for name in names})
    assert "\n__all__ = [\n" in text
    assert "    from specloom_toy.many import (\n        " in text


def test_the_kit_names_the_command_for_what_is_out_of_date(tmp_path):
    package = tmp_path / "specloom_toy"
    package.mkdir()
    (package / "__init__.py").write_text(TEXT)
    (package / "nodes.json").write_text('{"Alpha": {}}')
    plugin = ModuleType("specloom_toy")
    plugin.__file__ = str(package / "__init__.py")
    plugin.register_nodes = lambda: OFFERED
    with pytest.raises(AssertionError) as caught:
        exports_are_current("toy", plugin)
    fix = "run specloom plugins describe toy --write"
    assert str(caught.value).endswith(f"the public names of toy are out of date: {fix}")
    (package / "__init__.py").write_text(with_exports(TEXT, "toy", OFFERED))
    exports_are_current("toy", plugin)


def test_the_kit_names_the_command_for_an_old_descriptor(tmp_path, monkeypatch):
    file = tmp_path / "nodes.json"
    file.write_text('{"Alpha": {}}')
    plugin = ModuleType("specloom_toy")
    monkeypatch.setattr(Plugins, "descriptor", lambda self, prefix: file)
    with pytest.raises(AssertionError) as caught:
        descriptor_is_current("toy", plugin)
    assert "out of date for Alpha: run specloom plugins describe toy --write" in str(caught.value)
