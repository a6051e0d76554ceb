import subprocess
import sys

import pytest

import specloom_statistics


@pytest.mark.parametrize("name", specloom_statistics.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(specloom_statistics, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'specloom_statistics' has no attribute 'Momentum'"):
        specloom_statistics.Momentum  # noqa: B018  # the access is the test


def test_the_import_of_the_package_loads_no_torch():
    code = "import sys, specloom_statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
