"""Graphs: nodes, the connections between their ports, and the sizes that follow from them."""
