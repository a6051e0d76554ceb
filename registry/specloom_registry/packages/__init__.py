"""Packages that plugins need: what the environment has, what is installed next to it."""
