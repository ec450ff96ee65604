"""Lock files of Python's tools as definitions: ``uv.lock``, and ``pylock.toml`` (PEP 751).

Read ``lines`` (what both become), then ``uv_lock`` (with ``staleness``) and ``pylock`` (with ``lock_markers``). All
versions, digests, markers and places are those of the file; uv fetches and installs exactly these, or fails.

Imports ``source``, ``requirements`` and ``tools`` (the project beside a lock), and what those may import.

Doors: pylock, uv_lock.
"""
