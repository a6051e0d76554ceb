"""The script that measures how densely code is written counts what it says."""

from pathlib import Path

import density
import pytest

ROOT = Path(__file__).parents[1]
DENSE = '''"""A module.

Of two paragraphs.
"""

# a comment


def first(x):
    """A docstring."""
    a, b = x, 1  # one tuple assignment
    b, a = x  # unpacking is none
    if c := [y for y in x]:
        return c if a else {y for y in b}
    text = """two
lines"""
    return text
'''


def test_constructs_and_tokens_are_counted():
    found = density.Density()
    found.add(DENSE)
    assert found.files == 1
    assert found.lines == 8
    assert (found.walruses, found.conditionals) == (1, 1)
    assert (found.tuple_assignments, found.comprehensions) == (1, 2)
    per_line = [6, 7, 5, 11, 12, 3, 2]  # as one reads them; the string of two lines is one token
    assert found.tokens == sum(per_line)


def test_docstrings_comments_and_blank_lines_change_nothing():
    plain = density.Density()
    plain.add("a = 1\n\n\ndef f():\n    return a\n")
    documented = density.Density()
    documented.add(
        '"""Doc."""\na = 1  # one\n\ndef f():\n    """Doc\n\n    more."""\n    return a\n'
    )
    assert documented == plain


def test_rates_are_per_thousand_lines_of_code():
    found = density.Density(files=2, lines=500, tokens=3000, walruses=1, comprehensions=4)
    assert found.row("here") == ["here", "2", "500", "6.0", "2", "0", "0", "8"]
    assert density.Density().row("nothing")[3] == "0.0"


def test_a_table_of_folders_and_installed_packages_is_printed(capsys, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/module.py").write_text(DENSE)
    (tmp_path / "package/tests").mkdir()
    (tmp_path / "package/tests/test_module.py").write_text("not Python")
    folder = tmp_path / "package"
    assert density.main([str(folder), "--packages", "pluggy", "no_such_package"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == f"| {folder} | 1 | 8 | 5.8 | 125 | 125 | 125 | 250 |"
    assert lines[3].startswith("| pluggy | ")
    assert lines[4].startswith("| no_such_package (not installed) |")


def test_a_folder_that_is_not_there_is_an_error(capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        density.main([str(tmp_path / "gone")])
    assert caught.value.code == 2
    assert "there is no " in capsys.readouterr().err


def test_the_kernel_is_measured():
    found = density.measure(density.python_files(ROOT / "kernel/specloom"))
    assert found.files > 20
    assert 5 < found.tokens / found.lines < 15
