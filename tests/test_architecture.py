"""The repository keeps the rules of its architecture (tools/architecture.py)."""

from pathlib import Path

import architecture
import looked_up
import pytest
import view_members

ROOT = Path(__file__).parents[1]
RULES = [
    architecture.kernel_imports,
    architecture.registry_imports,
    architecture.plugin_imports,
    architecture.loading,
    architecture.commands,
    architecture.circles,
    architecture.rooms,
    architecture.suppressions,
    looked_up.looked_up_members,
    view_members.view_members,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps_the_rule(rule):
    assert list(rule(ROOT)) == []


def test_the_rules_see_the_repository():
    assert len(architecture.sources(ROOT, architecture.KERNEL)) > 20
    assert len(architecture.sources(ROOT, architecture.REGISTRY)) > 3
    assert len(architecture.plugin_packages(ROOT)) > 3
