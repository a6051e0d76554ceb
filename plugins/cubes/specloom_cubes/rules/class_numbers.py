"""Class numbers that have a meaning of their own."""

UNLABELLED = -1
"""The class number of a pixel of which nothing is known."""
