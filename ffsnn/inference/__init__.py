"""Predictions by a trained network: how long they take, and how they can be had after fewer time steps."""
