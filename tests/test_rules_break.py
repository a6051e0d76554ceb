"""Each rule of the architecture is broken on purpose, in a copy of the repository."""

import shutil
from pathlib import Path

import architecture
import looked_up
import pytest
import view_members

ROOT = Path(__file__).parents[1]
GRAPH, REGISTRY = (
    "kernel/specloom/graph/graph.py",
    "registry/specloom_registry/importing/import_hook.py",
)
TRAINING = "plugins/training/specloom_training/extra.py"
KERNEL_IMPORTS = [
    "import torch",
    "def late():\n    import numpy as np",
    "from torch import nn",
    "if TYPE_CHECKING:\n    from numpy.typing import NDArray",
    "try:\n    import scipy\nexcept ImportError:\n    pass",
    "from importlib import import_module\nimport_module('torch')",
    "import safetensors.torch",
    "import specloom_rx",
    "from specloom_registry.importing.import_hook import install",
    "from specloom import torch",
    "from .. import torch",
    "from specloom.testing import batch_for",
]
REGISTRY_IMPORTS = [
    "import git",
    "def late():\n    from git import Repo",
    "import torch",
    "import yaml",
    "from specloom_rx.detector import RXGlobal",
    "from specloom.torch import TorchNode",
]
PLUGIN_IMPORTS = [
    "from specloom.runfile.parameters import values",
    "from specloom.runfile import parameters",
    "import specloom.graph.graph",
    "from specloom_registry.importing import import_hook",
    "from specloom_rx import detector",
    "from specloom_metrics import curves",
    "from specloom_metrics import roc_auc",
    "from specloom_metrics.curves import roc_auc",
    "def late():\n    import specloom_metrics.curves",
    "if TYPE_CHECKING:\n    from specloom_metrics.curves import Curve",
    "from specloom_cubes import Cube",
    "import matplotlib",
    "import sklearn",
]
CIRCLES = [
    ("contract/errors", "from specloom import impl"),
    ("contract/errors", "from specloom.contract.ports import Port"),
    ("runfile/yaml", "def late():\n    from specloom.runfile.form import RunFile"),
    (
        "graph/endpoints",
        "if TYPE_CHECKING:\n    from specloom.graph.connections import Connections",
    ),
]
LATER_ROOMS = [
    ("contract/errors", "from specloom.plugins import Plugins", "contract"),
    ("contract/hooks", "if TYPE_CHECKING:\n    from specloom.execution.run import Run", "contract"),
    ("runfile/form", "from specloom.graph.graph import Graph", "runfile"),
    ("runfile/yaml", "from specloom import Graph", "runfile"),
    ("graph/graph", "def late():\n    from specloom.execution import run", "graph"),
    (
        "graph/connections",
        "if TYPE_CHECKING:\n    from specloom.assembly.assemble import Assembly",
        "graph",
    ),
    ("assembly/construct", "from specloom.execution.plan import Plan", "assembly"),
    ("execution/run", "from specloom import cli", "execution"),
    ("plugins", "import specloom.graph", "plugins"),
]
CONTRACT_ORDER = [
    ("ports", "def late():\n    from specloom.contract.nodes import Node", "nodes.Node"),
    ("nodes", "from specloom.contract import hooks", "hooks"),
    (
        "views",
        "if TYPE_CHECKING:\n    from specloom.contract.phases import Trainer",
        "phases.Trainer",
    ),
]
SUPPRESSIONS = [
    ("x = 1  # noqa", "without a code"),
    ("x = 1  # type: ignore", "without a code"),
    ("# ruff: noqa", "without a code"),
    ("# mypy: ignore-errors", "without a code"),
    ("x = 1  # noqa: E501", "without a reason"),
    ("x = 1  # type: ignore[misc]", "without a reason"),
    ("x = 1  # type: ignore[misc]  # noqa: E501, E502", "without a reason"),
]


