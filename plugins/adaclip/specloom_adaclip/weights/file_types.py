"""What a file is, by its first bytes."""

from __future__ import annotations

PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")


def form(start: bytes) -> str:
    """``safetensors``, ``zip``, ``pickle``, ``page``, or ``""`` for something else.

    >>> form(b"<!DOCTYPE html><html>"), form(b"PK" + bytes([3, 4])), form(b"hello")
    ('page', 'zip', '')
    """
    # First, for the length of a header may look like the beginning of anything.
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 100_000_000:
        return "safetensors"
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if start.startswith(b"\x80"):
        return "pickle"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "page" if text.startswith(PAGES) else ""


def not_weights(start: bytes) -> str:
    """Why a file that begins with these bytes holds no weights; empty where it may."""
    kind = form(start)
    if kind == "page":
        return "it is an HTML page, not weights: the server sent a page in place of the file"
    other = "it is no safetensors file, no saved state dict and no TorchScript archive"
    return "" if kind else other
