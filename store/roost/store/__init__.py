"""The store: one root on disk, its SQLite index, and the protocols that keep both in agreement.

``store.Store`` is the entry: it opens and recovers a root and offers ``store.index`` and ``store.artifacts``. Packages,
lowest first: ``disk`` (paths, file operations, leases), ``sources`` (readers of definitions from disk), ``index`` (all
tables), ``artifacts`` (publish, delete, recover). ``clock``, ``cancellation`` and ``failpoints`` lie below all of them.
Read ``store`` first, then ``artifacts.publish`` and ``artifacts.deletion``. ``docs/dev/store.md`` has the invariants.

May import ``roost.model``; knows no HTTP, no engine and no solver.

Doors: cancellation, clock, failpoints, store.
"""
