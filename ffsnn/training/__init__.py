"""A training run: the trainer, its optimisers, its folder on disk."""
