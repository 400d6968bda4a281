"""Compiled paths of a layer, for CPUs (numba) and GPUs (Triton); each has a slow, obvious reference beside it."""
