"""Run files: strict YAML with lines, the form that a run file must have, and parameters."""
