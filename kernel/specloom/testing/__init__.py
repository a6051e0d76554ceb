"""Conformance kit: hold everything that a plugin offers to the kernel's rules.

A plugin's whole test file may be::

    from specloom.testing import parametrize_with_checks

    @parametrize_with_checks("rx")
    def test_conformance(check):
        check()

A node's class may help with ``example`` (the parameters to make one, or a function that gives
them) and ``example_batch(sizes)``, a static method that gives arrays where random ones will not
do. The other functions here make nodes and batches for a plugin's own tests.
"""

from specloom.testing.applying import checks_of, failures_of
from specloom.testing.collecting import checks_of_plugin, parametrize_with_checks
from specloom.testing.comparing import difference
from specloom.testing.driving import fit, fit_shares, needs_fit, run
from specloom.testing.making import batch_for, built, cut, example, fit_batches, fitted, sizes_for

__all__ = [
    "batch_for",
    "built",
    "checks_of",
    "checks_of_plugin",
    "cut",
    "difference",
    "example",
    "failures_of",
    "fit",
    "fit_batches",
    "fit_shares",
    "fitted",
    "needs_fit",
    "parametrize_with_checks",
    "run",
    "sizes_for",
]
