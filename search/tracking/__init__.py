"""MLflow: the search folder projected into its store, and its pages prepared for a search."""
