"""The page of what is read from files of each format, made from files that are written for it.

``python tools/formats_page.py`` writes docs/reference/formats.md; tests/test_formats_page.py holds
it up to date. Every value that another reader gives too is compared with that reader's.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias

import h5py
import numpy as np
import rasterio
import scipy.io
import tifffile
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from specloom import SpecloomError
from specloom_cubes import open_cube
from specloom_cubes.command import info
from specloom_cubes.masks import own_mask, read_mask
from specloom_cubes.wavelengths import read_wavelengths, table_notes

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/reference/formats.md")

ROWS = 4
COLUMNS = 3
BANDS = 5
CUBE = 10 + np.arange(ROWS * COLUMNS * BANDS, dtype=np.uint16).reshape(ROWS, COLUMNS, BANDS)
CUBE[0, 0] = 0
NO_DATA = 0
CENTRES = np.array([400.5, 450.5, 500.5, 550.5, 600.5])
GAIN = 0.5
OFFSET = 2.0
MASK = np.zeros((ROWS, COLUMNS), np.uint8)
MASK[1, :2] = 1
TRANSFORM = (30.0, 0.0, 300000.0, 0.0, -30.0, 5800000.0)
EPSG = 32633

HEAD = """\
# Formats

What is read from files of each format, from where, and what is reported. This page is generated:
`python tools/formats_page.py` writes a file of each format, reads it, and compares every value with
those of the readers in the last column. All cubes have 4 rows, 3 columns and 5 bands with centres
from 400.5 to 600.5 nm. "Reported" is what `specloom info` says of the file; where a file states
less, of a file that does not state it. Rules and options are in
[plugins/cubes/README.md](../../plugins/cubes/README.md).
"""

Array: TypeAlias = NDArray[Any]
Reference: TypeAlias = tuple[str, Any]
"""The name of another reader, and what it gives."""

LABELS = {
    "cube": "size",
    "axes": "assumed",
    "wavelengths": "wavelengths",
    "units": "assumed",
    "scale": "scale",
    "nodata": "no data",
    "mask": "mask",
    "georeference": "georeference",
}
"""The lines of ``specloom info`` that report each item."""

STATED_ELSEWHERE = {"axes": "bare", "units": "um"}
"""Items that are reported of a file that does not state them: what that file is called."""


@dataclass
class Sample:
    """Files of one format, and what other readers give of them.

    Args:
        name: The format.
        full: The file that states everything that the format can.
        where: Where it states each item; an item that is not there is not read.
        references: What other readers give for an item.
        bare: A file of the same cube that states nothing.
        um: A file whose band centres are micrometres without a unit.
        variable: The array that is the cube.
    """

    name: str
    full: Path
    where: Mapping[str, str]
    references: Mapping[str, list[Reference]] = field(default_factory=dict)
    bare: Path | None = None
    um: Path | None = None
    variable: str | None = None


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    name: str
    item: str
    where: str
    read: str
    reported: str
    agree: str = ""

    def __str__(self) -> str:
        cells = [self.name, self.item, self.where, self.read, self.reported, self.agree]
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


# --- ENVI ------------------------------------------------------------------------------------

SIZES = f"samples = {COLUMNS}\nlines = {ROWS}\nbands = {BANDS}\ndata type = 12\n"
MAP_INFO = "map info = {UTM, 1, 1, 300000, 5800000, 30, 30, 33, North, WGS-84, units=Meters}\n"


def write_envi(name: str, fields: str) -> Path:
    """An ENVI pair with these further fields."""
    Path(f"{name}.img").write_bytes(CUBE.transpose(2, 0, 1).astype("<u2").tobytes())
    path = Path(f"{name}.hdr")
    path.write_text(f"ENVI\n{SIZES}{fields}")
    return path


def envi() -> Sample:
    """An ENVI pair."""
    texts = [f"{value:g}" for value in CENTRES]
    gains = ", ".join([f"{GAIN:g}"] * BANDS)
    offsets = ", ".join([f"{OFFSET:g}"] * BANDS)
    order = "interleave = bsq\nbyte order = 0\n"
    full = write_envi(
        "full",
        f"{order}wavelength = {{{', '.join(texts)}}}\nwavelength units = Nanometers\n"
        f"data gain values = {{{gains}}}\ndata offset values = {{{offsets}}}\n"
        f"data ignore value = {NO_DATA}\n{MAP_INFO}",
    )
    Image.fromarray(MASK).save("full.png")
    micrometres = ", ".join(f"{value / 1e3:g}" for value in CENTRES)
    with rasterio.open("full.img") as file:
        array = file.read().transpose(1, 2, 0)
        physical = array * np.array(file.scales) + np.array(file.offsets)
        place = tuple(file.transform)[:6]
        no_data = file.nodata
    spectral = _spectral(full)
    return Sample(
        "ENVI",
        full,
        {
            "cube": "the data file beside the header",
            "axes": "`interleave`",
            "wavelengths": "`wavelength`, or `center wavelengths`, `band names` …",
            "units": "`wavelength units`",
            "scale": "`data gain values`, `data offset values`; `reflectance scale factor`",
            "nodata": "`data ignore value`",
            "mask": "a file of the cube's name",
            "georeference": "`map info`, `coordinate system string`",
        },
        {
            "cube": [("GDAL", array), ("SPy", np.asarray(spectral.open_memmap()))],
            "wavelengths": [("SPy", spectral.bands.centers)],
            "scale": [("GDAL", physical)],
            "nodata": [("GDAL", no_data)],
            "georeference": [("GDAL", place)],
        },
        bare=write_envi("bare", ""),
        um=write_envi("um", f"{order}wavelength = {{{micrometres}}}\n"),
    )


def _spectral(header: Path) -> Any:
    """The image that SPy opens."""
    import spectral.io.envi

    return spectral.io.envi.open(str(header))


# --- MATLAB ----------------------------------------------------------------------------------


def matlab5() -> Sample:
    """A MATLAB file up to version 7."""
    scipy.io.savemat("full5.mat", {"data": CUBE, "map": MASK, "wavelength": CENTRES})
    scipy.io.savemat("bare5.mat", {"data": CUBE})
    scipy.io.savemat("um5.mat", {"data": CUBE, "wavelength": CENTRES / 1e3})
    read = scipy.io.loadmat("full5.mat")
    return Sample(
        "MATLAB 5",
        Path("full5.mat"),
        {
            "cube": "the only array with three axes, fields of structs (`hcube/DataCube`)",
            "axes": "the length of the band centres; `axes:`",
            "wavelengths": "a vector of such a name: `wavelengths`, `wl`, `hcube/Wavelength` …",
            "units": "the name (`wavelength_um`), or else what the numbers can be",
            "mask": "the only plane of class numbers",
        },
        {
            "cube": [("SciPy", read["data"])],
            "wavelengths": [("SciPy", read["wavelength"].ravel())],
            "mask": [("SciPy", read["map"])],
        },
        bare=Path("bare5.mat"),
        um=Path("um5.mat"),
    )


def write_matlab73(name: str, arrays: Mapping[str, Array]) -> Path:
    """A file as MATLAB 7.3 writes it: HDF5 with reversed axes behind a block of text."""
    path = Path(f"{name}.mat")
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, values in arrays.items():
            data = file.create_dataset(key, data=np.ascontiguousarray(values.T))
            kinds = {"uint16": "uint16", "uint8": "uint8", "float64": "double"}
            data.attrs["MATLAB_class"] = np.bytes_(kinds[values.dtype.name])
    with path.open("r+b") as start:
        start.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    return path


def matlab73() -> Sample:
    """A MATLAB 7.3 file."""
    centres = CENTRES[None]
    full = write_matlab73("full73", {"data": CUBE, "map": MASK, "wavelength": centres})
    with h5py.File(full) as file:
        array = file["data"][()].T
        mask = file["map"][()].T
    return Sample(
        "MATLAB 7.3",
        full,
        {
            "cube": "as above, from HDF5, with the axes turned back",
            "axes": "as above",
            "wavelengths": "as above",
            "units": "as above",
            "mask": "as above",
        },
        {"cube": [("h5py", array)], "mask": [("h5py", mask)]},
        bare=write_matlab73("bare73", {"data": CUBE}),
        um=write_matlab73("um73", {"data": CUBE, "wavelength": centres / 1e3}),
    )


# --- HDF5 and netCDF-4 -----------------------------------------------------------------------


def hdf5() -> Sample:
    """An HDF5 file."""
    with h5py.File("full.h5", "w") as file:
        data = file.create_dataset("cube", data=CUBE)
        data.attrs.update(scale_factor=GAIN, add_offset=OFFSET, _FillValue=np.uint16(NO_DATA))
        data.attrs["GeoTransform"] = "300000 30 0 5800000 0 -30"
        data.attrs["spatial_ref"] = f"EPSG:{EPSG}"
        data.attrs["interleave"] = "bip"
        file["mask"] = MASK
        file["wavelength"] = CENTRES
        file["wavelength"].attrs["units"] = "nm"
    for name, factor in (("bare", 0.0), ("um", 1e-3)):
        with h5py.File(f"{name}.h5", "w") as file:
            file["cube"] = CUBE
            if factor:
                file["wavelength"] = CENTRES * factor
    with h5py.File("full.h5") as file:
        array = file["cube"][()]
        centres = file["wavelength"][()]
        mask = file["mask"][()]
    return Sample(
        "HDF5",
        Path("full.h5"),
        {
            "cube": "the dataset of a known product, or the only one with three axes",
            "axes": "`interleave`, names of the axes, known products",
            "wavelengths": "attributes, datasets, columns of tables, the nearest first",
            "units": "`units` of the vector, or its name",
            "scale": "`scale_factor`, `add_offset`; NEON's `Scale_Factor`, PRISMA's limits",
            "nodata": "`_FillValue`, `Data_Ignore_Value`, `missing_value`, `nodata`",
            "mask": "the only plane of class numbers",
            "georeference": "`GeoTransform`, `spatial_ref`; EMIT, NEON, HDF-EOS grids",
        },
        {
            "cube": [("h5py", array)],
            "wavelengths": [("h5py", centres)],
            "mask": [("h5py", mask)],
        },
        bare=Path("bare.h5"),
        um=Path("um.h5"),
    )


def netcdf() -> Sample:
    """A netCDF-4 file of the CF conventions."""
    with h5py.File("full.nc", "w") as file:
        data = file.create_dataset("reflectance", data=CUBE.transpose(2, 0, 1))
        data.attrs.update(scale_factor=GAIN, add_offset=OFFSET, _FillValue=np.uint16(NO_DATA))
        data.attrs["grid_mapping"] = np.bytes_("crs")
        vectors = {
            "wavelength": (CENTRES, "nm"),
            "y": (5800000 - 30 * (np.arange(ROWS) + 0.5), "m"),
            "x": (300000 + 30 * (np.arange(COLUMNS) + 0.5), "m"),
        }
        for axis, (name, (values, unit)) in enumerate(vectors.items()):
            file[name] = values
            file[name].attrs["units"] = np.bytes_(unit)
            file[name].make_scale(name)
            data.dims[axis].attach_scale(file[name])
        for name, standard in (("x", "projection_x_coordinate"), ("y", "projection_y_coordinate")):
            file[name].attrs["standard_name"] = np.bytes_(standard)
        file["crs"] = 0
        wkt = rasterio.CRS.from_epsg(EPSG).to_wkt()
        file["crs"].attrs["crs_wkt"] = np.bytes_(wkt)
        file["crs"].attrs["spatial_ref"] = np.bytes_(wkt)
        file["mask"] = MASK
    with rasterio.open('netcdf:"full.nc":reflectance') as opened:
        array = opened.read().transpose(1, 2, 0)
        physical = array * np.array(opened.scales) + np.array(opened.offsets)
        place = tuple(opened.transform)[:6]
        no_data = opened.nodata
    return Sample(
        "netCDF-4",
        Path("full.nc"),
        {
            "cube": "as HDF5",
            "axes": "the names of the dimensions",
            "wavelengths": "the coordinate of an axis, else as HDF5",
            "units": "`units` of the vector",
            "scale": "`scale_factor`, `add_offset`",
            "nodata": "`_FillValue`, `missing_value`",
            "mask": "the only plane of class numbers",
            "georeference": "`grid_mapping`, coordinates of rows and columns",
        },
        {
            "cube": [("GDAL", array)],
            "scale": [("GDAL", physical)],
            "nodata": [("GDAL", no_data)],
            "georeference": [("GDAL", place)],
        },
    )


# --- TIFF ------------------------------------------------------------------------------------


def write_geotiff(name: str, centres: Array | None, unit: str, *, whole: bool) -> Path:
    """A GeoTIFF by GDAL, with band centres as tags of the bands."""
    path = Path(f"{name}.tif")
    profile: dict[str, Any] = {"transform": rasterio.Affine(*TRANSFORM)}
    if whole:
        profile.update(crs=f"EPSG:{EPSG}", nodata=NO_DATA)
    with rasterio.open(path, "w", "GTiff", COLUMNS, ROWS, BANDS, dtype="uint16", **profile) as file:
        file.write(CUBE.transpose(2, 0, 1))
        if whole:
            file.scales = [GAIN] * BANDS
            file.offsets = [OFFSET] * BANDS
        for number, centre in enumerate([] if centres is None else centres, start=1):
            file.update_tags(number, wavelength=f"{centre:g}")
            if unit:
                file.update_tags(number, wavelength_units=unit)
    return path


def geotiff() -> Sample:
    """A GeoTIFF."""
    full = write_geotiff("full", CENTRES, "Nanometers", whole=True)
    Image.fromarray(MASK).save("full.png")
    with rasterio.open(full) as file:
        array = file.read().transpose(1, 2, 0)
        physical = array * np.array(file.scales) + np.array(file.offsets)
        place = tuple(file.transform)[:6]
        no_data = file.nodata
        centres = [float(file.tags(number)["wavelength"]) for number in file.indexes]
    return Sample(
        "GeoTIFF",
        full,
        {
            "cube": "the bands of the image",
            "axes": "its directory",
            "wavelengths": "tags of bands or file, ENVI and IMAGERY domains, descriptions, header",
            "units": "`wavelength_units`",
            "scale": "scales and offsets of the bands",
            "nodata": "the no-data value; a mask, an alpha band",
            "mask": "a file of the cube's name",
            "georeference": "the geographic keys",
        },
        {
            "cube": [("GDAL", array), ("tifffile", tifffile.imread(full))],
            "wavelengths": [("GDAL", centres)],
            "scale": [("GDAL", physical)],
            "nodata": [("GDAL", no_data)],
            "georeference": [("GDAL", place)],
        },
        um=write_geotiff("um", CENTRES / 1e3, "", whole=False),
    )


def tiff_pages() -> Sample:
    """A TIFF file of pages, as tifffile saves an array."""
    planes = CUBE.transpose(2, 0, 1)
    tifffile.imwrite("pages.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    tifffile.imwrite("bare.tif", planes, photometric="minisblack")
    array = tifffile.imread("pages.tif").transpose(1, 2, 0)
    return Sample(
        "TIFF of pages",
        Path("pages.tif"),
        {
            "cube": "pages of one band, or of one row (as tifffile saves an array)",
            "axes": "tifffile's and ImageJ's descriptions, a header beside it",
        },
        {"cube": [("tifffile", array)]},
        bare=Path("bare.tif"),
    )


# --- NumPy -----------------------------------------------------------------------------------


def npy() -> Sample:
    """A .npy file."""
    np.save("cube.npy", CUBE)
    np.save("cube_mask.npy", MASK)
    return Sample(
        "NPY",
        Path("cube.npy"),
        {"cube": "the array", "axes": "`axes:`", "mask": "a file of the cube's name"},
        {"cube": [("NumPy", np.load("cube.npy"))], "mask": [("NumPy", np.load("cube_mask.npy"))]},
        bare=Path("cube.npy"),
    )


def npz() -> Sample:
    """A .npz file."""
    np.savez("full.npz", cube=CUBE, wavelength=CENTRES, mask=MASK)
    np.savez("bare.npz", cube=CUBE)
    np.savez("um.npz", cube=CUBE, wavelength=CENTRES / 1e3)
    with np.load("full.npz") as read:
        array = read["cube"]
        centres = read["wavelength"]
        mask = read["mask"]
    return Sample(
        "NPZ",
        Path("full.npz"),
        {
            "cube": "the only array with three axes",
            "axes": "the length of the band centres; `axes:`",
            "wavelengths": "a vector of such a name",
            "units": "as MATLAB",
            "mask": "the only plane of class numbers",
        },
        {
            "cube": [("NumPy", array)],
            "wavelengths": [("NumPy", centres)],
            "mask": [("NumPy", mask)],
        },
        bare=Path("bare.npz"),
        um=Path("um.npz"),
    )


# --- band stacks -----------------------------------------------------------------------------


def stack() -> Sample:
    """A file for each band."""
    for number, centre in enumerate(CENTRES):
        with rasterio.open(
            f"band_{centre:g}nm.tif",
            "w",
            "GTiff",
            COLUMNS,
            ROWS,
            1,
            dtype="uint16",
            crs=f"EPSG:{EPSG}",
            transform=rasterio.Affine(*TRANSFORM),
            nodata=NO_DATA,
        ) as file:
            file.write(CUBE[..., number], 1)
            file.scales = [GAIN]
            file.offsets = [OFFSET]
        np.save(f"plain_{number}.npy", CUBE[..., number])
    planes = []
    for centre in CENTRES:
        with rasterio.open(f"band_{centre:g}nm.tif") as file:
            planes.append(file.read(1))
            place = tuple(file.transform)[:6]
    array = np.stack(planes, axis=-1)
    return Sample(
        "band stack",
        Path("band_*.tif"),
        {
            "cube": "the files of a pattern, one band each",
            "axes": "a file is a band, in the order of the centres, or of numbers in names",
            "wavelengths": "the files, or their names (`450nm`)",
            "scale": "the files",
            "nodata": "the files",
            "georeference": "the first file",
        },
        {
            "cube": [("GDAL", array)],
            "scale": [("GDAL", array * GAIN + OFFSET)],
            "nodata": [("GDAL", NO_DATA)],
            "georeference": [("GDAL", place)],
        },
        bare=Path("plain_*.npy"),
    )


CUBES: tuple[Callable[[], Sample], ...] = (
    *(envi, matlab5, matlab73, hdf5, netcdf, geotiff, tiff_pages, npy, npz, stack),
)


# --- .cu3s -----------------------------------------------------------------------------------


@contextmanager
def stand_in() -> Iterator[None]:
    """A stand-in of the camera maker's package, whose sessions have two measurements."""
    module = ModuleType("cuvis")
    image = SimpleNamespace(array=CUBE.astype(np.float32), wavelength=CENTRES.tolist())

    def session(path: str) -> Any:
        del path
        return SimpleNamespace(get_size=lambda: 2, get_measurement=lambda number: number)

    def context(opened: Any) -> Any:
        del opened
        return SimpleNamespace(apply=lambda number: SimpleNamespace(data={"cube": image}))

    vars(module).update(SessionFile=session, ProcessingContext=context)
    vars(module).update(ProcessingMode=SimpleNamespace(Reflectance="reflectance"))
    before = sys.modules.get("cuvis")
    sys.modules["cuvis"] = module
    try:
        yield
    finally:
        del sys.modules["cuvis"]
        if before is not None:
            sys.modules["cuvis"] = before


