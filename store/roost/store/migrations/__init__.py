"""Schemas of the index, and the way from an older one to the current one.

Read ``schema`` first (the tables, as one script for each schema number), then ``runner`` (refuse, copy, migrate), then
``copies`` (the copy of the index that is stored before a migration).

May import ``roost.model``, ``disk`` and the modules ``clock`` and ``failpoints``.

Doors: runner.
"""
