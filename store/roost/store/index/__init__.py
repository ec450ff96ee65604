"""The index: all records of roost, in one SQLite file.

Read ``index`` first (one object per table family), then ``queries`` (how a function of SQL becomes a method), then
``transactions`` (transactions that span families), ``removals`` (of versions of environments) and ``names`` (whose an
automatic name is). ``tables`` has a module for each family; ``database`` runs the queries; ``packages`` has which locks
hold which packages, and ``cache_keys`` what prefixes need of the caches, which migrations fill.

May import ``roost.model``, ``disk`` and the modules ``clock`` and ``failpoints``.

Doors: cache_keys, index, packages, removals.
"""
