"""Strict YAML: values as YAML 1.2 has them, places of keys, and every refusal with its line."""

import math
import os
from pathlib import Path

import pytest

from specloom import ConfigError, SpecloomError
from specloom.runfile.overrides import override
from specloom.runfile.yaml import parse, read, scalar


def reported(text):
    with pytest.raises(SpecloomError) as caught:
        parse(text, "run.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5E+3", -1500.0),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("+7", 7),
        ("-0", 0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("+.Inf", math.inf),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("Null", None),
    ],
)
def test_scalars_of_yaml_1_2(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)
    assert parse(f"a: {text}", "f").value == {"a": value}


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "Off", "1_000", "12:30", "2024-01-01", "0b1", "-0x1", "1e", ".", "+.nan"],
)
def test_text_that_other_readers_take_for_something_else(text):
    assert scalar(text) == text
    assert parse(f"a: {text}", "f").value == {"a": text}


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan(text):
    assert math.isnan(scalar(text))


def test_quoted_scalars_are_text():
    assert parse("""{a: "1", b: 'true', c: ""}""", "f").value == {"a": "1", "b": "true", "c": ""}
    assert parse("a: |\n  5\n", "f").value == {"a": "5\n"}


def test_huge_numbers_stay_numbers_and_cost_nothing():
    assert scalar("9" * 399) == int("9" * 399)
    assert scalar("9" * 100_000) == math.inf
    assert scalar("1e999") == math.inf


def test_numbers_are_shown_as_they_stand_in_the_file():
    document = parse("a: 1.10\nb: [0x10, x, {c: yes, d: TRUE, e: ~}]\nf:\n", "run.yaml")
    assert document.value == {
        "a": 1.1,
        "b": [16, "x", {"c": "yes", "d": True, "e": None}],
        "f": None,
    }
    assert document.written("a") == "1.10"
    assert document.written("b", 0) == "0x10"
    assert document.written("b", 2, "d") == "TRUE"
    assert document.written("b", 2, "e") == "~"
    for keys in (("b",), ("b", 1), ("b", 2, "c"), ("f",), ("absent",)):
        assert document.written(*keys, otherwise="?") == "?"


def test_an_override_replaces_what_stands_in_the_file():
    document = parse("a: {b: 1.10, c: 2.50}\n", "run.yaml")
    override(document, "a.b=[3.0, x]")
    assert document.written("a", "b", 0) == "3.0"
    assert document.written("a", "b") == ""
    assert document.written("a", "c") == "2.50"
    override(document, "a=text")
    assert document.texts == {}


def test_what_is_written_moves_with_the_items_of_a_list():
    document = parse("phases: [{t: 1.10}, {t: 2.20}]\n", "run.yaml")
    override(document, "phases.0=null")
    assert document.written("phases", 0, "t") == "2.20"
    override(document, "phases+={t: 3.30}")
    assert document.written("phases", 1, "t") == "3.30"
    assert len(document.texts) == 2


def test_places_of_keys():
    document = parse("a: 1\nb:\n  c:\n    - x\n    - {d: 2}\n", "run.yaml")
    assert document.value == {"a": 1, "b": {"c": ["x", {"d": 2}]}}
    assert document.where("a") == "run.yaml:1"
    assert document.where("b", "c") == "run.yaml:3"
    assert document.where("b", "c", 1) == "run.yaml:5"
    assert document.where("b", "c", 1, "d") == "run.yaml:5"
    assert document.where("b", "no", "such") == "run.yaml:2"
    assert document.where("nothing") == "run.yaml:1"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_holds_nothing(text):
    assert parse(text, "f").value is None


def test_duplicate_keys_name_the_first_and_only_themselves():
    assert reported("a: {x: 1}\nb: 2\na: {x: 2}\n") == (
        "run.yaml:3: key 'a' a second time (first at run.yaml:1) is not allowed\n"
        "  fix: remove one of the two"
    )
    assert parse("a: {x: 1}\nb: {x: 1}\n", "f").value == {"a": {"x": 1}, "b": {"x": 1}}


def test_keys_are_names_as_written():
    assert parse("1: a\n010: b\nno: c\n~: d\n", "f").value == {
        "1": "a",
        "010": "b",
        "no": "c",
        "~": "d",
    }


