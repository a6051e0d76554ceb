"""Plugins' files on disk, by the hash of what they hold, and locks between processes."""
