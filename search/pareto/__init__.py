"""Searches with several objectives, or with limits: how their trials are ordered, and which are the front."""