def cu3s_lines() -> list[Line]:
    """What is read of sessions, by a stand-in of the maker's package."""
    from specloom_cubes.sources import SingleCu3sDataModule

    Path("one.cu3s").write_bytes(b"")
    write_coco("one.json", [outline(1)], images=2)
    with stand_in():
        source = SingleCu3sDataModule(cu3s_file_path="one.cu3s", train_ids=[0], test_ids=[1])
        (batch,) = source.batches("train")
        said = source.describe("train")
    assert said is not None
    np.testing.assert_array_equal(batch["cube"][0], CUBE)
    np.testing.assert_array_equal(batch["mask"][0], MASK)
    np.testing.assert_array_equal(batch["wavelengths"], CENTRES.astype(np.float32))
    size = f"{ROWS} x {COLUMNS} x {BANDS} {batch['cube'].dtype}"
    name = ".cu3s (stand-in of `cuvis`)"
    reported = said.line()
    return [
        Line(name, "cube", "the measurements of the session", size, reported),
        Line(name, "axes", "the maker's package", "rows x columns x bands", ""),
        Line(name, "wavelengths", "the maker's package, nm", span(batch["wavelengths"]), ""),
        Line(name, "scale", "`processing_mode`", "values of the mode", ""),
        Line(name, "mask", "COCO, image `id` = measurement; one PNG, BMP, NPY", classes(MASK), ""),
    ]


