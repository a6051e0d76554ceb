"""Hostile files of every format of cubes, masks and wavelengths, any number of them from a seed.

    python hostile_cubes.py KIND COUNT SEED         reads COUNT files and prints what was found
    python hostile_cubes.py KIND COUNT SEED FIRST   the same from a number on, to see one again

Each file is made from its kind, the seed and its number alone.
"""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from functools import cache
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import tifffile
from PIL import Image

from specloom import SpecloomError

sys.path.insert(0, str(Path(__file__).parent))
hostile_coco = import_module("hostile_coco")

ROWS = 4
COLUMNS = 3
BANDS = 5
CENTRES = [400.5, 450.5, 500.5, 550.5, 600.5]
CUBE = np.arange(ROWS * COLUMNS * BANDS, dtype="<u2").reshape(ROWS, COLUMNS, BANDS)
MASK = np.arange(ROWS * COLUMNS, dtype=np.uint8).reshape(ROWS, COLUMNS) % 2

MOST_SECONDS = 5
"""Seconds of computation that one file may take."""

MOST_BYTES = 1 << 30
"""Memory that reading may take beyond what the process has."""

WORDS = [
    *("", "0", "1", "-1", "5", "0.5", "nan", "inf", "-inf", "1e400", "-1e400", "1e-400", "99999"),
    *("1e308", "9" * 30, "9" * 5000, "2147483648", "-2147483649", "0x10", "1_0", "٣", "½", "1,5"),
    *("None", "{", "}", "{}", "{1, 2", "=", ";", ",", ",,,,", "\x00", "\x1b[31m", "\u202e", "µm"),
    *("nm", "Nanometers", "cm-1", "index", "A", "bsq", "bip", "BIL", "x" * 3000, "\ud7ff", "%n%s"),
    *("ENVI Spectral Library", "{400, 450, 500, 550, 600}", "{1, 2, 3, 4, 5}", "{0, 0, 0, 0, 0}"),
    *("{nan, inf, -inf, 1, 2}", "{1e308, 1e308, 1e308, 1e308, 2}", "{a, b, c, d, e}", "{ }"),
    *("{UTM, 1, 1, 0, 0, 1, 1, 33, North, WGS-84}", "{UTM, x, 1, 1e999, 0, 0, 0, 99, Up}", "{UTM}"),
    *("{Arbitrary, 1}", "{Geographic Lat/Lon, 1, 1, 0, 0, nan, inf, WGS-84}", '{PROJCS["a"'),
]
NUMBERS = [
    *(0, 1, -1, 2, 5, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63),
]


# --- what is changed -------------------------------------------------------------------------


