"""Searches on recorded learning curves: how well samplers and schedulers search, in seconds and without training."""
