"""No message, help text or page has a word that docs/develop/style.md rules out."""

import shutil
from pathlib import Path

import language
import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
AREAS = {
    "kernel": ("kernel/",),
    "registry": ("registry/",),
    "pages": (
        "docs/",
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "THREATS.md",
        ".github/",
    ),
    "plugins": ("plugins/README.md",),
    "examples": ("configs/", "examples/", "benchmarks/"),
    **{name: (f"plugins/{name}/",) for name in PLUGINS},
}


@pytest.fixture(scope="module")
def found():
    return language.hits(ROOT)


@pytest.mark.parametrize("area", AREAS)
def test_the_texts_keep_to_the_word_list(area, found):
    hits = [one for one in found if one.text.file.as_posix().startswith(AREAS[area])]
    assert [str(one) for one in hits] == []


def test_every_text_is_in_an_area():
    known = tuple(start for starts in AREAS.values() for start in starts)
    strays = {one.file for one in language.texts(ROOT) if not str(one.file).startswith(known)}
    assert strays == set()


def test_the_list_is_read_from_the_page_and_has_an_alternative_for_each_word():
    words = language.words(ROOT)
    assert {"told", "mend*", "whose turn", "at once"} <= set(words)
    assert len(set(words)) == len(words) > 25
    page = (ROOT / language.STYLE).read_text("utf-8")
    for word in words:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {word} |"))
        assert row.split("|")[2].strip()


@pytest.fixture
def house(tmp_path):
    """A small repository with the word list and nothing wrong."""
    (tmp_path / "docs/develop").mkdir(parents=True)
    shutil.copy(ROOT / language.STYLE, tmp_path / "docs/develop")
    assert language.hits(tmp_path) == []
    return tmp_path


CODE = "kernel/specloom/one.py"
WRONG = {
    "a message": (CODE, 'raise DataError("the file was asked for")', "asked"),
    "a part of a formatted message": (CODE, 'what = f"{path} is told twice"', "told"),
    "a message of several lines": (CODE, 'WORDS = """Good\n\nthen wishes for more."""', "wishes"),
    "the help of an option": (CODE, 'click.option("--x", help="Tell more of it.")', "tell"),
    "the help of a command": (CODE, '@click.command()\ndef a():\n    """Ask it again."""', "ask"),
    "the help of a group": (CODE, '@cli.group("b")\ndef b():\n    """Mend it all."""', "mend"),
    "a plugin": ("plugins/rx/specloom_rx/a.py", 'fix = "the cure is simple"', "cure"),
    "a page": ("docs/page.md", "It is done anew.", "anew"),
    "two words": ("docs/page.md", "See whose turn it is.", "whose turn"),
    "a README": ("plugins/rx/README.md", "Nobody reads it.", "nobody"),
    "a run file": ("configs/a.yaml", "# settles it\nspecloom: 1", "settles"),
    "a template": ("registry/specloom_registry/commands/plugin_template/a.md.in", "told", "told"),
    "a form for issues": (".github/ISSUE_TEMPLATE/bug.yml", "name: what was asked", "asked"),
}


@pytest.mark.parametrize(("file", "text", "word"), WRONG.values(), ids=WRONG)
def test_a_word_of_the_list_is_found(house, file, text, word):
    (house / file).parent.mkdir(parents=True, exist_ok=True)
    (house / file).write_text(text)
    (hit,) = language.hits(house)
    assert hit.word == word
    assert str(hit).startswith(f"{file}:")


RIGHT = {
    "names": (CODE, "asked = told(wishes['kept'])"),
    "keys": (CODE, 'value = record["told"]'),
    "docstrings of functions": (CODE, 'def a():\n    """Ask it again."""'),
    "part of a word": ("docs/page.md", "It is retold by the masked, untold."),
    "code spans": ("docs/page.md", "The metric `left out` and `told`."),
    "code blocks": ("docs/page.md", "```text\nit was told\n```"),
    "changelogs": ("plugins/rx/CHANGELOG.md", "- `told` is `as_text`: it told too much."),
}


@pytest.mark.parametrize(("file", "text"), RIGHT.values(), ids=RIGHT)
def test_what_no_user_reads_is_not_looked_at(house, file, text):
    (house / file).parent.mkdir(parents=True, exist_ok=True)
    (house / file).write_text(text)
    assert language.hits(house) == []


def test_docstrings_are_read_where_they_are_wanted(house, capsys):
    (house / CODE).parent.mkdir(parents=True)
    (house / CODE).write_text('def a():\n    """Ask it again."""')
    assert language.main(["--root", str(house)]) == 0
    assert capsys.readouterr().out == ""
    assert language.main(["--root", str(house), "--docstrings", "kernel"]) == 1
    assert capsys.readouterr().out == f"{CODE}:2: ask: Ask it again.\n"


def test_a_page_without_the_table_is_an_error(house):
    (house / language.STYLE).write_text("# Style\n")
    with pytest.raises(ValueError, match="has no table"):
        language.words(house)
