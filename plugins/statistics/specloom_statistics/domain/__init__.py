"""What a pipeline was fitted on, and whether a cube is like it."""