def changed_bytes(data: bytes, chance: random.Random, first: int = 0, last: int = 0) -> bytes:
    """Bytes changed, repeated, removed or cut off between two places."""
    changed = bytearray(data)
    end = min(last or len(changed), len(changed))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(first, max(end, first + 1))
        if at >= len(changed):
            continue
        way = chance.random()
        if way < 0.6:
            changed[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        elif way < 0.8:
            size = min(chance.choice([2, 4, 8]), len(changed) - at)
            number = chance.choice(NUMBERS) % (1 << (8 * size))
            changed[at : at + size] = number.to_bytes(size, "little")
        elif way < 0.9:
            del changed[at : at + chance.randint(1, 16)]
        else:
            changed[at:at] = changed[at : at + chance.randint(1, 16)]
    if chance.random() < 0.15:
        del changed[chance.randrange(len(changed) + 1) :]
    return bytes(changed)


def text_bytes(text: str, chance: random.Random) -> bytes:
    """A text in one of the encodings that files come in."""
    rare = ["utf-8-sig", "latin-1", "utf-16", "utf-16-be"]
    encoding = chance.choice(["utf-8"] * 30 + rare)
    return text.encode(encoding, "replace")


# --- ENVI ------------------------------------------------------------------------------------

FIELDS = {
    "samples": str(COLUMNS),
    "lines": str(ROWS),
    "bands": str(BANDS),
    "header offset": "0",
    "file type": "ENVI Standard",
    "data type": "12",
    "interleave": "bsq",
    "byte order": "0",
    "wavelength": "{400, 450, 500, 550, 600}",
    "wavelength units": "nm",
    "fwhm": "{5, 5, 5, 5, 5}",
    "bbl": "{1, 1, 1, 1, 0}",
    "band names": "{Band 1 (400 nm), Band 2 (450 nm), c, d, e}",
    "data gain values": "{1, 1, 1, 1, 1}",
    "data offset values": "{0, 0, 0, 0, 0}",
    "reflectance scale factor": "10000",
    "data ignore value": "0",
    "map info": "{UTM, 1, 1, 300000, 5800000, 30, 30, 33, North, WGS-84, units=Meters}",
    "coordinate system string": '{PROJCS["x",GEOGCS["y"]]}',
    "file compression": "0",
    "major frame offsets": "{0, 0}",
    "classes": "2",
    "class lookup": "{0, 0, 0, 255, 0, 0}",
    "class names": "{a, b}",
    "center wavelengths": "{400, 450, 500, 550, 600}",
}


def envi(chance):
    """A header with wrong fields, and its data."""
    fields = dict(FIELDS)
    for key in chance.sample(list(fields), chance.randint(0, 12)):
        if key not in ("samples", "lines", "bands", "data type") or chance.random() < 0.2:
            del fields[key]
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        key = chance.choice(list(FIELDS))
        value = chance.choice(WORDS)
        if chance.random() < 0.3:
            value = f"{{{', '.join(chance.choice(WORDS) for _ in range(BANDS))}}}"
        if chance.random() < 0.15:
            value = str(chance.choice(NUMBERS))
        fields[key] = value
    lines = [f"{key} = {value}" for key, value in fields.items()]
    if chance.random() < 0.3:
        chance.shuffle(lines)
    if chance.random() < 0.1:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(WORDS))
    header = text_bytes("ENVI\n" + "\n".join(lines) + "\n", chance)
    if chance.random() < 0.15:
        header = changed_bytes(header, chance)
    return {"cube.hdr": header, "cube.img": CUBE.transpose(2, 0, 1).tobytes()}


# --- tables of wavelengths -------------------------------------------------------------------

HEADINGS = [
    *("wavelength_nm", "wavelength", "nm", "band", "", "fwhm", "lambda [um]", "Kanal", "center"),
    *("wavenumber", "x" * 2000, '"', "wavelength;nm", "1", "λ", "#"),
]


def table(chance):
    """A table with wrong cells."""
    separator = chance.choice([",", ";", "\t", " ", "|", ",,", ""])
    rows = []
    if chance.random() < 0.7:
        rows.append([chance.choice(HEADINGS) for _ in range(chance.randint(1, 4))])
    width = chance.randint(1, 4)
    for number in range(chance.choice([BANDS, BANDS, BANDS, 0, 1, 4, 6, 300])):
        row = [f"{400.5 + 50 * number:g}"]
        for _ in range(width - 1):
            row.append(chance.choice([str(number + 1), "5", "5,5", "1e3", chance.choice(WORDS)]))
        if chance.random() < 0.05:
            row[chance.randrange(width)] = chance.choice(WORDS)
        if chance.random() < 0.05:
            row.reverse()
        rows.append(row)
    if chance.random() < 0.1:
        rows = [[cell] for row in rows for cell in row]
    text = chance.choice(["\n", "\r\n", "\r", "\n\n"]).join(separator.join(row) for row in rows)
    if chance.random() < 0.2:
        text = text.replace(".", ",")
    data = text_bytes(text, chance)
    if data and chance.random() < 0.25:
        data = changed_bytes(data, chance)
    return {"table.csv": data}


