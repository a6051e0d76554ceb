"""What manifest, lock, index and a plugin's own files say: read, checked, never executed."""
