"""Any text is read or refused, and what a pipeline saves is read back."""

import contextlib
import random
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from specloom import SpecloomError
from specloom.runfile import yaml as reader
from specloom.runfile.yaml import dump, parse

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))

pieces = st.sampled_from(
    [*"[]{}:,-?!&*|>%@`'\"#~\\\n\t ", ": ", "- ", "a", "1", "\\u", "\\U0011", "---\n", "%YAML "]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(pieces, max_size=40).map("".join)))
@example('"\\U00110000"')
@example("%YAML " + "9" * 5000 + ".1\n---\na")
@example("!<%ff> a")
@example("*")
@example("? - a")
@example(": :")
def test_only_errors_of_ours_escape(text):
    with contextlib.suppress(SpecloomError):
        parse(text, "run.yaml")


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(values)
@example("1e-6")
@example("010")
@example("0o17")
@example("no")
@example("1_000")
@example(" leading\nand trailing ")
@example("\x85\u2028\ufeff\x07\x7f")
@example("x" * 300)
@example({"k" * 300: " "})
@example("a\r\nb\n\n c\t")
@example(["x " * 100, "# no comment", "a: b", "- a", "%", "&a", "*a", "!t", "=", "<<"])
def test_what_a_pipeline_saves_is_read_back(value):
    back = parse(dump({"value": value}), "f").value["value"]
    assert back == value
    assert type(back) is type(value)


def test_a_value_used_twice_is_written_twice():
    shared = [1, 2]
    text = dump({"a": shared, "b": shared})
    assert parse(text, "f").value == {"a": [1, 2], "b": [1, 2]}


def damaged(number):
    """Part of a run file with a few characters put in and taken out."""
    rng = random.Random(number)
    text = rng.choice(CONFIGS).read_text("utf-8")
    start = rng.randrange(len(text))
    text = text[start : start + rng.randrange(1, 600)]
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(text) + 1)
        put_in = rng.choice(
            ["", ":", " ", "\n", "#", "- ", "{", "}", "[", "]", ",", '"', "'", "&a", ">", "a>=1"]
        )
        text = text[:place] + put_in + text[place + rng.randrange(3) :]
    return text


def test_libyaml_gives_what_the_parser_in_python_gives():
    texts = [path.read_text("utf-8") for path in CONFIGS]
    texts += [damaged(number) for number in range(2000)]
    compared = 0
    for text in texts:
        fast = reader._parse_by_libyaml(text, "run.yaml")
        if fast is None:
            continue
        slow = reader._parse_in_python(text, "run.yaml")
        assert fast == slow
        compared += 1
    assert compared > len(CONFIGS) + 200
