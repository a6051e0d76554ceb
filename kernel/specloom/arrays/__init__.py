"""Arrays in, arrays of the same kind out: NumPy, torch and xarray, which is never imported."""
