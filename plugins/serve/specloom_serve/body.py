"""The bodies of HTTP: a cube as NPY, a path as JSON, or files in a form."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom_serve.errors import RefusedError
from specloom_serve.form_body import SEND, Form
from specloom_serve.npy_body import (
    RECEIVE_INTO,
    check_cube,
    check_mask,
    in_time,
    read_array,
    receive_cube,
)
from specloom_serve.service import DATA, HEADER, Sent, SentArray, SentPair, SentPath, pair_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from starlette.requests import Request

    from specloom_serve.settings import Limits

NPY_TYPES = ("application/x-npy", "application/octet-stream")
"""What the media type of a cube in the body may be."""

FORM_TYPE = "multipart/form-data"

JSON_BYTES = 8192
"""The longest body in JSON."""

HEADER_BYTES = 2_000_000
"""The longest header of an ENVI pair: of thousands of bands, each with a name and a wavelength."""

PATH = 'send {"path": "scene.hdr"}, and "variable" where the file holds several arrays'


async def read_body(
    request: Request,
    wavelengths: NDArray[np.float64] | None,
    limits: Limits,
    files: AsyncExitStack,
) -> Sent:
    """The cube of a request.

    Args:
        request: The request.
        wavelengths: Of an array: band centres in nm, (C,).
        limits: The limits.
        files: Removes the files that were written, when the request is over.

    Raises:
        RefusedError: The body is of another type, malformed, too large or late.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        what = "the body is compressed by its content encoding"
        raise RefusedError(415, what, "send it without 'Content-Encoding'")
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    stated = _stated_length(request)
    chunks = aiter(request.stream())
    if media_type in NPY_TYPES:
        receive_into = request.scope.get("state", {}).get(RECEIVE_INTO)
        values = await receive_cube(chunks, stated, limits, receive_into)
        return SentArray(values, wavelengths)
    if media_type not in ("application/json", FORM_TYPE):
        what = "the body is none of NPY, JSON and a form by its content type"
        fix = "send 'Content-Type: application/x-npy', or application/json with a path"
        raise RefusedError(415, what, fix)
    async with in_time(limits.body_seconds):
        if media_type == FORM_TYPE:
            return await _read_form(Form(chunks, content_type), wavelengths, limits, files)
        if wavelengths is not None:
            raise _own_wavelengths()
        return await _read_path(chunks, stated)


async def _read_form(
    form: Form,
    wavelengths: NDArray[np.float64] | None,
    limits: Limits,
    files: AsyncExitStack,
) -> Sent:
    """The cube of a form: ``header`` and ``data`` of ENVI, or ``cube`` and ``valid`` as NPY.

    Raises:
        RefusedError: It has other parts, or one is malformed or too large.
    """
    folder = files.enter_context(pair_folder())
    arrays: dict[str, NDArray[Any]] = {}
    written: set[str] = set()
    async for name in form.names():
        if name in arrays or name in written:
            raise RefusedError(400, f"the form has two parts {name!r}", SEND)
        if name == "cube":
            arrays[name] = await read_array(form.data(), None, check_cube, limits)
        elif name == "valid":
            arrays[name] = await read_array(form.data(), None, check_mask, limits)
        elif name == "header":
            await _write(form.data(), folder / HEADER, HEADER_BYTES, "ENVI header")
            written.add(name)
        elif name == "data":
            await _write(form.data(), folder / DATA, limits.body_bytes, "cube")
            written.add(name)
        else:
            raise RefusedError(400, "the form has a part of another name", SEND)
    if written == {"header", "data"} and not arrays:
        if wavelengths is not None:
            raise _own_wavelengths()
        return SentPair(folder)
    if written or "cube" not in arrays:
        raise RefusedError(400, "the form has not the parts of one cube", SEND)
    return SentArray(arrays["cube"], wavelengths, arrays.get("valid"))


async def _write(chunks: AsyncIterator[bytes], file: Path, most: int, label: str) -> None:
    """Write a part into a file.

    Raises:
        RefusedError: It is too large.
    """
    size = 0
    with file.open("wb") as opened:
        async for chunk in chunks:
            size += len(chunk)
            if size > most:
                what = f"the {label} has more than {most} bytes"
                raise RefusedError(413, what, "send a smaller cube, or a path below the root")
            opened.write(chunk)


async def _read_path(chunks: AsyncIterator[bytes], stated: int | None) -> SentPath:
    """The body ``{"path": …, "variable": …}``.

    Raises:
        RefusedError: It is something else, or too long.
    """
    body = bytearray()
    async for chunk in chunks:
        if len(body) + len(chunk) > JSON_BYTES or (stated or 0) > JSON_BYTES:
            what = f"the JSON body has more than {JSON_BYTES} bytes"
            raise RefusedError(413, what, PATH)
        body += chunk
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is no JSON", PATH) from None
    if not isinstance(found, dict) or not isinstance(found.get("path"), str):
        raise RefusedError(400, "the body names no path", PATH)
    if not found.keys() <= {"path", "variable"}:
        raise RefusedError(400, "the body has other keys than path and variable", PATH)
    if not isinstance(found.get("variable", ""), str):
        raise RefusedError(400, "the variable is no text", PATH)
    return SentPath(found["path"], found.get("variable"))


def _own_wavelengths() -> RefusedError:
    what = "wavelengths are only for arrays in a body"
    return RefusedError(400, what, "leave them out: the file has its own")


def _stated_length(request: Request) -> int | None:
    """The length that a request states.

    Raises:
        RefusedError: It is no number.
    """
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise RefusedError(400, "the content length is no number", "send the number of bytes")
    return int(text)
