"""Whatever a run file holds, it is read or refused; nothing but errors of ours escapes."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import specloom
from specloom import SpecloomError
from specloom.runfile.form import interpret
from specloom.runfile.yaml import dump, parse, read

CONFIG = Path(__file__).parents[2] / "configs/rx_statistical.yaml"
TEXT, VALUE = CONFIG.read_text("utf-8"), read(CONFIG).value
ANYHOW = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

pieces = st.sampled_from(
    [*"[]{}:,-?!&*|>%@`'\"#~\\\n\t ", ": ", "- ", "a", "1", "\\u", "---\n", "...\n", "%YAML ", "<<"]
)
noise = st.one_of(st.text(max_size=60), st.lists(pieces, max_size=40).map("".join))


@st.composite
def damaged(draw):
    """A good run file in which a piece was replaced."""
    start = draw(st.integers(0, len(TEXT)))
    end = draw(st.integers(start, min(start + 40, len(TEXT))))
    piece = draw(st.one_of(noise, st.sampled_from(TEXT.splitlines(keepends=True))))
    return TEXT[:start] + piece + TEXT[end:]


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([10**30, 2**63, -(2**63), 1e308, float("nan"), float("inf"), 1e-320]),
    st.text(max_size=8),
    st.sampled_from(["rx.RXGlobal", "data.cube", "rx", "train", "batch", "metrics.metrics", "[]"]),
)
odd = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value, at=()):
    """The way to everything that a document holds."""
    yield at
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, one in inner:
        yield from places(one, (*at, key))


PLACES = [place for place in places(VALUE) if place]


@st.composite
def altered(draw):
    """A run file in which one to three values are others."""
    value = copy.deepcopy(VALUE)
    for place in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        inner = value
        with contextlib.suppress(LookupError, TypeError):
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = draw(odd)
    return value


def refused_or_read(text):
    with contextlib.suppress(SpecloomError):
        interpret(parse(text, "run.yaml"))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=50_000, **ANYHOW)
@given(noise)
def test_any_text(text):
    refused_or_read(text)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=50_000, **ANYHOW)
@given(damaged())
def test_a_damaged_run_file(text):
    refused_or_read(text)


def load(value, folder):
    """Build the graph of a run file with these values, or tell what is wrong with it."""
    path = folder / "run.yaml"
    path.write_text(dump(value), "utf-8")
    with contextlib.suppress(SpecloomError):
        specloom.load(path, device="cpu")


@settings(max_examples=100, derandomize=True, **ANYHOW)
@given(value=altered())
def test_other_values_in_a_run_file(tmp_path_factory, value):
    load(value, tmp_path_factory.getbasetemp())


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=5_000, **ANYHOW)
@given(value=altered())
def test_many_other_values_in_a_run_file(tmp_path_factory, value):
    load(value, tmp_path_factory.getbasetemp())
