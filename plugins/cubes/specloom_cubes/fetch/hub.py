"""What the hub says of a data set, and its files, through ``huggingface_hub``.

Of it are used what describes a data set and what transfers one file. Measured with version 2.4.0:
its ``hf_hub_download`` removes the part of a file when a transfer ends, so that the next call
starts at its first byte; it takes a local file for complete without a look at its bytes, and
compares only the size of what it downloads. So parts stay here, and hashes are computed here.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specloom import IntegrityError, UnavailableError
from specloom_cubes.fetch.lock import CACHE, REVISION, SHA256, check_name

DEFAULT_ENDPOINT = "https://huggingface.co"
MAX_FILES = 100_000
PARTS = f"{CACHE}/specloom"
AGAIN = "run the command again: what was downloaded is not downloaded again"


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub describes it.

    Args:
        name: Its path within the data set.
        size: In bytes.
        sha256: Of a large file its SHA-256; else empty.
        blob: Of another file the hash that Git has of it; else empty.
    """

    name: str
    size: int
    sha256: str
    blob: str


@dataclass(frozen=True)
class Snapshot:
    """A data set at one revision.

    Args:
        repository: Its name.
        revision: The commit.
        license: As its card states it; empty where it states none.
        files: Its files, in the order of their names.
    """

    repository: str
    revision: str
    license: str
    files: tuple[RemoteFile, ...]


def endpoint() -> str:
    """The address of the hub."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def snapshot(repository: str, revision: str | None) -> Snapshot:
    """What a data set is at a revision, by default at the newest one.

    Raises:
        UnavailableError: The hub cannot be reached, or has no such public data set or revision.
        IntegrityError: It describes files that cannot be.
    """
    hub = _import_hub()
    with _explained(repository, revision):
        api = hub.HfApi(endpoint=endpoint(), token=False)
        info = api.dataset_info(repository, revision=revision, files_metadata=True, timeout=30)
    try:
        return _checked(repository, info)
    except (ValueError, TypeError, AttributeError) as error:
        what = f"{endpoint()} describes {repository} in a way that cannot be used: {error}"
        raise IntegrityError(what, fix="check HF_ENDPOINT, or report it to the hub") from error


def download(taken: Snapshot, file: RemoteFile, folder: Path) -> Path:
    """Download a file of a data set to a part beside the data; a part that is there is continued.

    Raises:
        UnavailableError: The transfer was cut, or the hub cannot be reached.
    """
    hub = _import_hub()
    transfer = importlib.import_module("huggingface_hub.file_download")
    utils = importlib.import_module("huggingface_hub.utils")
    url = hub.hf_hub_url(
        taken.repository,
        file.name,
        repo_type="dataset",
        revision=taken.revision,
        endpoint=endpoint(),
    )
    part = part_of(folder, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    with _explained(taken.repository, taken.revision), part.open("ab") as output:
        if output.tell() > file.size:
            output.truncate(0)
        transfer.http_get(
            url,
            output,
            resume_size=output.tell(),
            headers=utils.build_hf_headers(token=False),
            expected_size=file.size,
            displayed_filename=file.name,
        )
    return part


def part_of(folder: Path, file: RemoteFile) -> Path:
    """Where a file is until it is complete and compared: by its hash, whatever the revision."""
    return folder / PARTS / f"{file.sha256 or file.blob}.part"


def partial_bytes(folder: Path) -> int:
    """The size of the parts of files that earlier calls downloaded."""
    return sum(part.stat().st_size for part in (folder / PARTS).glob("*.part"))


@contextmanager
def only_fetch(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into a folder."""
    utils = importlib.import_module("huggingface_hub.utils")
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    with utils.WeakFileLock(folder / PARTS / "lock"):
        yield


def _import_hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UnavailableError(
            f"fetching data needs the package huggingface_hub, which cannot be imported ({error})",
            fix="pip install 'specloom-cubes[fetch]'",
        ) from error


@contextmanager
def _explained(repository: str, revision: str | None) -> Iterator[None]:
    """Errors of the client as errors that a user can read."""
    errors = importlib.import_module("huggingface_hub.errors")
    transport = importlib.import_module("httpx2")
    try:
        yield
    except errors.GatedRepoError as error:
        what = f"the data set {repository} is not public: its owner grants access to each user"
        raise UnavailableError(what, fix="use a public data set, or download it by hand") from error
    except errors.RevisionNotFoundError as error:
        what = f"{endpoint()} has no revision {revision} of {repository}"
        fix = "check the revision; with a lock, --update takes the present one"
        raise UnavailableError(what, fix=fix) from error
    except errors.RepositoryNotFoundError as error:
        what = f"{endpoint()} has no public data set {repository}"
        raise UnavailableError(what, fix="check the name: OWNER/NAME") from error
    except (
        errors.HfHubHTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        transport.HTTPError,
    ) as error:
        what = f"{endpoint()} cannot be used: {_first_line(error)}"
        raise UnavailableError(what, fix=f"check the network and HF_ENDPOINT; {AGAIN}") from error
    except OSError as error:
        if error.errno is not None:
            raise  # a full disk, or a folder that cannot be written
        what = f"a download of {repository} was cut: {_first_line(error)}"
        raise UnavailableError(what, fix=AGAIN) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _checked(repository: str, info: Any) -> Snapshot:
    """What the hub says, in types that can be relied on.

    Raises:
        ValueError: A name leads out of the folder, or a size or hash is not there.
    """
    if REVISION.fullmatch(info.sha or "") is None:
        raise ValueError(f"its revision is {str(info.sha)[:80]!r}")
    siblings = info.siblings or []
    if len(siblings) > MAX_FILES:
        raise ValueError(f"it has {len(siblings)} files, more than {MAX_FILES}")
    files = {}
    for one in siblings:
        check_name(one.rfilename)
        sha256 = ""
        if one.lfs is not None:
            sha256 = one.lfs.sha256
        blob = one.blob_id or ""
        hashed = SHA256.fullmatch(sha256) is not None or REVISION.fullmatch(blob) is not None
        if type(one.size) is not int or one.size < 0 or not hashed:
            raise ValueError(f"{one.rfilename!r} has no size and hash")
        files[one.rfilename] = RemoteFile(one.rfilename, one.size, sha256, blob)
    ordered = tuple(files[name] for name in sorted(files))
    return Snapshot(repository, info.sha, _license(info), ordered)


def _license(info: Any) -> str:
    if info.card_data is None:
        return ""
    stated = info.card_data.get("license")
    if isinstance(stated, list):
        stated = ", ".join(map(str, stated))
    return str(stated or "")[:80]
