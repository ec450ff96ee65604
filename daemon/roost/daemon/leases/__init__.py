"""Leases of clients: protection of environments, generations, prefixes and images, and interest in builds.

Reading order: ``expiry`` (when a lease ends; pure), ``leases`` (put, list and release), ``interest`` (builds that go on
because of a lease). What a lease protects is in ``roost.store.index.tables.leases``. Imports ``jobs``, the store's
index, the model and the wire.

Doors: interest, leases.
"""
