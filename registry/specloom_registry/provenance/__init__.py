"""What a run was made of, and how to repeat it."""
