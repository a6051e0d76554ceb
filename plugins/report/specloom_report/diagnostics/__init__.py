"""What ``profile`` measures and what ``doctor`` checks."""
