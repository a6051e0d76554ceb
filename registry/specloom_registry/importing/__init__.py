"""Imports of pinned plugins, and what a plugin does when it is imported."""
