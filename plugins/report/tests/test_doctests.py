"""The examples in the documentation of functions."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "collecting.held_cube",
    "collecting.image_spectra",
    "collecting.thumbnails",
    "colours",
    "graphs.description",
    "graphs.text_formats",
    "page.rendering",
    "page.tables",
    "page.wording",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name):
    found = doctest.testmod(import_module(f"specloom_report.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
