"""What a run was made of, and the same run made again."""
