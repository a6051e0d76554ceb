"""What every room uses: errors with exit codes, tables, work in parallel."""
