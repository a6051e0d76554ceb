"""TIFF and GeoTIFF: bands of one image, or pages of one band each; tags and georeference."""

from __future__ import annotations

import re
import struct
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import rasterio
import rasterio.errors
from rasterio.enums import ColorInterp, MaskFlags

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Load, Reading, Valid, refuse_axes
from specloom_cubes.formats import enmap, envi, tiff_pages
from specloom_cubes.formats.envi import BandMetadata
from specloom_cubes.formats.envi_header import Header, parse
from specloom_cubes.formats.tiff_axes import PageAxes, page_axes, refuse_missing_pages
from specloom_cubes.rules.scale import from_geotiff, scaling_of
from specloom_cubes.rules.units import zero_flags
from specloom_cubes.rules.wavelengths import (
    BAND_NAMES,
    DESCRIPTIONS,
    Vector,
    find_centres,
    find_widths,
    is_centres_name,
    is_widths_name,
    vector_of_texts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scales: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""The scale and the offset of each band."""

DESCRIPTION = "TIFFTAG_IMAGEDESCRIPTION"
DOMAINS = (None, "ENVI", "IMAGERY")
"""Where GDAL has tags: plain ones, the fields of ENVI headers, and its own names."""

UNITS = ("wavelength_units", "wavelength units", "wavelengths_units")
FLAGS = "bbl"
ALPHA = "its alpha band"
INNER_MASK = "the mask of the TIFF file"
MOST_OF_A_PICTURE = 4
INTERLEAVES = {
    **dict.fromkeys(("CHW", "CWH"), "bsq"),
    **dict.fromkeys(("HCW", "WCH"), "bil"),
    **dict.fromkeys(("HWC", "WHC"), "bip"),
}


def open_cube(path: Path, reading: Reading = AS_STATED) -> Cube:
    """Open a TIFF file, whose bands are either in one image or on one page each.

    Band centres, widths and bad bands come from the tags of the bands (GDAL's domain IMAGERY too),
    from tags of the file (GDAL's domain ENVI too), from descriptions of the bands such as
    ``Band 1 (400.0 Nanometers)``, or from an ENVI header beside the file.

    Raises:
        DataError: The file is damaged or shorter than it says, complex, or its pages differ.
    """
    try:
        pages = tiff_pages.pages(path)
        if not pages:
            raise ValueError("it holds no image")
    except (OSError, ValueError, struct.error) as error:
        raise _damaged(path, error) from error
    if len(pages) > 1:
        return _open_pages(path, pages, reading)
    return _open_image(path, pages[0], reading)


def _open_image(path: Path, page: tiff_pages.Page, reading: Reading) -> Cube:
    """A cube whose bands are in one image."""
    refuse_axes(reading, str(path), "its image states")
    with _opened(path) as file:
        _check(path, [page], file)
        refuse_missing_pages(1, file.tags().get(DESCRIPTION, ""), str(path))
        valid_from = _valid_from(file)
        bands = file.count
        if valid_from == ALPHA:
            bands -= 1
        stated = _band_metadata(
            path, file, (page.height, page.width, bands), [*file.indexes][:bands]
        )
        metadata = _metadata(file)
        dtype = np.dtype(file.dtypes[0])
        no_data = _no_data(file)
        interleave = "bsq"
        if file.interleaving.value == "PIXEL" and bands > 1:
            interleave = "bip"
    kind = "TIFF"
    if "transform" in metadata:
        kind = "GeoTIFF"
    return Cube(
        path,
        (page.height, page.width, bands),
        dtype,
        _load_of_image(path, page, bands, dtype),
        format=kind,
        interleave=interleave,
        wavelengths=stated.wavelengths,
        fwhm=stated.fwhm,
        bad_bands=stated.bad_bands,
        ignore_value=no_data,
        metadata=metadata,
        wavelengths_from=stated.wavelengths_from,
        assumptions=stated.notes,
        gains=stated.gains,
        offsets=stated.offsets,
        scale_from=stated.scale_from,
        valid=_valid_of(path, page, valid_from),
        valid_from=valid_from,
        reading=reading,
    )


def _open_pages(path: Path, pages: Sequence[tiff_pages.Page], reading: Reading) -> Cube:
    """A cube that is spread over several pages."""
    where = str(path)
    stored = (len(pages), pages[0].height, pages[0].width)
    with _opened(path) as file:
        _check(path, pages, file)
        metadata = _metadata(file)
        lengths = _lengths(path, file)
        axes = page_axes(stored, metadata.get(DESCRIPTION, ""), reading, lengths, where)
        sizes = dict(zip(axes.order, stored, strict=True))
        shape = (sizes["H"], sizes["W"], sizes["C"])
        scales = _scales_of_pages(path, pages, axes)
        stated = _band_metadata(path, file, shape, [], scales)
        dtype = np.dtype(file.dtypes[0])
        no_data = _no_data(file)
    kind = "TIFF"
    if "transform" in metadata:
        kind = "GeoTIFF"
    return Cube(
        path,
        shape,
        dtype,
        _load_of_pages(path, pages, axes, dtype),
        format=f"{kind} of {len(pages)} pages",
        interleave=INTERLEAVES[axes.order],
        wavelengths=stated.wavelengths,
        fwhm=stated.fwhm,
        bad_bands=stated.bad_bands,
        ignore_value=no_data,
        metadata=metadata,
        wavelengths_from=stated.wavelengths_from,
        assumptions=(*axes.notes, *stated.notes),
        gains=stated.gains,
        offsets=stated.offsets,
        scale_from=stated.scale_from,
        reading=reading,
    )


def _scales_of_pages(path: Path, pages: Sequence[tiff_pages.Page], axes: PageAxes) -> Scales:
    """Scales and offsets of the bands of a cube that is spread over pages.

    Raises:
        DataError: Pages are rows, and have different ones.
    """
    scales = [page.scale for page in pages]
    offsets = [page.offset for page in pages]
    if axes.order[0] == "C":
        return scales, offsets
    if len({*scales}) > 1 or len({*offsets}) > 1:
        raise DataError(
            f"{path} has pages of different scales, and its pages are no bands",
            fix="write axes: CHW if they are, or save the cube with one scale",
        )
    bands = axes.order.index("C")
    count = pages[0].height
    if bands == 2:
        count = pages[0].width
    return scales[:1] * count, offsets[:1] * count


def _load_of_image(path: Path, page: tiff_pages.Page, bands: int, dtype: np.dtype[Any]) -> Load:
    """What reads a part of a cube in one image."""

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        down = range(*rows.indices(page.height))
        across = range(*cols.indices(page.width))
        if not down or not across:
            return np.zeros((len(down), len(across), bands), dtype)
        with _opened(path) as file:
            read = file.read(list(range(1, bands + 1)), window=_window(down, across))
        part = read.transpose(1, 2, 0)
        return _stepped(part, down, across).astype(dtype, copy=False)

    return load


def _load_of_pages(
    path: Path, pages: Sequence[tiff_pages.Page], axes: PageAxes, dtype: np.dtype[Any]
) -> Load:
    """What reads a part of a cube that is spread over pages."""
    to_cube = tuple(axes.order.index(axis) for axis in "HWC")

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        parts = {"H": rows, "W": cols, "C": slice(None)}
        chosen, lines, columns = (parts[axis] for axis in axes.order)
        numbers = range(*chosen.indices(len(pages)))
        down = range(*lines.indices(pages[0].height))
        across = range(*columns.indices(pages[0].width))
        stack = np.zeros((len(numbers), len(down), len(across)), dtype)
        if stack.size:
            for at, number in enumerate(numbers):
                with _opened(path, pages[number].number) as file:
                    read = file.read(1, window=_window(down, across))
                stack[at] = _stepped(read, down, across)
        return stack.transpose(to_cube)

    return load


def _window(down: range, across: range) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and columns, in one piece, that have all of some."""
    return (min(down), max(down) + 1), (min(across), max(across) + 1)


def _stepped(part: NDArray[Any], down: range, across: range) -> NDArray[Any]:
    """Every so many rows and columns of a part that was read in one piece."""
    return part[:: down.step, :: across.step]


def _valid_from(file: Any) -> str:
    """Where the file's own mask of valid pixels is; empty where it has none.

    An alpha band counts behind more bands than a picture has: the fourth of four bands, which
    writers call alpha by habit, may be a band like the others.
    """
    if file.count > MOST_OF_A_PICTURE and file.colorinterp[-1] == ColorInterp.alpha:
        return ALPHA
    if file.mask_flag_enums[0] == [MaskFlags.per_dataset]:
        return INNER_MASK
    return ""


def _valid_of(path: Path, page: tiff_pages.Page, valid_from: str) -> Valid | None:
    """What reads the file's own mask of valid pixels, or None."""
    if not valid_from:
        return None

    def load(rows: slice, cols: slice) -> NDArray[np.bool_]:
        down = range(*rows.indices(page.height))
        across = range(*cols.indices(page.width))
        if not down or not across:
            return np.zeros((len(down), len(across)), bool)
        with _opened(path) as file:
            if valid_from == ALPHA:
                read = file.read(file.count, window=_window(down, across))
            else:
                read = file.dataset_mask(window=_window(down, across))
        valid: NDArray[np.bool_] = _stepped(read, down, across) > 0
        return valid

    return load


def _no_data(file: Any) -> float | None:
    if file.nodata is None or np.isnan(file.nodata):
        return None
    return float(file.nodata)


def _check(path: Path, pages: Sequence[tiff_pages.Page], file: Any) -> None:
    sizes = {(page.height, page.width) for page in pages}
    if len(sizes) > 1:
        listed = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
        raise DataError(
            f"{path} holds {len(pages)} pages of different sizes ({listed})",
            fix="save one page for each band, all of one size",
        )
    types = sorted({page.dtype for page in pages})
    if len(types) > 1:
        raise DataError(
            f"{path} holds {len(pages)} pages of different types ({', '.join(types)})",
            fix="save all pages with one type",
        )
    if len(pages) > 1 and file.count > 1:
        raise DataError(
            f"{path} holds {len(pages)} pages of {file.count} bands",
            fix="save all bands in one image, or one page for each band",
        )
    if np.dtype(file.dtypes[0]).kind not in "iuf":
        raise DataError(
            f"{path} holds {file.dtypes[0]}; specloom works on real values",
            fix="save the magnitude or the real part",
        )


def _band_metadata(
    path: Path,
    file: Any,
    shape: tuple[int, int, int],
    indexes: Sequence[int],
    scales_of_pages: Scales = ((), ()),
) -> BandMetadata:
    """What the file, or a header beside it, states of each band.

    Args:
        path: The file.
        file: It, open.
        shape: Rows, columns and bands.
        indexes: The numbers of the bands of the image, from 1; none where it has pages.
        scales_of_pages: Scales and offsets of the bands where it has pages.
    """
    where = str(path)
    bands = shape[2]
    vectors = [*_band_vectors(file, indexes), *_file_vectors(file)]
    described = vector_of_texts(DESCRIPTIONS, _descriptions(file, indexes))
    if described is not None:
        vectors.append(described)
    centres = find_centres(vectors, bands, where)
    flags = [one.values for one in vectors if one.name.lower() == FLAGS]
    flags = [values for values in flags if len(values) == bands]
    stated = BandMetadata(fwhm=find_widths(vectors, bands, centres))
    if flags:
        stated = stated._replace(bad_bands=zero_flags(flags[0]))
    if centres is None:
        stated = stated._replace(notes=tuple(_partial_tags(file, indexes, where)))
    else:
        stated = stated._replace(wavelengths=centres.nm, notes=centres.notes)
    if centres is not None and centres.nm is not None:
        source = f"the tag {centres.source!r}"
        if centres.source == DESCRIPTIONS:
            source = "the descriptions of the bands"
        stated = stated._replace(wavelengths_from=source)
    if indexes:
        scaling = from_geotiff(file.scales, file.offsets, where)
    else:
        scaling = from_geotiff(*scales_of_pages, where)
    if scaling is not None:
        stated = stated._replace(scale_from=scaling.source)
        if scaling.gains is not None:
            stated = stated._replace(gains=scaling.gains[:bands])
        if scaling.offsets is not None:
            stated = stated._replace(offsets=scaling.offsets[:bands])
    return _with_files_beside(path, stated, shape)


def _descriptions(file: Any, indexes: Sequence[int]) -> list[str]:
    """The descriptions of some bands; none where one is not in UTF-8."""
    try:
        descriptions = file.descriptions
    except UnicodeDecodeError:
        return []
    return [descriptions[index - 1] or "" for index in indexes]


def _with_files_beside(
    path: Path, stated: BandMetadata, shape: tuple[int, int, int]
) -> BandMetadata:
    """What a file states, completed by an ENVI header or the metadata of EnMAP beside it."""
    bands = shape[2]
    header = _header_beside(path)
    if header is not None and _is_of(header, shape):
        return _completed(stated, envi.band_metadata(header, bands), header.path.name)
    metadata = enmap.metadata_of(path)
    if metadata is not None:
        return _completed(
            stated, _band_metadata_of_enmap(path, bands, metadata.name), metadata.name
        )
    return stated


def _band_metadata_of_enmap(path: Path, bands: int, name: str) -> BandMetadata:
    """What the metadata beside an EnMAP image state, where they are of as many bands."""
    vectors = enmap.vectors_beside(path)
    stated = BandMetadata()
    centres = find_centres(list(vectors.values()), bands, str(path))
    if centres is None or centres.nm is None:
        return stated
    stated = stated._replace(
        wavelengths=centres.nm,
        wavelengths_from=centres.source,
        fwhm=find_widths(list(vectors.values()), bands, centres),
    )
    gains = vectors.get(enmap.GAIN)
    offsets = vectors.get(enmap.OFFSET)
    if gains is None or offsets is None:
        return stated
    source = f"{enmap.GAIN} and {enmap.OFFSET} of {name}"
    scaling = scaling_of(gains.values, offsets.values, bands, source, str(path))
    if scaling is None:
        return stated
    return stated._replace(gains=scaling.gains, offsets=scaling.offsets, scale_from=scaling.source)


def _completed(stated: BandMetadata, beside: BandMetadata, name: str) -> BandMetadata:
    """What a file states, and what a header beside it states where the file does not."""
    if stated.wavelengths is None and beside.wavelengths is not None:
        source = beside.wavelengths_from.replace("the header", name)
        stated = stated._replace(
            wavelengths=beside.wavelengths, wavelengths_from=source, notes=beside.notes
        )
    if stated.fwhm is None:
        stated = stated._replace(fwhm=beside.fwhm)
    if stated.bad_bands is None:
        stated = stated._replace(bad_bands=beside.bad_bands)
    if not stated.scale_from:
        stated = stated._replace(
            gains=beside.gains,
            offsets=beside.offsets,
            scale_from=beside.scale_from.replace("the header", name),
        )
    return stated


def _header_beside(path: Path) -> Header | None:
    """The ENVI header beside a TIFF file, unless it is that of another file."""
    for name in (f"{path.name}.hdr", f"{path.stem}.hdr"):
        header = path.with_name(name)
        if header.is_file() and envi.data_of(header) in (None, path):
            with suppress(DataError, OSError):
                return parse(header)
    return None


def _is_of(header: Header, shape: tuple[int, int, int]) -> bool:
    """Whether a header is that of an image of this shape."""
    for key, size in zip(("lines", "samples", "bands"), shape, strict=True):
        if header.get(key, str(size)).strip() != str(size):
            return False
    return True


def _lengths(path: Path, file: Any) -> set[int]:
    """The lengths of the vectors of band centres that a file or the header beside it states."""
    lengths = {len(one.values) for one in _file_vectors(file) if is_centres_name(one.name)}
    header = _header_beside(path)
    if header is not None:
        with suppress(DataError):
            lengths.add(header.number("bands"))
    return lengths


def _band_vectors(file: Any, indexes: Sequence[int]) -> list[Vector]:
    """The numbers that every band has a tag for, by the tag's name."""
    vectors = []
    for domain in (None, "IMAGERY"):
        tags = [file.tags(index, ns=domain) for index in indexes]
        if not tags:
            continue
        unit = _first(tags, UNITS)
        for name in tags[0]:
            with suppress(KeyError, ValueError):
                values = np.array([float(one[name]) for one in tags])
                vectors.append(Vector(name, values, unit if domain is None else ""))
    return vectors


def _partial_tags(file: Any, indexes: Sequence[int], where: str) -> Iterator[str]:
    """That only some bands have a tag for their centre."""
    names = set()
    for index in indexes:
        names |= {name for name in file.tags(index) if is_centres_name(name)}
    for name in sorted(names):
        count = sum(name in file.tags(index) for index in indexes)
        if count < len(indexes):
            yield f"{where}: {count} of {len(indexes)} bands have a tag {name!r}: not read"


def _file_vectors(file: Any) -> list[Vector]:
    """The lists of numbers among the tags of the whole file that concern bands."""
    vectors = []
    for domain in DOMAINS:
        tags = file.tags(ns=domain)
        unit = _first([tags], UNITS)
        for name, text in tags.items():
            if not (is_centres_name(name) or is_widths_name(name) or name.lower() == FLAGS):
                continue
            parts = [part for part in re.split(r"[\s,;{}\[\]()]+", text) if part]
            with suppress(ValueError):
                values = np.array([float(part) for part in parts])
                vectors.append(Vector(name, values, unit))
        named = vector_of_texts(BAND_NAMES, _band_names(tags))
        if named is not None:
            vectors.append(Vector(BAND_NAMES, named.values, named.unit or unit))
    return vectors


def _band_names(tags: Mapping[str, str]) -> list[str]:
    """The tags ``Band_1``, ``Band_2`` …, in which GDAL keeps the band names of ENVI headers."""
    names: list[str] = []
    while f"Band_{len(names) + 1}" in tags:
        names.append(tags[f"Band_{len(names) + 1}"])
    return names


def _first(tags: Sequence[Mapping[str, str]], names: Sequence[str]) -> str:
    """The first value of the named tags, in any case, that is not empty."""
    for one in tags:
        for name, text in one.items():
            if name.lower() in names and text:
                return text
    return ""


def _metadata(file: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(file.tags())
    if not file.transform.is_identity:
        metadata["transform"] = tuple(file.transform)[:6]
    if file.crs:
        metadata["crs"] = file.crs.to_wkt()
    if any(scale != 1 for scale in file.scales) or any(file.offsets):
        metadata["scales"] = file.scales
        metadata["offsets"] = file.offsets
    return metadata


@contextmanager
def _opened(path: Path, page: int | None = None) -> Iterator[Any]:
    name = str(path) if page is None else f"GTIFF_DIR:{page}:{path}"
    try:
        with warnings.catch_warnings(), _without_messages_that_are_no_text():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            # No other driver: a text file that names other files is no cube.
            with rasterio.open(name, driver="GTiff") as file:
                yield file
    except (rasterio.errors.RasterioError, UnicodeDecodeError) as error:
        raise _damaged(path, error.__cause__ or error) from error


@contextmanager
def _without_messages_that_are_no_text() -> Iterator[None]:
    """Do not print that a message of GDAL, with bytes of a damaged file, is not in UTF-8.

    rasterio (1.4.4) cannot decode it for its log; the error itself is raised in any case.
    """
    report_unraisable = sys.unraisablehook
    report_error = sys.excepthook

    def unraisable(found: sys.UnraisableHookArgs) -> None:
        if not _is_of_rasterio(found.exc_value):
            report_unraisable(found)

    def error(kind: Any, value: Any, trace: Any) -> None:
        if not _is_of_rasterio(value):
            report_error(kind, value, trace)

    sys.unraisablehook = unraisable
    sys.excepthook = error
    try:
        yield
    finally:
        sys.unraisablehook = report_unraisable
        sys.excepthook = report_error


def _is_of_rasterio(error: BaseException | None) -> bool:
    """Whether rasterio could not decode a text."""
    if not isinstance(error, UnicodeDecodeError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or "rasterio" in trace.tb_frame.f_code.co_filename


def _damaged(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path} cannot be read as TIFF: {error}", fix="copy or save the file again")
