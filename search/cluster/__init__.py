"""The machines a search runs on: Ray, the resources of a trial, and the checks of nodes and servers."""
