"""Versions, ranges and requirements as PEP 440 and PEP 508 define them."""

from importlib import metadata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from specloom_registry.model import requirements
from specloom_registry.model.versions import allows, newest, parse_range, parse_version
from specloom_registry.packages import unmet
from specloom_registry.packages.compatibility import is_satisfiable

#: From the section "Summary of permitted suffixes and relative ordering" of PEP 440.
ORDER = """
1.dev0 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456
1.0b2.post345 1.0rc1.dev456 1.0rc1 1.0 1.0+abc.5 1.0+abc.7 1.0+5 1.0.post456.dev34 1.0.post456
1.0.15 1.1.dev1 1!0.1
"""


def test_versions_are_ordered_as_pep_440_says():
    versions = ORDER.split()
    backwards = versions[::-1]
    assert sorted(backwards, key=parse_version) == versions
    assert parse_version("1.0-C1") == parse_version("1.0.0rc1")


@pytest.mark.parametrize("text", ["", "x", "1.x", "1..2", "1-", "1+", ">=1"])
def test_malformed_versions_are_refused(text):
    with pytest.raises(ValueError, match=r"is not a version$"):
        parse_version(text)


@pytest.mark.parametrize("text", ["x", ">=", ">=1,,x", "=1", ">=1 <2", "~=1", ">=\uff11"])
def test_malformed_ranges_are_refused(text):
    with pytest.raises(ValueError, match=r"is not a version range$"):
        parse_range(text)
    with pytest.raises(ValueError, match=r"is not a version range$"):
        allows(text, "1.0")


@pytest.mark.parametrize(
    ("range_", "good", "bad"),
    [
        ("", "0 1.0a1 2!3", ""),
        (">=1.2, !=1.3.*, <2", "1.2 1.4 1.99", "1.1 1.3 1.3.5 2 2.0rc1"),
        ("~=1.4.2", "1.4.2 1.4.9", "1.4.1 1.5"),
        ("==1.1", "1.1.0 1.1+cpu", "1.1.post1 1.1a1"),
        ("==1.1+cpu", "1.1+cpu", "1.1"),
        (">1.7", "1.7.1 1.8.dev0", "1.7 1.7.0.post1 1.7+local"),
        ("===1.0-x", "1.0-x", "1.0"),
        (">=1.0a1", "1.0a1 1.0rc1", "1.0.dev0"),
        (">=1", "1.0", "\uff11.0"),
    ],
)
def test_ranges_allow_what_pep_440_says(range_, good, bad):
    assert [version for version in good.split() if not allows(range_, version)] == []
    assert [version for version in bad.split() if allows(range_, version)] == []


def test_the_newest_is_a_pre_release_only_if_all_are():
    assert newest({"a": "1.0", "b": "1.10", "c": "2.0rc1"}) == "b"
    assert newest({"c": "2.0rc1", "b": "2.0b1"}) == "c"
    assert newest({"first": "1.0", "second": "1.0.0"}) == "second"
    assert newest({}) is None


clauses = st.tuples(
    st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "~="]),
    st.lists(st.sampled_from("0129"), min_size=2, max_size=3).map(".".join),
).map("".join)


@given(st.lists(clauses, min_size=1, max_size=3))
@settings(deadline=None)
def test_ranges_that_no_version_meets_are_found(specifiers):
    assert is_satisfiable(specifiers) != SpecifierSet(",".join(specifiers)).is_unsatisfiable()


@pytest.mark.parametrize(
    ("text", "name", "specifier"),
    [
        ("numpy", "numpy", ""),
        ("numpy>=1.26", "numpy", ">=1.26"),
        ("Typing_Extensions >=4, <5", "typing-extensions", ">=4,<5"),
        ("  a[x, y] ~= 1.0 ", "a", "~=1.0"),
        ("a (>=1, !=2)", "a", ">=1,!=2"),
        ("zope.interface<6,>=5; python_version >= '3.9'", "zope-interface", "<6,>=5"),
    ],
)
def test_requirements_keep_their_clauses_in_order(text, name, specifier):
    found = requirements.parse(text)
    assert (found.name, found.specifier, found.text) == (name, specifier, text.strip())
    assert found.applies()


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("python_version < '3.12'", True),
        ("python_version < '3.9'", False),
        ("python_version >= '3.9' and (sys_platform == 'nowhere' or os_name != 'x')", True),
        ("'nowhere' in sys_platform", False),
        ("platform_machine not in 'x y'", True),
        ("extra == 'gpu'", False),
    ],
)
def test_markers_are_evaluated_for_this_interpreter(marker, holds):
    assert requirements.parse(f"a; {marker}").applies() is holds


def test_markers_are_evaluated_for_an_extra():
    assert requirements.parse("a; extra == 'gpu'").applies("gpu")
    assert not requirements.parse("a; extra == 'gpu'").applies("docs")


@pytest.mark.parametrize("text", ["", "-e .", "a b", "a>=", "a>=1,,x", "a=1", "a\n", "a>=\uff11"])
def test_malformed_requirements_are_refused(text):
    with pytest.raises(ValueError, match="is not a requirement: "):
        requirements.parse(text)


def test_a_requirement_by_url_is_refused():
    with pytest.raises(ValueError, match=r"^'a @ https://x\.org/a' names a URL$"):
        requirements.parse("a @ https://x.org/a")


@pytest.mark.parametrize(
    "marker", ["os", "os_name = 'nt'", "nothing == 'x'", "os_name == f()", "("]
)
def test_malformed_markers_are_refused(marker):
    with pytest.raises(ValueError, match="is not a requirement: Expected "):
        requirements.parse(f"a; {marker}")


RANGES = ("", ">=1", ">=1.0,<2", "<1.0", "!=1", "==1.0.0", ">1.0", "<=1", ">= 1", "==1.*", "~=1.0")
RELEASES = ("1", "1.0", "1.0.0", "0.9", "2", "1.1", "10", "1.0+cpu", "2.0+cu1", "0", "1.0rc1")


@pytest.mark.parametrize("text", RANGES)
def test_plain_ranges_allow_what_packaging_allows(text):
    for version in RELEASES:
        expected = SpecifierSet(text).contains(version, prereleases=True)
        assert allows(text, version) == expected, version


@pytest.mark.parametrize(
    "text",
    [
        *("numpy", " numpy ", "numpy>=1.26", "numpy >=1.26,<3", "Py_YAML==6.0", "a.b-c!=1,<2"),
        *("numpy>=1.26; python_version<'4'", "numpy[x]>=1", "numpy~=1.4", "numpy==1.*"),
    ],
)
def test_requirements_are_read_as_packaging_reads_them(text):
    read = requirements.parse(text)
    parsed = Requirement(text)
    assert read.name == requirements.normalize_name(parsed.name)
    assert SpecifierSet(read.specifier) == parsed.specifier
    assert read.text == text.strip()
    assert (read.marker is None) == (parsed.marker is None)


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "a >", "not one!", "a>=", "a,b", "a>=1,,<2", "a>1;"]
)
def test_what_is_no_requirement_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a requirement"):
        requirements.parse(text)


def test_the_version_of_an_installed_package_is_that_of_its_metadata():
    for name in ("numpy", "torch", "click", "pyyaml", "specloom"):
        assert unmet._installed_version(name) == metadata.version(name)
    assert unmet._installed_version("no-such-package") is None