# --- tables ----------------------------------------------------------------------------------

TABLES = {
    "`wavelength_nm`": ("band,wavelength_nm\n", "{n},{nm}\n", "."),
    "`;`, decimal commas, index column": ("Kanal;Wellenlänge [nm]\n", "{n};{nm}\n", ","),
    "micrometres in the heading": ("lambda [um]\n", "{um}\n", "."),
    "micrometres without a unit": ("wavelength\n", "{um}\n", "."),
    "no heading, one column": ("", "{nm}\n", "."),
    "decimal commas between commas": ("", "{nm}\n", ","),
    "band numbers": ("wavelength\n", "{n}\n", "."),
    "wave numbers": ("wavenumber\n", "{nm}\n", "."),
}
"""Tables by what they hold: the heading, the form of a row, the decimal mark."""


def table_lines() -> list[Line]:
    """What is read of tables of band centres."""
    np.save("of_tables.npy", CUBE)
    cube = open_cube("of_tables.npy")
    lines = []
    for what, (heading, form, decimal) in TABLES.items():
        text = heading
        for number, centre in enumerate(CENTRES, start=1):
            row = form.format(n=number, nm=f"{centre:g}", um=f"{centre / 1e3:g}")
            text += row.replace(".", decimal)
        Path("w.csv").write_text(text, "utf-8")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they are the notes that follow
                read = read_wavelengths("w.csv", cube)
        except SpecloomError as error:
            lines.append(Line("CSV table", "wavelengths", what, "error", first_line(error)))
        else:
            np.testing.assert_allclose(read, CENTRES)
            notes = "; ".join(table_notes("w.csv", cube)).replace("w.csv: ", "")
            lines.append(Line("CSV table", "wavelengths", what, span(read), notes))
    return lines


