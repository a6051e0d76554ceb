"""Warnings of a run reach its observers; those of others go where they went before."""

import contextvars
import threading
import types
import warnings

import pytest

from specloom import Graph, Plugins, Run, impl
from specloom.execution.warning_capture import warnings_to
from test_observers import Empty


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """What is shown outside of any run."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: found.append(str(message)))
        yield found


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_warnings_inside_reach_the_listener_and_others_do_not(shown):
    before = warnings.showwarning
    heard = []
    warnings.warn("before", stacklevel=1)
    with warnings_to(heard.append):
        warnings.warn("inside", stacklevel=1)
        in_thread(lambda: warnings.warn("in another thread", stacklevel=1))
    warnings.warn("after", stacklevel=1)
    assert heard == ["inside"]
    assert shown == ["before", "in another thread", "after"]
    assert warnings.showwarning is before


def test_a_thread_in_a_copy_of_the_context_reaches_the_listener(shown):
    heard = []
    with warnings_to(heard.append):
        context = contextvars.copy_context()
        in_thread(lambda: context.run(warnings.warn, "reading ahead", stacklevel=1))
    assert heard == ["reading ahead"]
    assert shown == []


def test_an_inner_run_has_its_own_listener(shown):
    outer, inner = [], []
    with warnings_to(outer.append):
        with warnings_to(inner.append):
            warnings.warn("one", stacklevel=1)
        warnings.warn("two", stacklevel=1)
    assert (outer, inner, shown) == (["two"], ["one"], [])


def test_runs_that_end_in_another_order_than_they_began(shown):
    before = warnings.showwarning
    heard = {"first": [], "second": []}
    entered, ended = threading.Event(), threading.Event()

    def first():
        with warnings_to(heard["first"].append):
            entered.set()
            ended.wait(10)
            warnings.warn("of the first", stacklevel=1)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with warnings_to(heard["second"].append):
        warnings.warn("of the second", stacklevel=1)
    warnings.warn("of nothing", stacklevel=1)
    ended.set()
    thread.join()
    assert heard == {"first": ["of the first"], "second": ["of the second"]}
    assert shown == ["of nothing"]
    assert warnings.showwarning is before


def test_a_failing_run_restores_what_was_there(shown):
    before = warnings.showwarning
    heard = []

    class Failing:
        def check(self, graph, at):
            return ()

        def train(self, run):
            warnings.warn("it goes wrong", stacklevel=1)
            raise KeyError("wrong")

    @impl
    def warned(run, message):
        heard.append(message)

    watching = types.ModuleType("watching")
    watching.warned = warned
    plugins = Plugins({"watching": watching})
    plugins.need("watching")
    run = Run(Graph({}, []), Empty(), [("toy.Failing", Failing())], plugins=plugins)
    with pytest.raises(KeyError):
        run.run()
    assert heard == ["it goes wrong"]
    assert shown == []
    assert warnings.showwarning is before
