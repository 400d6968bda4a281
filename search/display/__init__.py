"""A search on the screen: while it runs, and at its end."""
