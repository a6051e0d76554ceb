"""Downloads that go on where they were interrupted."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from specloom import ConfigError, IntegrityError, UnavailableError
from specloom_adaclip.weights.file_types import not_weights

CHUNK = 1 << 20
TIMEOUT = 30.0
TRIES = 4
AGAIN = "run the same command again: it goes on where it stopped"


class Interrupted(Exception):  # noqa: N818  # no error yet: the download is tried again
    """The connection ended before the file did."""


def download(
    url: str,
    part: Path,
    size: int | None = None,
    tell: Callable[[int, int | None], None] = lambda done, total: None,
    pause: float = 1.0,
) -> None:
    """Complete ``part`` with what ``url`` gives.

    Args:
        url: An http or https address.
        part: Where the file grows; what is there already is not asked for again.
        size: The length that the file must have, if that is known.
        tell: Called with the bytes that are there and the bytes of the whole, or None.
        pause: Seconds to wait before the second try; twice as long before each further one.

    Raises:
        ConfigError: The address is none of http.
        IntegrityError: The server sends a page, or a file of another length.
        UnavailableError: The server cannot be reached, or refuses, or the disk is full.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is no http address", fix="use specloom weights add NAME FILE")
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _attempt(url, part, size, tell)
        except (Interrupted, http.client.HTTPException, ConnectionError, TimeoutError) as e:
            reason = str(e) or type(e).__name__
        except urllib.error.HTTPError as e:
            if e.code < 500:
                what = f"{url} answers {e.code} {e.reason}"
                raise UnavailableError(what, fix="check the address, or add a local file") from e
            reason = f"{e.code} {e.reason}"
        except urllib.error.URLError as e:
            reason = str(e.reason)
        except OSError as e:
            fix = "make room on the disk, or name another folder in SPECLOOM_WEIGHTS"
            raise UnavailableError(f"{part} cannot be written: {e.strerror}", fix=fix) from e
        else:
            return
    done = part.stat().st_size if part.is_file() else 0
    raise UnavailableError(f"{url} stopped after {done} bytes: {reason}", fix=AGAIN)


def _attempt(
    url: str, part: Path, size: int | None, tell: Callable[[int, int | None], None]
) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    tag = part.with_name(part.name + ".etag")
    have = part.stat().st_size if part.is_file() else 0
    if size is not None and have == size:
        return
    request = urllib.request.Request(url, headers={"User-Agent": "specloom"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if tag.is_file():
            request.add_header("If-Range", tag.read_text("utf-8"))
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as e:
        if e.code != 416 or not have:
            raise
        # Nothing is left behind what is here: complete, or of another file.
        e.close()
        if e.headers.get("Content-Range") != f"bytes */{have}":
            part.unlink()
            raise Interrupted("the server has another file than before") from e
        return
    with answer:
        have = have if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        if size is not None and total not in (None, size):
            part.unlink(missing_ok=True)
            what = f"{url} would give {total} bytes, but the file has {size}"
            raise IntegrityError(what, fix="check the address, or add a local file")
        if etag := answer.headers.get("ETag", ""):
            tag.write_text(etag, "utf-8")
        done = _written(answer, part, have, total, tell)
    if total is not None and done < total:
        raise Interrupted(f"the connection ended {total - done} bytes early")
    tag.unlink(missing_ok=True)


def _written(
    answer: http.client.HTTPResponse,
    part: Path,
    have: int,
    total: int | None,
    tell: Callable[[int, int | None], None],
) -> int:
    with part.open("ab" if have else "wb") as file:
        while chunk := answer.read(CHUNK):
            if have == 0 and (reason := not_weights(chunk[:512])):
                file.close()
                part.unlink()
                fix = "download it with a browser, then: specloom weights add NAME FILE"
                raise IntegrityError(reason, where=answer.geturl(), fix=fix)
            file.write(chunk)
            have += len(chunk)
            tell(have, total)
    return have
