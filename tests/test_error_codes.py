"""The page of error codes has every code of the code, and no other."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import error_codes  # noqa: E402  # a tool, not a package

CODE = r"[EW]-[A-Z]+(?:-[A-Z]+)*"


def codes_in_strings():
    """The codes with which strings of the source begin, found in its text."""
    found = set()
    for package in error_codes.PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text("utf-8")
            found |= set(re.findall(rf"[\"']({CODE})(?=[ \"'])", text))
    return found


@pytest.fixture(scope="module")
def messages():
    return error_codes.messages(ROOT)


def test_the_page_is_what_the_tool_writes():
    written = (ROOT / error_codes.PAGE).read_text("utf-8")
    assert written == error_codes.page(ROOT), "run: python tools/error_codes.py"


def test_each_code_stands_on_the_page_and_no_other():
    headings = re.findall(r"^## (.+)$", (ROOT / error_codes.PAGE).read_text("utf-8"), re.MULTILINE)
    assert headings == sorted(set(headings))
    assert set(headings) == codes_in_strings()
    assert set(headings) == error_codes.reasons(ROOT).keys()
    assert len(headings) >= 60


def test_each_code_says_what_why_and_the_fix(messages):
    reasons = error_codes.reasons(ROOT)
    for code, about in reasons.items():
        assert about["why"].endswith(".")
        assert any(message.text for message in messages if message.code == code), code
        assert ("fix" in about) == code.startswith("W-"), code
    without = {message.text for message in messages if message.code[0] == "E" and not message.fixes}
    assert without == set()


def test_a_message_has_its_fix_from_variables_parameters_and_branches(tmp_path):
    package = tmp_path / "kernel/specloom"
    package.mkdir(parents=True)
    (package / "toy.py").write_text(
        "AGAIN = 'lock it again'\n"
        "def first(name, path):\n"
        "    if name:\n"
        "        fix = 'correct the name'\n"
        "    else:\n"
        "        fix = AGAIN\n"
        "    what = f'E-ONE {name!r} is not at {path}'\n"
        "    raise Error(what, fix=fix)\n"
        "def second(owner):\n"
        "    return third(owner, 'write both')\n"
        "def third(owner, fix):\n"
        "    return Error(f'E-TWO {owner} has one', fix=fix)\n"
        "def fourth(folder):\n"
        "    return f'W-THREE {folder.name} is left out'\n"
    )
    assert error_codes.messages(tmp_path) == [
        error_codes.Message(
            "E-ONE", "'NAME' is not at PATH", ("correct the name", "lock it again")
        ),
        error_codes.Message("E-TWO", "OWNER has one", ("write both",)),
        error_codes.Message("W-THREE", "NAME is left out", ()),
    ]
