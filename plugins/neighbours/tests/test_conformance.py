from specloom.testing import parametrize_with_checks


@parametrize_with_checks("neighbours")
def test_conformance(check):
    check()
