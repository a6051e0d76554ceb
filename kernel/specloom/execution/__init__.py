"""Plans compiled from graphs, runs, their folders and saved pipelines."""