# --- pictures --------------------------------------------------------------------------------


def picture_lines() -> list[Line]:
    """What is read of pictures as masks."""
    levels = (MASK * 255).astype(np.uint8)
    colours = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    colours[MASK > 0] = (255, 0, 0)
    clear = np.zeros((ROWS, COLUMNS, 4), np.uint8)
    clear[MASK > 0] = (0, 0, 0, 255)
    indexed = Image.fromarray(MASK)
    indexed.putpalette([0, 0, 0, 0, 255, 0])
    resized = levels.copy()
    resized[0, 1] = 128
    pictures = {
        "class numbers as grey levels, `.png`": (Image.fromarray(MASK), "a.png"),
        "16 bits of grey, `.png`": (Image.fromarray(MASK.astype(np.uint16)), "b.png"),
        "a palette (black is 0), `.png`": (indexed, "c.png"),
        "one colour on black, `.png`": (Image.fromarray(colours), "d.png"),
        "opaque on transparent, `.png`": (Image.fromarray(clear), "e.png"),
        "0 and 255, `.bmp`": (Image.fromarray(levels), "f.bmp"),
        "one bit, `.bmp`": (Image.fromarray(levels).convert("1"), "g.bmp"),
        "0, 255 and greys between, `.png`": (Image.fromarray(resized), "h.png"),
        "`.jpg`": (Image.fromarray(levels), "i.jpg"),
    }
    lines = []
    for what, (picture, name) in pictures.items():
        picture.save(name)
        lines.append(mask_line("PNG and BMP", what, name, None))
    return lines


