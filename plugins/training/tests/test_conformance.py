"""The kernel's conformance kit on everything that this plugin offers."""

from specloom.testing import parametrize_with_checks


@parametrize_with_checks("training")
def test_conformance(check):
    check()
