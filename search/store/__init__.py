"""The search folder: the one truth about a search."""
