"""A running search: the driver, the searcher and the scheduler that Ray Tune calls, the trainable."""
