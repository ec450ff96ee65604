"""A lost or damaged index is rebuilt from what is left of it, from copies, and from what lies beside prefixes and runs.

Read ``rebuild`` first (the sequence, and how the new index takes its place), then ``reading`` (rows of a file that may
be damaged), ``rows`` (whether a row is what was written; pure), ``filling`` (the new index, table by table),
``contents`` (prefixes and runs that are on the disk) and ``copying`` (the daily copy).

May import ``index``, ``migrations``, ``disk`` and ``roost.model``.

Doors: copying, rebuild.
"""
