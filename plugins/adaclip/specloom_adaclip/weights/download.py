"""Downloads that continue where they were interrupted.

Own code, because no library at hand does all that weights of gigabytes need. Measured with the
server of this plugin's tests and a file of 51 MB whose connection ends halfway:

- pooch 1.9.0 downloads from the beginning again, and accepts an HTML page as the file.
- ``torch.hub.download_url_to_file`` of torch 2.13 reports half a file as complete, unless its hash
  is known.
- ``huggingface_hub.file_download.http_get`` 2.4.0 (not public) continues, but where the file
  changed on the server it joins the parts of two files, because it sends no ``If-Range``.

Here: continues within one call and in the next one, starts again where the ETag is another,
refuses pages and wrong lengths before they are stored, and uses the proxies of the environment
(urllib's). Hashes are checked by the store.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from specloom import ConfigError, IntegrityError, UnavailableError
from specloom_adaclip.weights.file_types import START_LENGTH, why_not_weights

CHUNK = 1 << 20
TIMEOUT = 30.0
ATTEMPTS = 4
RUN_AGAIN = "run the same command again: it continues the download"

#: Called with the bytes downloaded and the bytes of the whole, or None.
Progress: TypeAlias = Callable[[int, int | None], None]


class InterruptedDownload(Exception):  # noqa: N818  # no error yet: there is another attempt
    """The connection ended before the file did, or the server failed for the moment."""


def ignore_progress(done: int, total: int | None) -> None:
    """Show nothing."""


def download(
    url: str,
    partial: Path,
    size: int | None = None,
    progress: Progress = ignore_progress,
    pause: float = 1.0,
) -> None:
    """Complete the file ``partial`` from ``url``.

    Args:
        url: An http or https address.
        partial: Where the file grows; the bytes that it has are not downloaded again.
        size: The length that the file must have, if that is known.
        progress: Called after each chunk.
        pause: Seconds to wait before the second attempt; twice as long before each further one.

    Raises:
        ConfigError: The address is not of http or https.
        IntegrityError: The server sends a page, or a file of another length.
        UnavailableError: The server cannot be reached, or refuses, or the disk is full.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is no http address", fix="use specloom weights add NAME FILE")
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _attempt(url, partial, size, progress)
        except InterruptedDownload as e:
            reason = str(e)
        else:
            return
    what = f"{url} stopped after {_length(partial)} bytes: {reason}"
    raise UnavailableError(what, fix=RUN_AGAIN)


def _attempt(url: str, partial: Path, size: int | None, progress: Progress) -> None:
    """Download what is missing, and sort errors into those that may pass and those that stay."""
    try:
        _continue(url, partial, size, progress)
    except urllib.error.HTTPError as e:
        if e.code >= 500:
            raise InterruptedDownload(f"{e.code} {e.reason}") from e
        what = f"{url} answers {e.code} {e.reason}"
        raise UnavailableError(what, fix="check the address, or add a local file") from e
    except urllib.error.URLError as e:
        raise InterruptedDownload(str(e.reason)) from e
    except (http.client.HTTPException, ConnectionError, TimeoutError) as e:
        raise InterruptedDownload(str(e) or type(e).__name__) from e
    except OSError as e:
        fix = "free some space on the disk, or set another folder in SPECLOOM_WEIGHTS"
        raise UnavailableError(f"{partial} cannot be written: {e.strerror}", fix=fix) from e


def _continue(url: str, partial: Path, size: int | None, progress: Progress) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    present = _length(partial)
    if size is not None and present == size:
        return
    response = _request(url, partial, present)
    if response is None:
        return
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            present = 0  # the server sends the whole file
        total = _total(response, present)
        if size is not None and total is not None and total != size:
            partial.unlink(missing_ok=True)
            what = f"{url} would send {total} bytes, but the file has {size}"
            raise IntegrityError(what, fix="check the address, or add a local file")
        etag = response.headers.get("ETag")
        if etag:
            _etag_file(partial).write_text(etag, "utf-8")
        done = _append(response, partial, present, total, progress)
    if total is not None and done < total:
        raise InterruptedDownload(f"the connection ended {total - done} bytes early")
    _etag_file(partial).unlink(missing_ok=True)


def _request(url: str, partial: Path, present: int) -> http.client.HTTPResponse | None:
    """Request the bytes from ``present`` on; None where the file is complete.

    Raises:
        InterruptedDownload: The server now has another file.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "specloom"})
    if present:
        request.add_header("Range", f"bytes={present}-")
        etag_file = _etag_file(partial)
        if etag_file.is_file():
            request.add_header("If-Range", etag_file.read_text("utf-8"))
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as e:
        if e.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not present:
            raise
        # The server has no bytes after those present: they are complete, or of another file.
        e.close()
        if e.headers.get("Content-Range") == f"bytes */{present}":
            return None
        partial.unlink()
        raise InterruptedDownload("the server has another file than before") from e
    return response


def _append(
    response: http.client.HTTPResponse,
    partial: Path,
    present: int,
    total: int | None,
    progress: Progress,
) -> int:
    """Append the response, or start the file with it, and return the length of the file."""
    mode = "ab" if present else "wb"
    with partial.open(mode) as file:
        while True:
            chunk = response.read(CHUNK)
            if not chunk:
                return present
            if present == 0:
                _check_start(chunk, response, partial)
            file.write(chunk)
            present += len(chunk)
            progress(present, total)


def _check_start(chunk: bytes, response: http.client.HTTPResponse, partial: Path) -> None:
    reason = why_not_weights(chunk[:START_LENGTH])
    if reason:
        partial.unlink()
        fix = "download it with a browser, then: specloom weights add NAME FILE"
        raise IntegrityError(reason, where=response.geturl(), fix=fix)


def _total(response: http.client.HTTPResponse, present: int) -> int | None:
    """Return the length of the whole file, if the server says it."""
    length = response.headers.get("Content-Length")
    if length is None:
        return None
    return present + int(length)


def _length(file: Path) -> int:
    if file.is_file():
        return file.stat().st_size
    return 0


def _etag_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".etag")
