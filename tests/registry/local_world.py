"""A plugin in a folder, and a manifest that names it."""

import textwrap

HOOKS = """
from specloom import impl
SAYS = {says!r}
@impl
def register_nodes():
    return {{"Twice": "{top}.twice:Twice"}}
"""
PROJECT = """
[project]
name = "probe"
version = "1.2.0"
[project.entry-points.specloom]
{name} = "{top}"
"""
TWICE = '''
from specloom import Port

class Twice:
    """Twice the cube."""

    inputs = {"data": Port("B H W C", doc="A cube.")}
    outputs = {"doubled": Port("B H W C", doc="Twice the cube.")}

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def forward(self, data):
        return {"doubled": data * self.factor}
'''


def write_plugin(folder, name="demo", top="probe_demo", says="one"):
    (folder / top).mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, top=top))
    (folder / top / "__init__.py").write_text(HOOKS.format(says=says, top=top))
    (folder / top / "twice.py").write_text(TWICE)
    return folder


def write_manifest(folder, plugins, schema="schema: 1"):
    file = folder / "plugins.yaml"
    file.write_text(f"{schema}\nplugins:\n{textwrap.indent(textwrap.dedent(plugins), '  ')}\n")
    return file