def mask_line(form: str, what: str, name: str, agree: Reference | None) -> Line:
    """What is read of a file as a mask, which another reader may give too."""
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            read = read_mask(name, (ROWS, COLUMNS))
    except SpecloomError as error:
        return Line(form, "mask", what, "error", first_line(error))
    reported = "; ".join(first_line(one.message) for one in notes)
    agreeing = ""
    if agree is not None:
        np.testing.assert_array_equal(read, agree[1], what)
        agreeing = agree[0]
    elif not notes:
        np.testing.assert_array_equal(read > 0, MASK > 0, what)
    return Line(form, "mask", what, classes(read), reported, agreeing)


# --- COCO ------------------------------------------------------------------------------------


def outline(category: int) -> dict[str, Any]:
    """An annotation of the pixels of the mask."""
    return {"image_id": 0, "category_id": category, "segmentation": [[0, 1, 2, 1, 2, 2, 0, 2]]}


def write_coco(name: str, annotations: list[dict[str, Any]], images: int = 1) -> None:
    """A COCO file."""
    listed = []
    for number in range(images):
        listed.append(
            {"id": number, "file_name": f"{number}.png", "height": ROWS, "width": COLUMNS}
        )
    categories = [{"id": 1, "name": "stone"}, {"id": 2, "name": "husk"}]
    values = {"images": listed, "annotations": annotations, "categories": categories}
    Path(name).write_text(json.dumps(values))


