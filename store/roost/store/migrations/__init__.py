"""Schemas of the index, and the way from an older one to the current one.

Read ``released`` and ``schema`` first (the tables, as one script for each schema number), then ``runner`` (refuse,
copy, migrate), ``copies`` (of the index: before a migration, and of one whose file was removed), and ``examination``
(whether an index is missing, empty or damaged, before any of this).

May import ``roost.model``, ``disk`` and the modules ``clock`` and ``failpoints``.

Doors: copies, examination, runner, schema.
"""
