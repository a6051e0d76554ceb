"""Names of version 0.1 go on working in 0.2, with a warning."""

import pytest

import specloom


@pytest.mark.parametrize(("old", "new"), specloom.OLD_NAMES.items())
def test_an_old_name_gives_the_present_object_and_warns(old, new):
    with pytest.warns(specloom.SpecloomWarning) as caught:
        found = getattr(specloom, old)
    assert found is getattr(specloom, new)
    assert new in specloom.__all__
    assert old not in specloom.__all__
    (message,) = [str(one.message) for one in caught]
    assert message == f"specloom.{old} is called specloom.{new} now; the old name goes in 0.3"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Kepes'"):
        getattr(specloom, "Kepes")  # noqa: B009  # a checker would know that it is not there
