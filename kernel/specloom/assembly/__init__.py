"""From a run file to a graph: what it names is constructed, connected and checked."""
