"""Every message of the registry about a folder that a manifest names, with place and remedy."""

import pytest
from bare_world import PROJECT, write_manifest, write_plugin

import specloom
from specloom import ConfigError
from specloom_registry import resolve_plugins

HEAD = "E-PLUGIN plugin 'demo': "
WRONG_PROJECTS = [
    (
        None,
        HEAD + "{lab} has no pyproject.toml",
        "name the folder that holds the plugin's pyproject.toml",
    ),
    (
        "[project",
        HEAD + "{lab}/pyproject.toml is not TOML: Expected ']' at the end of a table "
        "declaration (at end of document)",
        "correct the file",
    ),
    (
        "project = 3",
        "E-PLUGIN {lab}/pyproject.toml offers no plugin 'demo'",
        'add demo = "<its module>" under [project.entry-points.specloom] there',
    ),
    (
        PROJECT.format('demos = "probe_demo"'),
        "E-PLUGIN {lab}/pyproject.toml offers no plugin 'demo'",
        "did you mean 'demos'?",
    ),
    (
        PROJECT.format('demo = "probe_demo:Hooks"'),
        HEAD + "its entry point 'probe_demo:Hooks' is not the name of a module",
        'write it as demo = "package.module" in {lab}/pyproject.toml',
    ),
    (
        PROJECT.format('demo = "probe_other"'),
        HEAD + "{lab} holds no module 'probe_other'",
        "put the module next to pyproject.toml, or correct the entry point",
    ),
    *[
        (
            PROJECT.format(f'demo = "{top}.plugin"'),
            f"E-NAME plugin 'demo': its module {top!r} hides Python's or specloom's",
            "rename the module",
        )
        for top in ("json", "specloom")
    ],
]


@pytest.mark.parametrize(("project", "what", "fix"), WRONG_PROJECTS)
def test_a_folder_that_is_no_such_plugin_is_reported(tmp_path, project, what, fix):
    lab = write_plugin(tmp_path / "lab")
    (lab / "pyproject.toml").unlink()
    if project is not None:
        (lab / "pyproject.toml").write_text(project)
    file = write_manifest(tmp_path, "demo: {path: lab}")
    with pytest.raises(ConfigError) as caught:
        resolve_plugins(file)
    assert caught.value.what == what.replace("{lab}", str(lab))
    assert caught.value.fix == fix.replace("{lab}", str(lab))
    assert caught.value.where == f"{file}:3"


def test_a_source_root_of_its_own_is_used_and_another_s_is_not(tmp_path):
    lab = write_plugin(tmp_path / "lab")
    (lab / "src").mkdir()
    (lab / "probe_demo").rename(lab / "src/probe_demo")
    text, more = (lab / "pyproject.toml").read_text(), "\n[tool.specloom]\nsource-root = "
    (lab / "pyproject.toml").write_text(f'{text}{more}"src"\n')
    file = write_manifest(tmp_path, "demo: {path: lab}")
    assert resolve_plugins(file) == {"demo": "probe_demo"}
    assert __import__("probe_demo").__file__ == str(lab / "src/probe_demo/__init__.py")
    (lab / "pyproject.toml").write_text(f'{text}{more}"../x"\n')
    with pytest.raises(ConfigError) as caught:
        resolve_plugins(file)
    assert caught.value.what == HEAD + "its source-root '../x' is not a folder of the plugin"
    assert caught.value.fix == f'write source-root = "src" in {lab}/pyproject.toml'


def test_a_folder_that_wants_another_kernel_is_refused(tmp_path):
    lab = write_plugin(tmp_path / "lab")
    project = '[project]\nname = "demo"\ndependencies = ["specloom>=9"]\n'
    (lab / "pyproject.toml").write_text(project + (lab / "pyproject.toml").read_text())
    file = write_manifest(tmp_path, "demo: {path: lab}")
    with pytest.raises(ConfigError) as caught:
        resolve_plugins(file)
    here = specloom.__version__
    assert caught.value.what == f"E-API plugin 'demo' needs specloom >=9; this is {here}"
    assert caught.value.where == f"{file}:3"


def test_a_pyproject_that_cannot_be_read_is_reported(tmp_path):
    lab = write_plugin(tmp_path / "lab")
    (lab / "pyproject.toml").unlink()
    (lab / "pyproject.toml").mkdir()
    with pytest.raises(ConfigError, match=r"pyproject\.toml cannot be read: Is a directory"):
        resolve_plugins(write_manifest(tmp_path, "demo: {path: lab}"))


def test_two_plugins_cannot_bring_one_module(tmp_path):
    write_plugin(tmp_path / "one")
    write_plugin(tmp_path / "two", entry='other = "probe_demo"')
    file = write_manifest(tmp_path, "demo: {path: one}", "other: {path: two}")
    with pytest.raises(ConfigError) as caught:
        resolve_plugins(file)
    assert (
        caught.value.what == "E-CLASH plugins 'demo' and 'other' both bring the module 'probe_demo'"
    )
    assert caught.value.where == f"{file}:4"
    assert caught.value.fix == "rename the module in one of them, or remove one"
