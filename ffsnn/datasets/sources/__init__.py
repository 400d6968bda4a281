"""Sources of data sets of one's own: each module reads one kind of files into what `ffsnn.datasets.add` checks."""
