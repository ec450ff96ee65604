"""Comparison of environments: with each other, over time, and with what a fresh solve would choose.

Reading order: ``operands`` (from what a user names to a definition and a lock), ``diff`` (differences of two operands),
``run_differences`` (of two runs, apart from their environments), ``version_changes`` (a version against its predecessor
or its origin), ``outdated`` (a lock against a fresh solve), ``rollback`` (return to an earlier generation),
``package_specs`` and ``where_used`` (which environments hold a package).

Imports ``workspace``, ``runs``, ``builds`` (history), ``planning``, ``locks``, ``launch``, ``definitions``,
``decision``, ``engines`` (conda's order of versions), ``jobs``, the store, the model and the wire. Nothing is built or
installed here; only ``rollback`` changes the store.

Doors: diff, operands, outdated, rollback, version_changes, where_used.
"""
