"""In a notebook progress is bars, and lines go to the standard output."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from specloom_console.notebook import in_notebook
from specloom_console.progress import Progress


@pytest.fixture
def drawn(monkeypatch):
    """A notebook; everything that is drawn in it."""
    found = []

    class Handle:
        def update(self, html):
            found.append(html)

    def display(html, display_id):
        found.append(html)
        return Handle()

    shell = SimpleNamespace(config={"IPKernelApp": {}})
    package = ModuleType("IPython")
    package.get_ipython = lambda: shell
    module = ModuleType("IPython.display")
    module.HTML = str
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return found


def test_bars(drawn, capsys):
    assert in_notebook()
    times = iter([0.0, 0.0, 0.0, 2.0, 4.0])
    progress = Progress(clock=lambda: next(times, 5.0))
    progress.run_started(run=None)
    progress.progress(what="<x>", done=0, total=4)
    progress.progress(what="<x>", done=2, total=4)
    assert drawn[-1].startswith('<div><progress max="4" value="2"')
    assert "&lt;x&gt;: 2 of 4" in drawn[-1]
    progress.warned(message="look")
    progress.progress(what="<x>", done=4, total=4)
    assert drawn[-1] == ""
    out = capsys.readouterr()
    assert (out.out, out.err) == ("warning: look\n", "")


def test_a_terminal_is_no_notebook(monkeypatch):
    package = ModuleType("IPython")
    package.get_ipython = lambda: None
    monkeypatch.setitem(sys.modules, "IPython", package)
    assert not in_notebook()
    package.get_ipython = lambda: SimpleNamespace(config={})
    assert not in_notebook()


def test_a_quiet_run_shows_only_warnings(capsys):
    run = SimpleNamespace(
        metadata={"description": "mine"},
        quiet=True,
        verbose=False,
        folder=None,
        metrics={"test": {"a": 1.0}},
    )
    progress = Progress()
    progress.run_started(run=run)
    progress.phase_started(name="phase")
    progress.node_fitted(node="rx", summary="all")
    progress.warned(message="look")
    progress.phase_ended(name="phase")
    progress.run_ended(run=run, error=None)
    assert capsys.readouterr().err == "warning: look\n"