# --- TIFF ------------------------------------------------------------------------------------


@cache
def tiffs() -> list[bytes]:
    """TIFF files without a fault, as several programs write them."""
    files = []
    tags = (
        "<GDALMetadata>"
        '<Item name="wavelength" sample="0">400</Item><Item name="wavelength" sample="1">450</Item>'
        '<Item name="SCALE" sample="0" role="scale">0.1</Item>'
        '<Item name="OFFSET" sample="0" role="offset">1</Item>'
        '<Item name="DESCRIPTION" sample="0" role="description">Band 1 (400 nm)</Item>'
        '<Item name="wavelength_units">nm</Item></GDALMetadata>'
    )
    geo = [
        (33550, "d", 3, (30.0, 30.0, 0.0), False),
        (33922, "d", 6, (0.0, 0.0, 0.0, 3e5, 58e5, 0.0), False),
        (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32633), False),
        (42112, "s", 0, tags, False),
        (42113, "s", 0, "0", False),
    ]
    planes = np.ascontiguousarray(CUBE.transpose(2, 0, 1))
    ways = [
        {"data": CUBE, "planarconfig": "contig", "photometric": "minisblack", "extratags": geo},
        {"data": planes, "planarconfig": "separate", "photometric": "minisblack"},
        {"data": planes, "photometric": "minisblack", "metadata": {"axes": "CYX"}},
        {"data": planes, "imagej": True, "metadata": {"axes": "CYX"}},
        {"data": planes, "photometric": "minisblack", "metadata": None, "compression": "zlib"},
        {"data": CUBE, "photometric": "minisblack", "planarconfig": "contig", "tile": (16, 16)},
        {"data": planes.astype(">f4"), "photometric": "minisblack", "bigtiff": True},
        {"data": MASK, "photometric": "minisblack", "extratags": geo},
    ]
    for way in ways:
        memory = io.BytesIO()
        tifffile.imwrite(memory, **way)
        files.append(memory.getvalue())
    return files


def entries(data: bytes) -> list[int]:
    """Where the entries of the first directory of a classic TIFF file of this machine begin."""
    if data[:4] != b"II*\0":
        return []
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    return [at + 2 + 12 * number for number in range(count)]


def tiff(chance):
    """A file with wrong entries in its directory, wrong tags, or changed bytes."""
    data = bytearray(chance.choice(tiffs()))
    places = entries(bytes(data))
    way = chance.random()
    if places and way < 0.6:
        for _ in range(chance.randint(1, 3)):
            at = chance.choice(places)
            part, size = chance.choice([(0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 2)])
            known = [0, 1, 2, 3, 4, 5, 7, 12, 16, 256, 258, 259, 277, 284, 339, 338, 33922, 42112]
            number = chance.choice([*known, *NUMBERS]) % (1 << (8 * size))
            data[at + part : at + part + size] = number.to_bytes(size, "little")
    elif way < 0.75:
        for _ in range(chance.randint(1, 4)):
            old = chance.choice([b"400", b"450", b"0.1", b"nm", b"scale", b'sample="', b"images="])
            new = chance.choice(
                [b"nan", b"inf", b"1e9", b"<a>", b"-1", b"9", b"\xff\xfe\xfd", b"&"]
            )
            at = bytes(data).find(old)
            if at >= 0:
                data[at : at + len(old)] = new.ljust(len(old))[: len(old)]
    else:
        return {"cube.tif": changed_bytes(bytes(data), chance)}
    return {"cube.tif": bytes(data)}


# --- HDF5 ------------------------------------------------------------------------------------

