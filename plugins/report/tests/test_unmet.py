"""What ``doctor`` makes of warnings that plugins give when they are imported."""

from specloom_report.diagnostics import checks


def test_a_requirement_that_is_not_met_is_broken():
    message = "W-REQUIRES zz needs numpy<2, but 2.4 is used; install what it needs"
    found = checks._check_warning("zz", message)
    assert (found.name, found.state) == ("zz", checks.BROKEN)
    assert found.said == "W-REQUIRES zz needs numpy<2, but 2.4 is used"
    assert found.fix == "install what it needs"


def test_other_warnings_are_notes():
    found = checks._check_warning("zz", "W-LOCAL-CHANGED zz: a -> b (edited after it was locked)")
    assert (found.state, found.fix) == (checks.NOTE, "")
