"""Every message of the registry about a manifest, with place and remedy."""

import pytest
from bare_world import write_manifest, write_plugin

import specloom
from specloom import ConfigError, SpecloomError
from specloom_registry import resolve_plugins

FOLDER = "write '{name}: {{path: <its folder>}}', relative to this file"
WRONG_ENTRIES = [
    *[
        (
            f"{bad!r}: {{path: lab}}",
            f"E-NAME {bad!r} is not a plugin name",
            f"use lower-case letters, digits and single hyphens: {good!r}",
        )
        for bad, good in [
            ("../x", "x"),
            ("A", "a"),
            ("rx_x", "rx-x"),
            ("-x", "x"),
            ("x--y", "x-y"),
            ("___", "rx"),
            ("a" * 65, "a" * 64),
        ]
    ],
    *[
        (
            f"{name}: {{path: lab}}",
            f"E-NAME the name {name!r} is reserved",
            "leave it out: it comes with specloom",
        )
        for name in ("specloom", "registry")
    ],
    (
        "demo: {pth: lab, path: lab}",
        "E-KEY unknown key 'pth' in plugin 'demo'",
        "did you mean 'path'?",
    ),
    ("demo: {}", "E-PATH plugin 'demo': no path is named", FOLDER.format(name="demo")),
    ("demo: {path: }", "E-PATH plugin 'demo': no path is named", FOLDER.format(name="demo")),
    ("demo: {path: 3}", "E-PATH plugin 'demo': 3 is not a path", FOLDER.format(name="demo")),
    (
        "demo: {path: ' '}",
        "E-PATH plugin 'demo': ' ' is not a path",
        FOLDER.format(name="demo"),
    ),
    (
        "demo: lab",
        "E-SOURCE plugin 'demo' is 'lab', which is not a mapping",
        "write 'demo: {path: <its folder>}', or 'demo: {git: <its URL>, tag: <its tag>}'",
    ),
    (
        "demo: {git: 'https://example.org/x'}",
        "E-SOURCE plugin 'demo' has a Git URL but no 'tag'",
        "name the tag: branches are not accepted",
    ),
    ("demo: {tag: v1}", "E-SOURCE plugin 'demo' has a tag but no 'git'", "name the URL"),
    (
        "demo: {path: lab, tag: v1}",
        "E-KEY unknown key 'tag' in plugin 'demo'",
        "use one of: extras, path",
    ),
    (
        "demo: {path: lab, signed-by: [a]}",
        "E-LATER plugin 'demo' has 'signed-by', which this version cannot use yet",
        "remove 'signed-by'",
    ),
    (
        "demo: {git: 'https://example.org/x', tag: 1.10}",
        "E-SOURCE plugin 'demo': 'tag' is 1.10, which is not a string",
        "put it in quotes: '1.10'",
    ),
    (
        "demo: {git: 'https://example.org/x', tag: [v1]}",
        "E-SOURCE plugin 'demo': 'tag' is ['v1'], which is not a string",
        "write tag as text",
    ),
    (
        "demo: {git: 'https://example.org/x', tag: v1, commit: abc}",
        "E-COMMIT plugin 'demo': 'abc' is not a commit",
        "write its 40 hexadecimal digits",
    ),
    (
        "demo: {git: 'https://example.org/x', tag: v1, subdir: ../x}",
        "E-SUBDIR plugin 'demo': '../x' is not a folder within a repository",
        "write it with single slashes, such as plugins/rx",
    ),
    (
        "demo: {git: 'https://example.org/x', tag: v1, tag-pattern: v}",
        "E-TAG plugin 'demo': the pattern 'v' has no {version}",
        "write, for example, 'demo-v{version}'",
    ),
    (
        "demo: {path: lab, extras: gpu}",
        "E-SOURCE plugin 'demo': 'extras' is 'gpu', which is not a list of names",
        "write, for example, [gpu]",
    ),
    (
        "demo: {path: nowhere}",
        "E-PATH-MISSING plugin 'demo': 'nowhere' does not exist "
        "(resolved from {file}'s folder to {tmp}/nowhere)",
        "correct the path; it is relative to the manifest's folder",
    ),
    (
        "demo: {path: lab/pyproject.toml}",
        "E-PATH-MISSING plugin 'demo': 'lab/pyproject.toml' is not a folder "
        "(resolved from {file}'s folder to {tmp}/lab/pyproject.toml)",
        "correct the path; it is relative to the manifest's folder",
    ),
]