@pytest.fixture
def copy(tmp_path):
    """A copy of the sources that nothing was changed in."""
    ignored = shutil.ignore_patterns("__pycache__", "tests", "*.json")
    for folder in ("kernel", "registry", "plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


def append(root, file, text):
    (root / file).parent.mkdir(exist_ok=True)
    with (root / file).open("a") as opened:
        opened.write(f"\n{text}\n")


def broken(rule, root, file, text):
    """What the rule says of the changed file and did not say before."""
    before = set(rule(root))
    append(root, file, text)
    return [problem for problem in rule(root) if problem not in before]


@pytest.mark.parametrize("text", KERNEL_IMPORTS)
def test_a_kernel_import_is_seen(copy, text):
    (reported,) = broken(architecture.kernel_imports, copy, GRAPH, text)
    assert reported.startswith(GRAPH)


def test_arrays_are_allowed_where_the_kernel_has_them(copy):
    for file in ("kernel/specloom/torch.py", "kernel/specloom/testing/running.py"):
        append(copy, file, "import numpy\nfrom specloom.torch import TorchNode")
    assert list(architecture.kernel_imports(copy)) == []
    assert broken(
        architecture.kernel_imports, copy, "kernel/specloom/torch.py", "import specloom_rx"
    )


@pytest.mark.parametrize("text", REGISTRY_IMPORTS)
def test_a_registry_import_is_seen(copy, text):
    (reported,) = broken(architecture.registry_imports, copy, REGISTRY, text)
    assert reported.startswith(REGISTRY)


def test_git_is_allowed_in_the_git_module(copy):
    append(copy, "registry/specloom_registry/fetch/git.py", "import git")
    assert list(architecture.registry_imports(copy)) == []


@pytest.mark.parametrize("text", PLUGIN_IMPORTS)
def test_a_plugin_import_is_seen(copy, text):
    (reported,) = broken(architecture.plugin_imports, copy, TRAINING, text)
    assert reported.startswith(TRAINING)


def test_declared_imports_are_allowed(copy):
    text = (
        "import json, torch\nfrom specloom import Port\n"
        "import specloom_metrics\nfrom specloom_metrics import best_threshold"
    )
    assert broken(architecture.plugin_imports, copy, TRAINING, text) == []


@pytest.mark.parametrize(
    ("file", "text", "reported"),
    [
        ("kernel/specloom/contract/hooks.py", "import numpy", "--help loads numpy"),
        ("kernel/specloom/cli.py", "import yaml", "--help loads yaml"),
        ("kernel/specloom/cli.py", "import specloom_registry", "--help loads specloom_registry"),
        ("registry/specloom_registry/__init__.py", "import rich.table", "import loads rich"),
    ],
)
def test_a_heavy_import_is_seen(copy, file, text, reported):
    append(copy, file, text)
    assert reported in list(architecture.loading(copy))


def test_a_command_of_the_kernel_is_seen(copy):
    text = "@cli.command()\ndef report() -> None: ..."
    reported = broken(architecture.commands, copy, "kernel/specloom/cli.py", text)
    assert any("the kernel has a command 'report'" in problem for problem in reported)


@pytest.mark.parametrize(("module", "text"), CIRCLES)
def test_a_circle_in_the_kernel_is_seen(copy, module, text):
    (found,) = broken(architecture.circles, copy, f"kernel/specloom/{module}.py", text)
    assert found.startswith("modules import each other: specloom")


@pytest.mark.parametrize(("module", "text", "room"), LATER_ROOMS)
def test_an_import_of_a_later_room_of_the_kernel_is_seen(copy, module, text, room):
    (found,) = broken(architecture.rooms, copy, f"kernel/specloom/{module}.py", text)
    assert found.startswith(f"kernel/specloom/{module}.py:")
    assert f": {room} imports specloom" in found
    assert found.endswith(", a room after it")


@pytest.mark.parametrize(("module", "text", "to"), CONTRACT_ORDER)
def test_the_modules_of_the_contract_have_an_order(copy, module, text, to):
    (found,) = broken(architecture.rooms, copy, f"kernel/specloom/contract/{module}.py", text)
    expected = f"contract/{module}.py imports specloom.contract.{to}, which stands after it"
    assert found.endswith(expected)


def test_imports_of_earlier_rooms_are_allowed(copy):
    text = "from specloom.runfile.yaml import Document\nfrom specloom.contract.ports import Port"
    assert broken(architecture.rooms, copy, GRAPH, text) == []


def test_a_kernel_module_or_folder_outside_the_rooms_is_seen(copy):
    append(copy, "kernel/specloom/attic.py", "x = 1")
    append(copy, "kernel/specloom/cellar/wine.py", "x = 1")
    assert list(architecture.rooms(copy)) == [
        "kernel/specloom/attic is no room: name it in tools/architecture.py",
        "kernel/specloom/cellar is no room: name it in tools/architecture.py",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "from specloom_training import two",
        "def late():\n    from specloom_training import two",
        "if TYPE_CHECKING:\n    from specloom_training import two",
    ],
    ids=["loaded", "deferred", "for types"],
)
def test_a_cycle_in_a_plugin_is_seen(copy, text):
    folder = "plugins/training/specloom_training"
    append(copy, f"{folder}/one.py", text)
    append(copy, f"{folder}/two.py", "from specloom_training.one import x")
    (found,) = architecture.circles(copy)
    assert found.startswith("modules import each other: specloom_training.")


def test_a_cycle_for_types_in_the_registry_is_seen(copy):
    folder = "registry/specloom_registry/base"
    text = "if TYPE_CHECKING:\n    from specloom_registry.base import two"
    append(copy, f"{folder}/one.py", text)
    append(copy, f"{folder}/two.py", "from specloom_registry.base.one import x")
    (found,) = architecture.circles(copy)
    assert found.startswith("modules import each other: specloom_registry.base.")


