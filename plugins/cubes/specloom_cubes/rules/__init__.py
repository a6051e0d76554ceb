"""One rule each for what a file says: cube, axes, wavelengths, masks and scale."""
