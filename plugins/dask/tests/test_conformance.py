from specloom.testing import parametrize_with_checks


@parametrize_with_checks("dask")
def test_conformance(check):
    check()
