"""Graphs as data, as text and as pictures, and their execution plans."""
