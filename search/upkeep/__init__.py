"""Searches looked after: listed, stopped, renamed, deleted, pruned."""