ATTRIBUTES = [
    *("wavelength", "wavelengths", "Wavelengths", "units", "Units", "scale_factor", "add_offset"),
    *("_FillValue", "missing_value", "nodata", "interleave", "DIMENSION_LABELS", "dims"),
    *("List_Cw_Vnir", "List_Fwhm_Vnir", "List_Cw_Vnir_Flags", "L2ScaleVnirMin", "L2ScaleVnirMax"),
    *(
        "MATLAB_class",
        "MATLAB_fields",
        "MATLAB_empty",
        "fwhm",
        "bbl",
        "spatial_ref",
        "grid_mapping",
    ),
    *("geotransform", "GeoTransform", "crs_wkt", "Map_Info", "Scale_Factor", "Data_Ignore_Value"),
    *("Description", "wavelength_units", "flag_values", "coordinates", "standard_name", "axis"),
]
DATASETS = [
    *("cube", "wavelength", "wl", "fwhm", "mask", "ortho_x", "lat", "lon", "x", "y", "crs"),
    *("reflectance", "sensor_band_parameters/wavelengths", "location/glt_x", "metadata/good"),
    *("site/Reflectance/Reflectance_Data", "site/Reflectance/Metadata/Spectral_Data/Wavelength"),
    *("site/Reflectance/Metadata/Coordinate_System/Map_Info", "group/cube", "spatial_ref"),
    *("HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/VNIR_Cube", "HDFEOS INFORMATION/StructMetadata.0"),
    *("HDFEOS/SWATHS/HYP/Data Fields/toa_radiance", "HDFEOS/GRIDS/HYP/Data Fields/valid"),
    *("hcube/DataCube", "hcube/Wavelength", "#refs#/a"),
]


def value(chance):
    """A value of an attribute or of a dataset."""
    ways = [
        lambda: chance.choice(WORDS).replace("\0", ""),
        lambda: chance.choice([0, 1, -1, 0.5, float("nan"), float("inf"), -9999, 2**62, 1e308]),
        lambda: np.array(CENTRES) * chance.choice([1, 1e-3, 10, -1, 0, 1e300, 1e-9]),
        lambda: np.arange(chance.randint(0, 7)),
        lambda: np.full(BANDS, chance.choice([0, 1, np.nan, np.inf, 5e-324])),
        lambda: np.array([b"400 nm", b"\xff", b"", b"c", b"e"]),
        lambda: [chance.choice(["450 nm", "a", "{1", "H", "bands", "x,y"]) for _ in range(3)],
        lambda: np.array(CENTRES).reshape(5, 1),
        lambda: np.zeros((2, 0, 3)),
        lambda: np.array([(1, 2.0)], dtype=[("wavelength", "i4"), ("fwhm", "f8")]),
        lambda: np.array([1 + 2j]),
        lambda: h5py.Empty("f4"),
        lambda: np.array([True, False, True, True, True]),
        lambda: np.array(CENTRES, ">f2"),
        lambda: np.void(b"\0\1\2"),
        lambda: np.array(abs(chance.choice(NUMBERS)), "u8"),
    ]
    return chance.choice(ways)()


def dataset(chance):
    """What a dataset holds."""
    way = chance.random()
    if way < 0.5:
        kind = chance.choice(["<u2", ">i2", "f4", "f8", "u1", "i8", "c8", "?", "f2", "u8"])
        shape = chance.choice([(0, 1, 2), (2, 0, 1), (0, 2, 1)])
        return CUBE.transpose(shape).astype(kind)
    if way < 0.6:
        return MASK
    if way < 0.7:
        sizes = [chance.choice([0, 1, 2, 3, 5, 7]) for _ in range(chance.randint(0, 5))]
        return np.ones(sizes, chance.choice(["u1", "f4"]))
    return value(chance)