def coco_lines() -> list[Line]:
    """What is read of COCO files as masks, as pycocotools does."""
    from pycocotools import mask as coco_mask

    size = [ROWS, COLUMNS]
    runs = coco_mask.encode(np.asfortranarray(MASK))
    compressed = runs["counts"].decode()
    # The mask begins with a zero, so its runs by columns are: zeros, ones, zeros …
    plain = {"size": size, "counts": counts_of(MASK)}
    other = {"image_id": 0, "category_id": 2, "segmentation": [[0, 2, 3, 2, 3, 3, 0, 3]]}
    kinds: dict[str, list[dict[str, Any]]] = {
        "polygons": [outline(1)],
        "run lengths (RLE)": [{**outline(1), "segmentation": plain}],
        "compressed run lengths": [
            {**outline(1), "segmentation": {"size": size, "counts": compressed}}
        ],
        "a crowd": [{**outline(1), "segmentation": plain, "iscrowd": 1}],
        "two categories": [outline(1), other],
    }
    lines = []
    for what, shapes in kinds.items():
        write_coco("m.json", shapes)
        want = np.zeros((ROWS, COLUMNS), int)
        for one in shapes:
            shape = one["segmentation"]
            if isinstance(shape, list):
                shape = coco_mask.merge(coco_mask.frPyObjects(shape, ROWS, COLUMNS))
            elif isinstance(shape["counts"], list):
                shape = coco_mask.frPyObjects(shape, ROWS, COLUMNS)
            else:
                shape = {**shape, "counts": shape["counts"].encode()}
            want[np.asarray(coco_mask.decode(shape)) > 0] = one["category_id"]
        lines.append(mask_line("COCO", what, "m.json", ("pycocotools", want)))
    return lines


