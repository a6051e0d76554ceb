"""Run files: strict YAML with lines, parameters, and the way from a file to a graph."""
