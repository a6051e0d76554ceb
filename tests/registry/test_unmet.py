"""Requirements of plugins in folders that the environment does not meet."""

import importlib

import pytest
from local_world import write_manifest, write_plugin

from specloom import SpecloomWarning
from specloom.contract.errors import Problems
from specloom_registry import resolve_plugins


def require(plugin, *requirements):
    """Let a plugin's folder require something."""
    file = plugin / "pyproject.toml"
    quoted = ", ".join(f"'{one}'" for one in requirements)
    text = file.read_text().replace(
        'version = "1.2.0"', f'version = "1.2.0"\ndependencies = [{quoted}]'
    )
    file.write_text(text)
    return plugin


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("numpy<1", r"needs numpy<1, but \d+\.\d+\S* is used"),
        (
            "absent-package-x>=1",
            "needs absent-package-x>=1, which is not installed",
        ),
        ("specloom-absent", "needs specloom-absent, which is not installed"),
        ("specloom-other>=3", r"needs specloom-other>=3, but 1\.2\.0 is used"),
    ],
)
def test_it_is_a_warning_when_the_plugin_is_imported(tmp_path, requirement, said):
    require(write_plugin(tmp_path / "demo"), requirement)
    write_plugin(tmp_path / "other", name="other", top="probe_other")
    file = write_manifest(tmp_path, "demo: {path: demo}\nother: {path: other}")
    resolve_plugins(file)
    with pytest.warns(
        SpecloomWarning, match=f"W-REQUIRES demo {said}; install what it needs"
    ) as seen:
        importlib.import_module("probe_demo")
    assert seen[0].filename == str(file)
    assert seen[0].lineno == 3
    importlib.import_module("probe_other")


def test_requirements_that_are_met_or_do_not_apply_are_silent(tmp_path):
    met = ["numpy", "specloom>=0.1", "specloom-other", "absent; python_version < '3'", "not one!"]
    require(write_plugin(tmp_path / "demo"), *[one.replace("'", '"') for one in met])
    write_plugin(tmp_path / "other", name="other", top="probe_other")
    resolve_plugins(write_manifest(tmp_path, "demo: {path: demo}\nother: {path: other}"))
    importlib.import_module("probe_demo")


def test_they_are_reported_together_with_a_kernel_that_does_not_fit(tmp_path):
    require(write_plugin(tmp_path / "demo"), "specloom<0.1", "absent-package-x>=1")
    file = write_manifest(tmp_path, "demo: {path: demo}")
    with pytest.raises(Problems) as caught:
        resolve_plugins(file)
    kernel, package = caught.value.errors
    assert kernel.what.startswith("E-API plugin 'demo' 1.2.0 needs specloom <0.1")
    assert package.what == (
        "E-REQUIRES plugin 'demo' needs absent-package-x>=1, which is not installed"
    )
    assert (package.where, package.fix) == (
        f"{file}:3",
        "install what it needs, or use another version of it",
    )