def counts_of(mask: Array) -> list[int]:
    """The run lengths of a mask by columns, zeros first."""
    values = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(values)) + 1
    edges = [0, *ends.tolist(), values.size]
    return [last - first for first, last in pairwise(edges)]


# --- the table -------------------------------------------------------------------------------


def lines_of(sample: Sample) -> Iterator[Line]:
    """The lines of a format that holds cubes."""
    cube = open_cube(sample.full, sample.variable)
    name = sample.full.as_posix()
    for item, where in sample.where.items():
        file = sample.full
        if item in STATED_ELSEWHERE:
            file = getattr(sample, STATED_ELSEWHERE[item]) or sample.full
        reported = reports(file).get(LABELS[item], "")
        read, value = read_item(cube, item, sample)
        agreeing = []
        for reader, want in sample.references.get(item, []):
            np.testing.assert_array_equal(value, want, f"{name}: {item}, {reader}")
            agreeing.append(reader)
        yield Line(sample.name, item, where, read, reported, ", ".join(agreeing))


def read_item(cube: Any, item: str, sample: Sample) -> tuple[str, Any]:
    """What is read of a file, as text, and as a value that other readers give too."""
    height, width, bands = cube.shape
    if item == "cube":
        return f"{height} x {width} x {bands} {cube.dtype.name}", cube.array
    if item == "axes":
        return cube.interleave or "columns first, as MATLAB stores", None
    if item == "wavelengths":
        assert cube.wavelengths is not None, sample.name
        np.testing.assert_allclose(cube.wavelengths, CENTRES)
        return f"{span(cube.wavelengths)}, from {cube.wavelengths_from}", cube.wavelengths
    if item == "units":
        return units_text(sample), None
    if item == "scale":
        assert cube.scale_from, sample.name
        physical = np.where(cube.array == NO_DATA, NO_DATA, cube.clean())
        stored = cube.array * GAIN + OFFSET
        np.testing.assert_array_equal(physical, np.where(cube.array == NO_DATA, NO_DATA, stored))
        return f"stored x {GAIN:g} + {OFFSET:g}, float32", stored
    if item == "nodata":
        assert np.isnan(cube.clean()[0, 0]).all(), sample.name
        return f"{cube.ignore_value:g}, which becomes NaN", cube.ignore_value
    if item == "mask":
        labels = mask_of(sample)
        np.testing.assert_array_equal(labels, MASK)
        return classes(labels), labels
    assert cube.metadata.get("transform", TRANSFORM) == TRANSFORM
    return place_text(sample), TRANSFORM


