"""Rules for verdicts: what they say, and what is no rule."""

import itertools

import pytest

from specloom import ConfigError
from specloom_predict.measures import KINDS
from specloom_predict.rules import HOW, MAX_DEPTH, parse_rule

VALUES = {"objects": 3, "largest": 12, "decided": 0.02, "unjudged": 0.0, "level": None}
VALUES |= {"shape": 0.3, "seconds": 1.5}


def holds(text, **values):
    return parse_rule(text, KINDS).holds({**VALUES, **values})


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("objects > 0", True),
        ("objects>3", False),
        ("objects >= 3", True),
        ("objects < 3", False),
        ("objects <= 3", True),
        ("objects == 3", True),
        ("objects != 3", False),
        ("3 <= objects", True),
        ("objects > -1", True),
        ("largest >= 12 px", True),
        ("largest > objects", True),
        ("decided > 1.9%", True),
        ("decided > 2.1 %", False),
        ("decided > 2e-2", False),
        ("seconds > 1400ms", True),
        ("seconds > .1 min", False),
        ("objects > 5 or largest > 10 and decided > 1%", True),
        ("objects > 5 and largest > 10 or decided > 1%", True),
        ("(objects > 2 or largest > 20) and decided > 3%", False),
        ("not objects > 5", True),
        ("not not objects > 5", False),
        ("not (objects > 2 and largest > 2)", False),
        ("level > 1", None),
        ("not level > 1", None),
        ("level > 1 or objects > 0", True),
        ("level > 1 and objects > 0", None),
        ("level > 1 and objects > 9", False),
        ("level > 1 or objects > 9", None),
    ],
)
def test_what_rules_say(text, truth):
    assert holds(text) is truth


def test_and_or_not_as_python_has_them():
    text = "objects > 0 and not largest > 0 or decided > 0 and (unjudged > 0 or not seconds > 0)"
    names = ("objects", "largest", "decided", "unjudged", "seconds")
    for values in itertools.product((0, 1), repeat=5):
        known = dict(zip(names, values, strict=True))
        a, b, c, d, e = map(bool, values)
        assert holds(text, **known) is ((a and not b) or (c and (d or not e)))


def test_columns_of_a_rule():
    rule = parse_rule("not (objects > 2 or 1% < decided) and objects < 9", KINDS)
    assert rule.columns() == ["objects", "decided"]


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("objcts > 0", "the summary has no column 'objcts' of numbers", "did you mean 'objects'?"),
        (
            "__import__ > 0",
            "the summary has no column '__import__' of numbers",
            f"use one of: {', '.join(sorted(KINDS))}",
        ),
        ("", "a column or a number is needed, not the end", HOW),
        ("objects >", "a column or a number is needed, not the end", HOW),
        ("objects > 0 and", "a column or a number is needed, not the end", HOW),
        ("objects > and", "a column or a number is needed, not 'and'", HOW),
        ("objects > - largest", "a number is needed after '-', not 'largest'", HOW),
        ("objects > 0 largest > 3", "there is no unit 'largest'", "use one of: %, min, ms, px, s"),
        ("objects > largest 3", "there is '3' after the end of the rule", HOW),
        ("objects = 3", "'=' has no meaning here", HOW),
        ("objects > 3 && largest > 2", "'&&' has no meaning here", HOW),
        ("objects.real > 3", "'.real' has no meaning here", HOW),
        (
            "objects",
            "a comparison is needed after 'objects', not the end",
            "use one of: <, <=, >, >=, ==, !=",
        ),
        ("(objects > 0", "a parenthesis is not closed", "add a ')'"),
        ("objects > 0)", "there is ')' after the end of the rule", HOW),
        ("1 > 0", "two numbers are compared", f"compare a column: {', '.join(KINDS)}"),
        (
            "1 < objects < 3",
            "a comparison has two sides",
            "join two comparisons with 'and'",
        ),
        ("seconds > 3 sec", "there is no unit 'sec'", "use one of: %, min, ms, px, s"),
        (
            "largest > 3%",
            "'largest' is compared with a percentage",
            "write the number without a unit, or with one of: px",
        ),
        (
            "objects > 3 px",
            "'objects' is compared with pixels",
            "write the number without a unit",
        ),
        (
            "(" * 300 + "objects > 0" + ")" * 300,
            f"there are more than {MAX_DEPTH} parentheses in one another",
            HOW,
        ),
    ],
)
def test_what_is_no_rule(text, what, fix):
    with pytest.raises(ConfigError) as error:
        parse_rule(text, KINDS)
    assert str(error.value) == f"--reject-when {text!r}: {what}\n  fix: {fix}"


def test_long_rules_are_read():
    text = " or ".join(["not " * 2000 + "objects > 5"] * 20)
    assert holds(text) is False
