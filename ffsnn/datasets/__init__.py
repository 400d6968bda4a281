"""Data sets: where their files come from, and the images as tensors."""
