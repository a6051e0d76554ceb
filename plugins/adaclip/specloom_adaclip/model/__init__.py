"""The AdaCLIP network and what it is made of: pure PyTorch, no files."""
