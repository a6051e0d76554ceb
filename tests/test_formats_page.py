"""The page of formats says what is read, and other readers give the same values."""

from pathlib import Path

import pytest

pytest.importorskip("pycocotools")
import formats_page

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
ROOT = Path(__file__).parents[1]
MOST_LINES = 150


@pytest.fixture(scope="module")
def lines():
    return formats_page.lines()


def test_the_page_is_what_the_tool_writes(lines):
    """Every value on it was compared with those of the readers that it names."""
    page = (ROOT / formats_page.PAGE).read_text("utf-8")
    assert page == formats_page.page(lines), "run: python tools/formats_page.py"
    assert len(page.splitlines()) <= MOST_LINES


def test_the_table_has_every_format_and_every_reader(lines):
    formats = {line.name.partition(" ")[0] for line in lines}
    assert formats >= {"ENVI", "MATLAB", "HDF5", "netCDF-4", "GeoTIFF", "TIFF", "NPY", "NPZ"}
    assert formats >= {"band", ".cu3s", "CSV", "PNG", "COCO"}
    readers = {reader for line in lines for reader in line.agree.split(", ") if reader}
    assert readers == {"GDAL", "SPy", "tifffile", "h5py", "SciPy", "NumPy", "pycocotools"}
    for line in lines:
        assert line.where, line
        assert line.read, line


def test_a_value_that_another_reader_does_not_give_is_found(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sample = formats_page.npy()
    sample.references = {"cube": [("another", formats_page.CUBE + 1)]}
    with pytest.raises(AssertionError, match=r"cube\.npy: cube, another"):
        list(formats_page.lines_of(sample))


def test_the_pages_lead_to_it():
    for page in ("docs/your-own-cubes.md", "plugins/cubes/README.md"):
        assert "reference/formats.md" in (ROOT / page).read_text("utf-8")