def make_hdf5(chance, *, matlab):
    """A file with strange datasets and attributes."""
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=512 if matlab else 0) as file:
        file["cube"] = CUBE
        file["wavelength"] = CENTRES
        for _ in range(chance.randint(0, 4)):
            name = chance.choice(DATASETS)
            try:
                if name in file:
                    del file[name]
                file[name] = dataset(chance)
            except (ValueError, TypeError, OSError, RuntimeError, KeyError):
                continue  # a value that HDF5 does not hold
        items = [file, *(file[name] for name in list(file))]
        for _ in range(chance.randint(1, 6)):
            item = chance.choice(items)
            if not isinstance(item, h5py.Dataset | h5py.Group):
                continue
            try:
                item.attrs[chance.choice(ATTRIBUTES)] = value(chance)
            except (ValueError, TypeError, OSError, RuntimeError, KeyError):
                continue
        if matlab:
            for item in items[1:]:
                if isinstance(item, h5py.Dataset | h5py.Group):
                    known = ["uint16", "double", "cell", "char", "struct", "logical", "x"]
                    item.attrs["MATLAB_class"] = np.bytes_(chance.choice(known))
    return memory.getvalue()


@cache
def plain_hdf5(matlab):
    return make_hdf5(random.Random(0), matlab=matlab)


def hdf5(chance):
    """An HDF5 file with strange attributes, or with changed bytes."""
    if chance.random() < 0.75:
        return {"cube.h5": make_hdf5(chance, matlab=False)}
    return {"cube.nc": changed_bytes(plain_hdf5(False), chance)}


def matlab73(chance):
    """A MATLAB 7.3 file with strange classes, or with changed bytes."""
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"
    if chance.random() < 0.75:
        data = make_hdf5(chance, matlab=True)
        return {"cube.mat": head + data[128:]}
    data = head + plain_hdf5(True)[128:]
    return {"cube.mat": changed_bytes(data, chance)}


# --- MATLAB, up to version 7 -----------------------------------------------------------------


@cache
def matlabs() -> list[bytes]:
    """MATLAB files without a fault."""
    struct_array = {"DataCube": CUBE, "Wavelength": np.array(CENTRES), "Metadata": {"a": 1}}
    cells = np.array([CUBE, "x"], object)
    contents = [
        ({"data": CUBE, "map": MASK, "wavelength": CENTRES}, "5"),
        ({"hcube": struct_array, "units": "nm"}, "5"),
        ({"data": CUBE.astype(float), "c": cells, "z": 1j * CUBE}, "5"),
        ({"x": CUBE[..., 0].astype(float), "name": "abc"}, "4"),
    ]
    files = []
    for arrays, version in contents:
        memory = io.BytesIO()
        scipy.io.savemat(memory, arrays, format=version)
        files.append(memory.getvalue())
    return files


def matlab(chance):
    """A file with changed tags and headers, compressed or not."""
    data = chance.choice(matlabs())
    if chance.random() < 0.3 and data[126:128] == b"IM":
        _, size = struct.unpack_from("<2I", data, 128)
        body = changed_bytes(data[128 : 136 + size], chance, 0, 120)
        packed = zlib.compress(body)
        if chance.random() < 0.2:
            packed = changed_bytes(packed, chance)
        return {"cube.mat": data[:128] + struct.pack("<2I", 15, len(packed)) + packed}
    last = chance.choice([0, 200, 300])
    return {"cube.mat": changed_bytes(data, chance, chance.choice([0, 120]), last)}


# --- NumPy -----------------------------------------------------------------------------------


