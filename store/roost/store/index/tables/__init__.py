"""The tables of the index, one module for each family.

Each module has its SQL functions and, at its end, its table class. ``where_used`` is the search for packages in locks.
The tables themselves are in ``store.migrations.schema``.

May import ``queries``, ``database``, ``cache_keys`` and ``packages`` of the index, and what the index may.

Doors: artifacts, caches, code_runs, collection, definitions, environments, generations, history, images, layers,
leases, locks, records, upkeep, watches, where_used.
"""
