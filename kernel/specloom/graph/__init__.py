"""Graphs: connections, sizes inferred over them, and the checked graph."""
