"""Trained networks handed over: to other frameworks and neuromorphic chips, and to those who build them in logic."""
