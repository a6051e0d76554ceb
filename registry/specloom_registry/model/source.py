"""Where a plugin comes from: a Git tag or a folder, checked before git is started.

Git runs helpers named by URLs and takes options where it expects names, so that only plain forms
of each are let through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import redacted

HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?"
USER = r"[A-Za-z0-9][A-Za-z0-9._-]*"
PATH = r"[^\s\0-\x1f\x7f]+"
HTTPS = re.compile(rf"https://{HOST}/{PATH}", re.ASCII)
SSH = re.compile(rf"ssh://(?:{USER}@)?{HOST}/{PATH}", re.ASCII)
SCP = re.compile(rf"{USER}@[A-Za-z0-9][A-Za-z0-9.-]*:(?![-:]){PATH}", re.ASCII)
FILE = re.compile(r"file:///[^\0-\x1f\x7f]+")
ALLOWED = "https://host/path, ssh://host/path or git@host:path, or name a folder with 'path:'"
TAG = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_+][A-Za-z0-9._+-]*)*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
LONGEST_TAG = 128


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from: a tag of a Git repository, or a folder.

    Args:
        git: The repository's URL; empty for a folder.
        tag: The tag's name.
        commit: The commit that the tag must lead to.
        subdir: The plugin's folder within the repository.
        tag_pattern: How tags spell versions, such as ``rx-v{version}``.
        path: The folder, as the manifest has it.
    """

    git: str = ""
    tag: str = ""
    commit: str = ""
    subdir: str = ""
    tag_pattern: str = ""
    path: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return what the manifest says of it, for the lock."""
        return {name.replace("_", "-"): value for name, value in vars(self).items() if value}


def check_url(url: str, owner: str, where: str, *, allow_file: bool = False) -> None:
    """Refuse a URL that git might take for something else.

    Raises:
        ConfigError: It is not a plain URL of an allowed kind.
    """
    if url.startswith("-"):
        _refuse("source url may not start with '-'", owner, where)
    if re.search(r"[\s\0-\x1f\x7f]", url):
        _refuse(f"source url {url!r} holds a space or a control character", owner, where)
    if FILE.fullmatch(url):
        if not allow_file:
            what = f"E-URL {owner}: {url!r} is a local repository"
            fix = "name the plugin's folder with 'path:', or allow it with --allow-file"
            raise ConfigError(what, where=where, fix=fix)
        return
    if url.startswith("https://") and "@" in url[8:].partition("/")[0]:
        what = f"E-URL {owner}: {redacted(url)!r} holds credentials"
        raise ConfigError(what, where=where, fix="use a credential helper or ssh")
    if re.search("[?#]", url):
        what = f"E-URL {owner}: {redacted(url)!r} holds a query, which may be a secret"
        raise ConfigError(what, where=where, fix="use a credential helper or ssh")
    if not any(pattern.fullmatch(url) for pattern in (HTTPS, SSH, SCP)):
        _refuse(f"source url {redacted(url)!r} is of a kind that is not allowed", owner, where)


def is_url(text: str) -> bool:
    """Check whether a text is the URL of a repository, of a kind that may be allowed."""
    return any(pattern.fullmatch(text) for pattern in (HTTPS, SSH, SCP, FILE))


def check_tag(tag: str, owner: str, where: str) -> None:
    """Refuse what git might take for an option, a pattern or several references.

    Raises:
        ConfigError: It is not a plain tag name.
    """
    if not _is_plain_tag(tag):
        shown = tag
        if len(tag) > 40:
            shown = f"{tag[:37]}..."
        raise ConfigError(
            f"E-TAG {owner}: {shown!r} is not a tag that can be pinned",
            where=where,
            fix="name one tag in full, such as v1.2.0",
        )


def check_subdir(subdir: str, owner: str, where: str) -> None:
    """Refuse a folder that is not plainly within the repository.

    Raises:
        ConfigError: It is absolute, or leads out.
    """
    parts = subdir.split("/")
    if any(part in ("", ".", "..") or re.search(r"[\0-\x1f\x7f\\:]", part) for part in parts):
        raise ConfigError(
            f"E-SUBDIR {owner}: {subdir!r} is not a folder within a repository",
            where=where,
            fix="write it with single slashes, such as plugins/rx",
        )


def _is_plain_tag(tag: str) -> bool:
    if len(tag) > LONGEST_TAG or not TAG.fullmatch(tag):
        return False
    return not any(part.endswith((".lock", ".")) or ".." in part for part in tag.split("/"))


def _refuse(what: str, owner: str, where: str) -> None:
    raise ConfigError(f"E-URL {owner}: {what}", where=where, fix=f"use {ALLOWED}")