def npy_bytes(chance):
    """The bytes of a .npy file with a wrong header."""
    descr = chance.choice(
        [
            *(
                "'<u2'",
                "'<u2'",
                "'<u2'",
                "'>f4'",
                "'|O'",
                "'<c8'",
                "'|b1'",
                "'<U5'",
                "'|V3'",
                "'x'",
            ),
            *("'<f16'", "'<f2'", "[('a', '<u2')]", "None", "1", "'<M8[s]'", "'<u9'", "''", "()"),
        ]
    )
    shape = chance.choice(
        [
            *("(4, 3, 5)", "(4, 3, 5)", "(4, 3, 5)", "(4, 3)", "(60,)", "()", "(0, 3, 5)", "4"),
            *("(4, 3, -5)", "(99999999999, 99999999999, 9)", "(4.0, 3, 5)", "('4', 3, 5)", "None"),
            *(
                "(4, 3, 5, 1)",
                "(1, 4, 3, 5)",
                "(True, 3, 5)",
                "[4, 3, 5]",
                "(4, 3, 5",
                f"({'9' * 5000}, 1, 1)",
            ),
            *("(2147483648, 2147483648, 0)", "(4, 3, 10**5)", "((4, 3), 5)", "(" * 300 + ")" * 300),
        ]
    )
    order = chance.choice(["False", "True", "None", "1", "'x'"])
    wrong = chance.randrange(4)
    if wrong not in (0, 3):
        descr = "'<u2'"
    if wrong not in (1, 3):
        shape = "(4, 3, 5)"
    if wrong not in (2, 3):
        order = "False"
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if chance.random() < 0.1:
        text = chance.choice([text + "#" * 20000, text[:-1], "{}", "[]", "1", "", text * 2])
    header = (text + "\n").encode("latin-1")
    version = chance.choice([b"\1\0"] * 7 + [b"\2\0", b"\3\0", b"\7\1"])
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header) & 0xFFFF)
    data = b"\x93NUMPY" + version + length + header + CUBE.tobytes()
    if chance.random() < 0.25:
        data = changed_bytes(data, chance)
    return data


def good_npy(array) -> bytes:
    """The bytes of a .npy file without a fault."""
    memory = io.BytesIO()
    np.save(memory, array)
    return memory.getvalue()


def npy(chance):
    """A .npy file with a wrong header."""
    return {"cube.npy": npy_bytes(chance)}


def npz(chance):
    """An archive of such files, or one with changed bytes."""
    memory = io.BytesIO()
    way = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        with zipfile.ZipFile(memory, "w", way) as archive:
            for _ in range(chance.randint(0, 3)):
                name = chance.choice(
                    ["cube.npy", "wavelength.npy", "a/b.npy", "x.txt", ".npy", "mask.npy"]
                )
                data = good_npy(CUBE)
                if name == "wavelength.npy":
                    data = good_npy(np.array(CENTRES))
                if chance.random() < 0.5:
                    data = npy_bytes(chance)
                archive.writestr(name, data)
    data = memory.getvalue()
    if chance.random() < 0.3:
        data = changed_bytes(data, chance)
    return {"cube.npz": data}


# --- pictures of masks -----------------------------------------------------------------------


@cache
def pictures() -> list[tuple[str, bytes]]:
    """Masks without a fault, by their endings."""
    grey = Image.fromarray(MASK)
    palette = grey.convert("P", palette=Image.Palette.ADAPTIVE)
    files = []
    for ending, form, picture in (
        (".png", "PNG", grey),
        (".png", "PNG", palette),
        (".png", "PNG", grey.convert("RGBA")),
        (".png", "PNG", grey.convert("LA")),
        (".png", "PNG", grey.convert("1")),
        (".bmp", "BMP", grey),
        (".bmp", "BMP", palette),
        (".bmp", "BMP", grey.convert("1")),
    ):
        memory = io.BytesIO()
        picture.save(memory, form)
        files.append((ending, memory.getvalue()))
    return files


def picture(chance):
    """A picture with changed bytes; in PNG the sums of the chunks are right again."""
    ending, data = chance.choice(pictures())
    data = changed_bytes(data, chance, 8 if chance.random() < 0.8 else 0)
    if ending == ".png" and chance.random() < 0.8:
        data = with_sums(data)
    return {f"mask{ending}": data}


def with_sums(data: bytes) -> bytes:
    """A PNG file with the right sum behind each chunk."""
    parts = [data[:8]]
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            break
        body = data[at + 4 : at + 8 + size]
        parts += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + size
    return b"".join([*parts, data[at:]])


