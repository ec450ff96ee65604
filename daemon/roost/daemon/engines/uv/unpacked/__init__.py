"""What uv unpacks: its cache, in which every wheel is a folder of files that all prefixes share by hard links.

Reading order: ``cache`` (its folders, and those that differ from their RECORD), ``record`` (a RECORD against the files
of its wheel; pure), ``content`` (what was read of files), ``checks`` (each RECORD is checked once, before a prefix with
its files is published), ``removal`` (under uv's own lock).

Imports ``errors`` and ``prefix`` of ``engines.uv``, ``jobs.progress``, ``jobs.unpacking``, and the store's
``regular_files``.

Doors: cache, checks, content, record, removal.
"""
