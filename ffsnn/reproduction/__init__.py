"""The method notes' own training and results table, reproduced beside this project's."""
