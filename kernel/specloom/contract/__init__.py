"""What plugins implement: hooks, ports, nodes, sources, trainers, losses, and errors."""
