"""Files of weights: where they come from, where they are stored and how they are read."""
