"""Versions, ranges and requirements are those of the ``packaging`` library."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import InvalidMarker, Marker
from packaging.requirements import Requirement as Known
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version as KnownVersion

from specloom_registry.model import requirements
from specloom_registry.model.versions import Version, allows, newest

number = st.sampled_from(["0", "1", "2", "10"])
VERSIONS = st.builds(
    lambda epoch, release, pre, post, dev, local: (
        epoch + ".".join(release) + pre + post + dev + local
    ),
    st.sampled_from(["", "", "1!"]),
    st.lists(number, min_size=1, max_size=3),
    st.sampled_from(["", "", "a1", "rc2", "b0", ".alpha.1", "-preview3", "c1"]),
    st.sampled_from(["", "", ".post1", "-2", "post", ".rev3"]),
    st.sampled_from(["", "", ".dev0", "dev3"]),
    st.sampled_from(["", "", "", "+cpu", "+1.a", "+cu12_6"]),
)


@given(VERSIONS, VERSIONS)
@settings(deadline=None)
def test_the_order_is_that_of_packaging(one, two):
    known = KnownVersion(one), KnownVersion(two)
    assert (Version(one).key < Version(two).key) == (known[0] < known[1])
    assert (Version(one).key == Version(two).key) == (known[0] == known[1])
    assert Version(one).is_prerelease == known[0].is_prerelease


@given(VERSIONS, st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "~=", "==="]), VERSIONS)
@settings(deadline=None, max_examples=400)
def test_ranges_are_those_of_packaging(version, operator, bound):
    wanted = bound if operator in ("==", "!=", "===") else bound.partition("+")[0]
    try:
        expected = SpecifierSet(operator + wanted).contains(version, prereleases=True)
    except InvalidSpecifier:
        return
    assert allows(operator + wanted, version) == expected


@pytest.mark.parametrize("text", ["", "x", "1.x", "1..2", "1-", "1+", ">=1"])
def test_what_is_no_version_is_refused(text):
    with pytest.raises(ValueError, match="is no version"):
        Version(text)


def test_stars_and_several_clauses():
    assert allows(">=1.2, !=1.3.*, <2", "1.4")
    assert not allows(">=1.2, !=1.3.*, <2", "1.3.5")
    assert newest({"a": "1.0", "b": "1.10", "c": "2.0rc1"}) == "b"
    assert newest({"c": "2.0rc1"}) == "c"
    assert newest({}) is None


REQUIREMENTS = [
    "numpy",
    "numpy>=1.26",
    "Typing_Extensions >=4, <5",
    "a[x, y]~=1.0",
    "a (>=1)",
    "a>=1; python_version < '3.12'",
    "a ; sys_platform == 'linux' and (os_name == 'nt' or python_version >= '3.9')",
    "a; extra == 'gpu'",
    "a; 'linux' in sys_platform",
    "a; platform_machine not in 'x y'",
]


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_requirements_are_read_as_packaging_reads_them(text):
    found, known = requirements.parse(text), Known(text)
    assert found.name == requirements.normal(known.name)
    assert set(found.extras) == known.extras
    assert SpecifierSet(found.ranges) == known.specifier
    here = {**requirements.environment(), "extra": "gpu"}
    assert found.applies(here) == (known.marker is None or known.marker.evaluate(here))


@pytest.mark.parametrize(
    "text", ["", "-e .", "a b", "a @ https://x.org/a", "a>=", "a>=1,,x", "a=1"]
)
def test_what_is_no_requirement_is_refused(text):
    with pytest.raises(ValueError, match=r"requirement|URL|range|version"):
        requirements.parse(text)


@pytest.mark.parametrize(
    "marker", ["os", "os_name = 'nt'", "nothing == 'x'", "os_name == f()", "("]
)
def test_what_is_no_marker_is_refused(marker):
    with pytest.raises(InvalidMarker):
        Marker(marker)
    with pytest.raises(ValueError, match="marker"):
        requirements.parse(f"a; {marker}").applies(requirements.environment())


def test_the_environment_is_that_of_packaging():
    from packaging.markers import default_environment

    mine = requirements.environment()
    assert {key: mine[key] for key in default_environment()} == default_environment()
