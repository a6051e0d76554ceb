from specloom.testing import parametrize_with_checks


@parametrize_with_checks("mrmr")
def test_conformance(check):
    check()
