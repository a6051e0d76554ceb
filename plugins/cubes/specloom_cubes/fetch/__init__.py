"""Public data sets by name: downloaded once, and held to what was downloaded."""
