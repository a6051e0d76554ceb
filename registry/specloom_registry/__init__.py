"""Pinned plugins."""
