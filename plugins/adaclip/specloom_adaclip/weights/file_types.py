"""What a file is, by its first bytes."""

from __future__ import annotations

from typing import Literal

FileType = Literal["safetensors", "zip", "pickle", "html", "unknown"]

START_LENGTH = 512
"""The number of first bytes that show the type of a file."""
MAX_HEADER = 100_000_000
HTML_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<head")


def file_type(start: bytes) -> FileType:
    """Return the type of a file that begins with these bytes.

    >>> file_type(b"<!DOCTYPE html><html>"), file_type(b"PK" + bytes([3, 4])), file_type(b"hello")
    ('html', 'zip', 'unknown')
    """
    # First, because the length of a header may look like the beginning of any other type.
    header_length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and header_length < MAX_HEADER:
        return "safetensors"
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if start.startswith(b"\x80"):
        return "pickle"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(HTML_STARTS):
        return "html"
    return "unknown"


def why_not_weights(start: bytes) -> str:
    """Return why a file that begins with these bytes holds no weights; empty where it may."""
    kind = file_type(start)
    if kind == "html":
        return "it is an HTML page, not weights: the server sent a page instead of the file"
    if kind == "unknown":
        return "it is no safetensors file, no saved state dict and no TorchScript archive"
    return ""
