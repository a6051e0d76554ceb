"""Files of other systems as run files."""
