"""The index: all records of roost, in one SQLite file.

Read ``index`` first (one object per table family), then ``queries`` (how a function of SQL becomes a method), then
``transactions`` (transactions that span families). Each table module has its SQL functions and, at its end, its table
class. ``database`` runs them, ``schema`` has the tables and migrations, ``packages`` and ``where_used`` the search for
packages in locks.

May import ``roost.model``, ``disk`` and the modules ``clock`` and ``failpoints``.

Doors: definitions, environments, generations, index.
"""
