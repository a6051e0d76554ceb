"""A manifest with its lock and store: resolve, sync, verify, add, maintain."""
