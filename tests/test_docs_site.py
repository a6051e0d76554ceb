"""The pages of the site: made from the documentation and the code; ``make docs`` builds them."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import markdown
import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "tools/docs_site.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_site"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    site.main(folder)
    return folder / "pages"


def test_every_page_of_the_documentation_is_in_the_navigation(site):
    listed = {page.source for page in site._listed(yaml.safe_load(site.NAVIGATION.read_text()))}
    written = {str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md")}
    assert written <= listed
    assert all((ROOT / path).is_file() for path in listed)


def test_links_lead_to_pages_of_the_site(pages):
    found = 0
    for page in pages.rglob("*.md"):
        if "reference/python" in str(page):
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / target).is_file(), f"{page}: {target}"
                found += 1
    assert found > 50
    (image,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (pages / "index.md").read_text("utf-8"))
    assert (pages / image).is_file()


def test_links_to_files_that_are_no_pages_are_their_paths(site):
    page = site.Page("Start", "README.md", "index.md")
    pages = {"docs/first-run.md": site.Page("First run", "docs/first-run.md", "first-run.md")}
    text = (
        "[first](docs/first-run.md#set-up), [code](kernel/specloom), [pip](https://pip.pypa.io)\n"
    )
    expected = (
        "[first](first-run.md#set-up), code (`kernel/specloom`), [pip](https://pip.pypa.io)\n"
    )
    assert site.with_links_of_the_site(text, page, pages) == expected
    code = "```text\n[first](docs/first-run.md)\n```\n"
    assert site.with_links_of_the_site(code, page, pages) == code


def test_every_node_has_a_text_and_every_parameter_a_row(pages):
    rows = 0
    for file in ROOT.glob("plugins/*/specloom_*/nodes.json"):
        for name, one in json.loads(file.read_text("utf-8")).items():
            if one["kind"] == "commands":
                continue
            plugin = file.parents[1].name
            text = (pages / f"reference/nodes/{plugin}.md").read_text("utf-8")
            part = text.partition(f"## {plugin}.{name}\n")[2].partition("\n## ")[0]
            assert part.strip()
            for parameter in one["params"]:
                assert f"\n| `{parameter}` | " in part
                rows += 1
    assert rows > 100


def test_the_page_of_commands_has_their_help_texts(pages):
    text = (pages / "reference/commands.md").read_text("utf-8")
    for name in ("run", "predict", "plugins add", "weights fetch"):
        assert f"\n## specloom {name}\n" in text
        assert f"Usage: specloom {name} [OPTIONS]" in text


def test_the_python_reference_names_every_plugin(pages):
    for file in ROOT.glob("plugins/*/pyproject.toml"):
        package = f"specloom_{file.parent.name}"
        text = (pages / f"reference/python/{package}.md").read_text("utf-8")
        assert f"::: {package}\n" in text


@pytest.mark.soak
def test_make_docs_builds_the_site_without_a_warning():
    done = subprocess.run(
        ["make", "docs"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    index = (ROOT / "build/site/html/index.html").read_text("utf-8")
    assert "specloom" in index
    assert "https://fonts" not in index


def test_a_bar_in_a_cell_ends_no_cell(site):
    ports = {"scores": {"axes": "B H W 1", "unit": "1", "doc": "Log |x| or `a | b`."}}
    params = {"mode": {"enum": ["a|b", "c"]}, "sign": {"default": "|"}}
    lines = [*site._ports("Inputs", ports), *site._parameters(params, [], {"mode": "One of a|b."})]
    html = markdown.markdown("\n".join(lines), extensions=["tables"])
    counts = [row.count("<td>") for row in html.split("<tr>")]
    assert counts == [0, 0, 5, 0, 4, 4]
    assert "<td>Log |x| or <code>a | b</code>.</td>" in html
