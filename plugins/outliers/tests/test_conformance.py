from specloom.testing import parametrize_with_checks


@parametrize_with_checks("outliers")
def test_conformance(check):
    check()
