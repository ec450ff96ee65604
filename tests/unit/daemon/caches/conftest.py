"""A store for the tests of caches."""

from __future__ import annotations

from tests.unit.store.conftest import fill, lock_of, root, store

__all__ = ["fill", "lock_of", "root", "store"]
