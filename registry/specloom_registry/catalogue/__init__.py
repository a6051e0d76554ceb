"""What plugins offer: descriptors, JSON Schema, tables, lists."""
