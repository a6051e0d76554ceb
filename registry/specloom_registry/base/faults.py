"""What the registry raises beside ``ConfigError`` and ``PluginError``: each with its exit code."""

from __future__ import annotations

import re

from specloom.contract.errors import (
    IntegrityError,
    PluginError,
    Problems,
    SpecloomWarning,
    UnavailableError,
)

SECRET = re.compile(r"(?<=://)[^/@\s'\"]+@")


class PluginIntegrityError(PluginError, IntegrityError):
    """A plugin's code is not the code that was locked; exit code 3."""


class PluginUnavailableError(PluginError, UnavailableError):
    """A plugin's code cannot be had now: no network, no disk, no tool; exit code 4."""


class ProblemsIntegrityError(Problems, IntegrityError):
    """Several plugins are not what was locked; exit code 3."""


class ProblemsUnavailableError(Problems, UnavailableError):
    """Several plugins cannot be had now; exit code 4."""


class RegistryWarning(SpecloomWarning):
    """Something about a plugin that the user should know of; nothing stops."""


def redacted(text: str) -> str:
    """``text`` without the credentials of URLs.

    >>> redacted("fatal: https://me:pw@example.org/x not found")
    'fatal: https://***@example.org/x not found'
    """
    return SECRET.sub("***@", text)
