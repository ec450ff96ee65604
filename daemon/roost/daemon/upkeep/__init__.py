"""Upkeep of a running daemon's root: what is removed under the daemon is restored, or the daemon ends.

Reading order: ``damage`` (what can be missing, and what follows from it; pure), ``inspection`` (look at the disk),
``upkeep`` (the task that repairs; inotify has an event for each removal, so that an idle daemon sleeps).

May import ``jobs``, ``server.sockets`` and ``roost.store``.

Doors: upkeep.
"""
