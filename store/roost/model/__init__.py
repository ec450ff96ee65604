"""The model: everything that roost computes without effects, as values and pure functions.

Read ``definition`` (what a user wrote) first, then ``locks.lock`` (what a solve selected), ``records`` (rows of the
index) and ``errors``. ``canonical`` digests definitions, ``syntax`` holds the grammars of other tools, ``readers`` and
``writers`` convert between files and definitions.

Imports no other package of roost, and no os, pathlib, sqlite3 or asyncio: files are passed in.

Doors: caches, definition, errors, history, names, origins, package_uses, records.
"""