def units_text(sample: Sample) -> str:
    """What is read of band centres in micrometres."""
    if sample.um is None:
        return "nm"
    centres = open_cube(sample.um).wavelengths
    assert centres is not None, sample.name
    np.testing.assert_allclose(centres, CENTRES)
    return "nm, µm, Å, m; not cm-1"


def mask_of(sample: Sample) -> Array:
    """The mask in the file, or in the one that lies beside it."""
    own = own_mask(open_cube(sample.full, sample.variable))
    if own is not None:
        return own
    for name in (f"{sample.full.stem}.png", f"{sample.full.stem}_mask.npy"):
        if Path(name).exists():
            return read_mask(name, (ROWS, COLUMNS))
    raise AssertionError(f"{sample.name} has no mask")


def place_text(sample: Sample) -> str:
    """The system, the size of a pixel and the corner that ``info`` reports."""
    reported = reports(sample.full)["georeference"]
    assert "30 x 30, upper left 300000, 5800000" in reported, reported
    return "system, pixel, upper left"


def reports(path: Path) -> dict[str, str]:
    """What ``specloom info`` prints of a file, by its labels."""
    result = CliRunner().invoke(info, [str(path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, list[str]] = {}
    label = ""
    for line in result.output.splitlines()[1:]:
        head, _, text = line.strip().partition("  ")
        if not line.startswith("    "):
            label = head
        else:
            text = line.strip()
        found.setdefault(label, []).append(text.strip())
    return {label: "; ".join(texts) for label, texts in found.items()}


def span(values: Array) -> str:
    """The least and the greatest of band centres."""
    return f"{values.min():g} to {values.max():g} nm"


def classes(labels: Array) -> str:
    """The number of pixels of each class."""
    numbers, counts = np.unique(labels, return_counts=True)
    texts = [f"{number}: {count} px" for number, count in zip(numbers, counts, strict=True)]
    return ", ".join(texts)


def first_line(error: object) -> str:
    """A message without its fix."""
    return re.sub(r"^error: ", "", str(error).splitlines()[0])


def lines() -> list[Line]:
    """All lines of the table; each format has a folder of its own."""
    found: list[Line] = []
    makers: list[Callable[[], list[Line]]] = [
        *(lambda make=make: list(lines_of(make())) for make in CUBES),
        *(cu3s_lines, table_lines, picture_lines, coco_lines),
    ]
    before = Path.cwd()
    for make in makers:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                found += make()
            finally:
                os.chdir(before)
    return found


def page(found: list[Line]) -> str:
    """The whole page, of the lines of the table."""
    table = [
        "| format | what | stated by | read | reported | agrees with |",
        "|---|---|---|---|---|---|",
    ]
    table += [str(line) for line in found]
    return f"{HEAD}\n" + "\n".join(table) + "\n"


if __name__ == "__main__":
    (ROOT / PAGE).write_text(page(lines()), "utf-8")
