"""The training of adapters, and the tiny weights made with it."""