def coco(chance):
    """A COCO file."""
    files = list(hostile_coco.hostile_files(7, chance.randrange(1 << 40)))
    return {"mask.json": chance.choice(files)}


# --- reading ---------------------------------------------------------------------------------

KINDS = {
    "envi": (envi, 25),
    "table": (table, 20),
    "coco": (coco, 20),
    "tiff": (tiff, 10),
    "hdf5": (hdf5, 7),
    "matlab73": (matlab73, 3),
    "matlab": (matlab, 6),
    "npy": (npy, 4),
    "npz": (npz, 2),
    "picture": (picture, 3),
}
"""What makes the files of a kind, and the share of the kind in all files in percent."""

NO_CUBES = ("table", "coco", "picture")


def read(path: Path, kind: str) -> None:
    """Read a file as a user would have it read: as a cube, and as a mask."""
    from specloom_cubes.describe import describe
    from specloom_cubes.masks import load_mask
    from specloom_cubes.wavelengths import read_wavelengths

    if kind == "table":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* states no unit: .*")
            assert len(read_wavelengths(path, known_cube(path.parent))) == BANDS
        return
    errors = []
    size = (ROWS, COLUMNS)
    if kind == "coco":
        size = hostile_coco.SIZE
    tries = [lambda: load_mask(path, size)]
    if kind not in NO_CUBES:
        tries.append(lambda: json.dumps(describe(path), allow_nan=False))
    for attempt in tries:
        try:
            attempt()
        except SpecloomError as error:
            errors.append(error)
    if len(errors) == len(tries):
        raise errors[-1]


def known_cube(folder: Path):
    """A cube of as many bands as the tables have."""
    from specloom_cubes.formats import open_cube

    path = folder.parent / "known.npy"
    if not path.exists():
        np.save(path, CUBE)
    return open_cube(path)


class TooLong(BaseException):
    """A file takes longer than it may."""


def _too_long(*_) -> None:
    raise TooLong


def chance_of(kind: str, seed: int, number: int) -> random.Random:
    """The random numbers by which a file is made."""
    return random.Random(f"{kind} {seed} {number}")


def outcome_of(folder: Path, kind: str, seed: int, number: int) -> str:
    """``read``, ``refused``, or the failure with its place."""
    make, _ = KINDS[kind]
    files = make(chance_of(kind, seed, number))
    own = folder / str(number)
    own.mkdir()
    for name, data in files.items():
        (own / name).write_bytes(data)
    main = own / next(iter(files))
    try:
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        read(main, kind)
    except SpecloomError as error:
        if "\n  fix: " not in str(error):
            return f"a message without a fix: {error}"
        return "refused"
    except (Exception, TooLong) as error:
        places = traceback.extract_tb(error.__traceback__)
        ours = [one for one in places if "specloom_" in one.filename] or places[-1:]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"{type(error).__name__} in {place}: {str(error)[:120]}"
    else:
        return "read"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        for name in files:
            (own / name).unlink()
        own.rmdir()


def run(kind: str, count: int, seed: int, first: int = 0) -> dict:
    """Read many files of a kind.

    Returns:
        ``outcomes``: how many were read and refused, and how often each failure was seen;
        ``examples``: the number of the first file with each; ``seconds`` and ``megabytes``.
    """
    outcomes: Counter[str] = Counter()
    examples: dict[str, int] = {}
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, _too_long)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("error")
            outcome_of(Path(folder), kind, seed, first)  # what is imported is not measured
            in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (in_use + MOST_BYTES, limits[1]))
            for number in range(first, first + count):
                outcome = outcome_of(Path(folder), kind, seed, number)
                outcomes[outcome] += 1
                examples.setdefault(outcome, number)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGPROF, handler)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "outcomes": dict(outcomes),
        "examples": examples,
        "seconds": round(time.process_time() - start, 1),
        "megabytes": grown // 1024,
    }


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    print(json.dumps(run(kind, *map(int, numbers)), indent=1))
