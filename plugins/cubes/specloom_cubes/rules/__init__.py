"""What a file says: one rule each for wavelengths, scale and the like, used by every reader."""
