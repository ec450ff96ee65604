"""Repair of a root whose daemon is away: its modes, its index, and what lies in it without belonging there.

Read ``findings`` first (what is wrong with what was listed; pure), then ``inspection`` (list a root), ``modes``,
``repair`` (the sequence), and ``offline`` (the process ``roostd --repair``). ``doctor`` shows the findings while a
daemon runs.

May import ``prefixes``, ``integrity``, ``config`` and ``roost.store``.

Doors: inspection, offline.
"""
