"""Optuna's study of a search: where it is kept, which points it suggests, how it is brought up to date."""