def test_a_package_may_re_export_its_modules_for_type_checkers(copy):
    folder = "registry/specloom_registry/base"
    append(copy, f"{folder}/one.py", "from specloom_registry import base")
    text = "if TYPE_CHECKING:\n    from specloom_registry.base import one"
    append(copy, f"{folder}/__init__.py", text)
    assert list(architecture.circles(copy)) == []


@pytest.mark.parametrize(
    "text",
    [
        "from specloom_registry.project import sync",
        "def late():\n    from specloom_registry.project.sync import sync",
        "if TYPE_CHECKING:\n    from specloom_registry.project.project import Project",
    ],
)
def test_an_import_of_a_later_room_is_seen(copy, text):
    (found,) = broken(architecture.rooms, copy, "registry/specloom_registry/store/tree.py", text)
    assert "tree.py" in found
    assert "store imports specloom_registry.project" in found


def test_a_registry_module_or_folder_outside_the_rooms_is_seen(copy):
    append(copy, "registry/specloom_registry/attic.py", "x = 1")
    append(copy, "registry/specloom_registry/cellar/wine.py", "x = 1")
    assert list(architecture.rooms(copy)) == [
        "registry/specloom_registry/attic is no room: name it in tools/architecture.py",
        "registry/specloom_registry/cellar is no room: name it in tools/architecture.py",
    ]


@pytest.mark.parametrize(("text", "reported"), SUPPRESSIONS)
def test_a_suppression_without_code_or_reason_is_seen(copy, text, reported):
    (found,) = broken(architecture.suppressions, copy, REGISTRY, text)
    assert found.startswith(REGISTRY)
    assert reported in found


def test_suppressions_with_reasons_and_in_strings_are_allowed(copy):
    text = "x = '# noqa'  # noqa: E501  # on purpose\ny = 2  # type: ignore[misc]  # as above"
    assert broken(architecture.suppressions, copy, REGISTRY, text) == []


def test_too_many_suppressions_are_seen(tmp_path):
    (tmp_path / "kernel").mkdir()
    line = "x = 1  # noqa: E501  # a good reason"
    (tmp_path / "kernel/few.py").write_text("x = 1\n" * 997 + f"{line}\n" * 3)
    assert list(architecture.suppressions(tmp_path)) == []
    append(tmp_path, "kernel/few.py", line)
    assert list(architecture.suppressions(tmp_path)) == [
        "4 suppressions in 1002 lines, at most 3 per thousand"
    ]


LOOKED_UP = [
    'getattr(node, "colour", None)',
    'def late(node):\n    return hasattr(node, "pased")',
    'summary = node.fit_sumary() if hasattr(node, "fit_sumary") else ""',
]


@pytest.mark.parametrize("file", [GRAPH, TRAINING])
@pytest.mark.parametrize("text", LOOKED_UP)
def test_a_member_that_is_looked_up_and_stands_in_no_protocol_is_seen(copy, file, text):
    (found,) = broken(looked_up.looked_up_members, copy, file, text)
    assert found.startswith(file)
    assert "stands in no Protocol of kernel/specloom/contract" in found


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ("def late(run: Run):\n    return run.colour", "Run.colour"),
        ("def late(run: 'Run | None'):\n    return run._placed", "Run._placed"),
        ("def late(run: RunView):\n    return run.graph.node_error", "Graph.node_error"),
        ("def late(run: Run):\n    graph = run.graph\n    graph._endpoints", "Graph._endpoints"),
        ("class Late:\n    run: Run\n    def f(self):\n        self.run.skipped()", "Run.skipped"),
        ("from specloom import load\ndef late():\n    load('a').colour", "Run.colour"),
        ("def late(pipeline: Pipeline):\n    pipeline._graph", "Pipeline._graph"),
    ],
)
def test_an_attribute_that_is_in_no_view_is_seen(copy, text, member):
    (found,) = broken(view_members.view_members, copy, TRAINING, text)
    assert found.startswith(TRAINING)
    assert member in found


def test_an_attribute_that_leaves_its_view_is_seen(copy):
    file = copy / view_members.VIEWS
    file.write_text(file.read_text().replace("    def incoming(", "    def coming("))
    assert any("Graph.incoming is not in" in one for one in view_members.view_members(copy))


def test_members_of_protocols_of_arrays_and_of_the_class_itself_may_be_looked_up(copy):
    text = (
        'getattr(node, "fit_summary", None)\nhasattr(value, "detach")\n'
        'getattr(self, "_sum", 0)\ngetattr(node, name)'
    )
    assert broken(looked_up.looked_up_members, copy, TRAINING, text) == []


def test_a_member_whose_protocol_goes_is_seen(copy):
    file = copy / "kernel/specloom/contract/nodes.py"
    file.write_text(file.read_text().replace("    halo: int\n", ""))
    assert any("'halo' stands in no Protocol" in one for one in looked_up.looked_up_members(copy))
