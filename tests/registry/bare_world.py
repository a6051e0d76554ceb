"""A folder with the least that makes it a plugin's, and a manifest of given lines."""

PROJECT = "[project.entry-points.specloom]\n{}"


def write_plugin(folder, entry='demo = "probe_demo"'):
    (folder / "probe_demo").mkdir(parents=True)
    (folder / "probe_demo/__init__.py").touch()
    (folder / "pyproject.toml").write_text(PROJECT.format(entry))
    return folder


def write_manifest(folder, *lines):
    file = folder / "plugins.yaml"
    file.write_text("\n  ".join(["schema: 1\nplugins:", *lines]))
    return file