@pytest.mark.parametrize(("line", "what", "fix"), WRONG_ENTRIES)
def test_a_wrong_entry_is_reported_with_its_line(tmp_path, line, what, fix):
    write_plugin(tmp_path / "lab")
    file = write_manifest(tmp_path, line)
    with pytest.raises(ConfigError) as caught:
        resolve_plugins(file)
    assert caught.value.what == what.replace("{file}", str(file)).replace("{tmp}", str(tmp_path))
    assert (caught.value.where, caught.value.fix) == (f"{file}:3", fix)


BEGIN = "begin it with 'schema: 1' and 'plugins:'"
MAP = "write 'plugins: {rx: {path: ../plugins/rx}}', or 'plugins: {}' for none"
ONE = "write 'schema: 1'"
WRONG_FILES = [
    ("", 1, "E-SCHEMA a manifest is a mapping", BEGIN),
    ("- a", 1, "E-SCHEMA a manifest is a mapping", BEGIN),
    ("plugins: {}", 1, "E-SCHEMA no schema is named", ONE),
    ("plugins: {}\nschema: 2", 2, "E-SCHEMA schema 2 is not known", ONE),
    ("plugins: {}\nschema: true", 2, "E-SCHEMA schema True is not known", ONE),
    ("schema: 1", 1, "E-SCHEMA 'plugins' must map names to plugins", MAP),
    ("schema: 1\nplugins: [rx]", 2, "E-SCHEMA 'plugins' must map names to plugins", MAP),
    (
        "schema: 1\nplugin: {}\nplugins: {}",
        2,
        "E-KEY unknown key 'plugin' in the manifest",
        "did you mean 'plugins'?",
    ),
    (
        "schema: 1\nplugins: {}\ntrust: {}",
        3,
        "E-LATER the manifest has 'trust', which this version cannot use yet",
        "remove 'trust'",
    ),
    (
        "schema: 1\nplugins: {}\nmirrors: [{match: a}]",
        3,
        "E-MIRROR a mirror is {match: <URL>, use: <URL>}",
        "write both, and only these",
    ),
    (
        "schema: 1\nplugins: {}\nlimits: {bytes: 0}",
        3,
        "E-OPTION 'limits.bytes' is 0",
        "write it as int",
    ),
    (
        "schema: 1\nplugins: {}\ninstaller: {name: uv}",
        3,
        "E-OPTION 'installer.name' is not 'pip', the only one so far",
        "write pip",
    ),
    (
        'schema: 1\nplugins: {}\nspecloom: ">=99"',
        3,
        f"E-KERNEL the project needs specloom >=99; this is {specloom.__version__}",
        "pip install 'specloom>=99'",
    ),
    (
        "schema: 1\nplugins: {a: &b {path: x}}",
        2,
        "anchor or alias 'b' is not allowed",
        "write the value out where it is used",
    ),
]


@pytest.mark.parametrize(("text", "line", "what", "fix"), WRONG_FILES)
def test_a_wrong_manifest_is_reported_with_its_line(tmp_path, text, line, what, fix):
    file = tmp_path / "plugins.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        resolve_plugins(file)
    assert (caught.value.what, caught.value.where) == (what, f"{file}:{line}")
    assert caught.value.fix == fix


HOSTILE = [
    (
        "plugins: {a: !!python/object:os.system {}}",
        "tag 'tag:yaml.org,2002:python/object:os.system'",
    ),
    ("plugins: &a {b: *a}", "anchor or alias 'a' is not allowed"),
    ("plugins: {a: {path: x}, a: {path: y}}", "key 'a' a second time"),
    ("plugins: " + "[" * 5000, "nested more than 20 deep"),
    ("plugins: {a: {path: x}}\n---\nplugins: {}", "a second document begins"),
]


@pytest.mark.parametrize(("text", "what"), HOSTILE)
def test_hostile_yaml_is_refused_with_its_line(tmp_path, text, what):
    file = tmp_path / "plugins.yaml"
    file.write_text(f"schema: 1\n{text}\n")
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(file)
    errors = getattr(caught.value, "errors", [caught.value])
    assert any(what in error.what for error in errors)
    assert all(error.where.startswith(f"{file}:") for error in errors)