def test_refusals_are_told_together():
    assert reported("a: &x 1\nb: *x\nc: !!str 2\n[1]: 3\n") == (
        "run.yaml:1: anchor or alias 'x' is not allowed\n"
        "  fix: write the value out where it is used\n"
        "run.yaml:2: anchor or alias 'x' is not allowed\n"
        "  fix: write the value out where it is used\n"
        "run.yaml:3: tag 'tag:yaml.org,2002:str' is not allowed\n  fix: remove the tag\n"
        "run.yaml:4: a mapping's key must be a name\n  fix: write 'name: value'"
    )


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!local x"]
)
def test_tags_make_nothing(tag):
    assert "is not allowed\n  fix: remove the tag" in reported(f"a: {tag}")


def test_a_second_document():
    assert reported("a: 1\n---\nb: 2\n") == (
        "run.yaml:2: a second document begins\n  fix: remove the '---'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a:\n\tb: 1\n",
            "run.yaml:2: not YAML: found character '\\t' that cannot start any token\n"
            "  fix: indent with spaces, not tabs",
        ),
        (
            "a: b: c\n",
            "run.yaml:1: not YAML: mapping values are not allowed here\n"
            "  fix: align it with the lines around it, or put text that holds ': ' in quotes",
        ),
        (
            "a: [1, 2\nb: 3\n",
            "run.yaml:2: not YAML: expected ',' or ']', but got ':'\n"
            "  fix: close the bracket or the quote above it",
        ),
        (
            "a: 1\n b: 2\n",
            "run.yaml:2: not YAML: mapping values are not allowed here\n"
            "  fix: align it with the lines around it, or put text that holds ': ' in quotes",
        ),
        (
            "a: 'open\n",
            "run.yaml:2: not YAML: found unexpected end of stream\n"
            "  fix: close the bracket or the quote above it",
        ),
        (
            "a: *_roi.png\n",
            "run.yaml:1: not YAML: expected alphabetic or numeric character, but found '.'\n"
            "  fix: put text that begins with * or & in quotes, such as '*.tif'",
        ),
        (
            "a: @x\n",
            "run.yaml:1: not YAML: found character '@' that cannot start any token\n"
            "  fix: put the text in quotes",
        ),
        (
            "a: 1\nb: \x07\n",
            "run.yaml:2: holds the character U+0007, which YAML forbids\n  fix: remove it",
        ),
        (
            "a: \x00\n",
            "run.yaml:1: holds the character U+0000, which YAML forbids\n  fix: remove it",
        ),
        (
            'a: 1\nb: "\\ud800"\n',
            "run.yaml:2: not YAML: a number in it is out of range\n"
            "  fix: correct the number after the backslash or the percent sign",
        ),
        (
            'a: 1\nb: "\\Uffffffff"\n',
            "run.yaml:2: not YAML: a number in it is out of range\n"
            "  fix: correct the number after the backslash or the percent sign",
        ),
    ],
)
def test_what_is_no_yaml(text, message):
    assert reported(text) == message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused(opening):
    text = reported(opening * 5000)
    assert text in (
        "run.yaml:1: is nested more than 20 deep\n  fix: flatten it",
        "run.yaml:1: a mapping's key must be a name\n  fix: write 'name: value'",
    )


def test_files_that_cannot_be_read(tmp_path):
    def message(path):
        with pytest.raises(ConfigError) as caught:
            read(path)
        return str(caught.value)

    absent = tmp_path / "absent.yaml"
    assert (
        message(absent)
        == f"{absent} cannot be read: No such file or directory\n  fix: check the path"
    )
    assert message(tmp_path) == f"{tmp_path} cannot be read: Is a directory\n  fix: check the path"
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: gr\xfcn\n")
    assert message(latin) == f"{latin}:2: is not UTF-8 text\n  fix: save it as UTF-8"


def test_a_byte_order_mark_and_carriage_returns_are_taken(tmp_path):
    file = tmp_path / "windows.yaml"
    file.write_bytes("\ufeffa: 1\r\nb: grün\r\n".encode())
    document = read(file)
    assert document.value == {"a": 1, "b": "grün"}
    assert document.where("b") == f"{file}:2"


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    pipe = tmp_path / "run.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError) as caught:
        read(pipe)
    assert str(caught.value) == (
        f"{pipe} is a pipe or a socket, not a file\n  fix: give the path of a YAML file"
    )


def test_a_pipe_of_the_shell_is_read():
    ours, theirs = os.pipe()
    os.write(theirs, b"a: 1\n")
    os.close(theirs)
    try:
        assert read(Path(f"/dev/fd/{ours}")).value == {"a": 1}
    finally:
        os.close(ours)
