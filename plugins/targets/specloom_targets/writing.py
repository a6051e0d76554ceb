"""Write spectra as a table or as an ENVI spectral library."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import ConfigError, write_file

if TYPE_CHECKING:
    from specloom_cubes import Spectra

FORMATS = (".csv", ".sli")


def write_spectra(spectra: Spectra, path: Path) -> list[Path]:
    """Write spectra as ``.csv``, or as ``.sli`` with its header ``.hdr``.

    A table has a row for each band with its centre and width where these are known, else a row for
    each spectrum. Numbers are written with all digits, as float64.

    Returns:
        The files.

    Raises:
        ConfigError: The ending is another one.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(
            f"spectra cannot be written as {path.name}", fix="use the ending .csv or .sli"
        )
    if suffix == ".csv":
        write_file(path, _table(spectra).encode("utf-8"))
        return [path]
    header = path.with_suffix(".hdr")
    write_file(path, spectra.values.astype("<f8").tobytes())
    write_file(header, _header(spectra).encode("utf-8"))
    return [path, header]


def _table(spectra: Spectra) -> str:
    text = io.StringIO(newline="")
    if spectra.unit:
        text.write(f"# unit: {spectra.unit}\r\n")
    table = csv.writer(text)
    if spectra.wavelengths is None:
        bands = spectra.values.shape[1]
        table.writerow(["name", *(f"band {band}" for band in range(bands))])
        for name, values in zip(spectra.names, spectra.values.tolist(), strict=True):
            table.writerow([name, *values])
        return text.getvalue()
    headings = ["wavelength_nm"]
    columns = [spectra.wavelengths]
    if spectra.fwhm is not None:
        headings.append("fwhm_nm")
        columns.append(spectra.fwhm)
    table.writerow([*headings, *spectra.names])
    table.writerows(np.column_stack([*columns, *spectra.values]).tolist())
    return text.getvalue()


def _header(spectra: Spectra) -> str:
    count, bands = spectra.values.shape
    fields: dict[str, Any] = {
        "samples": bands,
        "lines": count,
        "bands": 1,
        "header offset": 0,
        "file type": "ENVI Spectral Library",
        "data type": 5,
        "interleave": "bsq",
        "byte order": 0,
    }
    if spectra.unit:
        fields["z plot titles"] = f"{{Wavelength, {_plain(spectra.unit)}}}"
    fields["spectra names"] = _block([_plain(name) for name in spectra.names])
    if spectra.wavelengths is not None:
        fields["wavelength units"] = "Nanometers"
        fields["wavelength"] = _block(_numbers(spectra.wavelengths))
    if spectra.fwhm is not None:
        fields["fwhm"] = _block(_numbers(spectra.fwhm))
    lines = ["ENVI", *(f"{key} = {value}" for key, value in fields.items())]
    return "\n".join(lines) + "\n"


def _numbers(values: Iterable[float]) -> list[str]:
    return [repr(float(value)) for value in values]


def _block(parts: Sequence[str]) -> str:
    return f"{{{', '.join(parts)}}}"


def _plain(text: str) -> str:
    """Text without what would end a block, a line or a name."""
    return re.sub(r"[{},\r\n]+", " ", text)
