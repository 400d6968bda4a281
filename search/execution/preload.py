"""Imported by Ray's processes before any trial is theirs: the trainable, with the garbage collector off meanwhile.

Imports make a million objects that stay, which the collector would look through again and again: 0.6 s of 3.8.
"""

import gc
from importlib import import_module

gc.disable()
try:
    import_module("search.execution.trainable")
finally:
    gc.freeze()
    gc.enable()
