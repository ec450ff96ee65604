"""What is wrong with this machine, with what roost uses of it, and with what roost has stored; ``roost doctor``.

Reading order: ``findings`` (results), ``verdicts`` (from what was found to a result with a remedy, pure), ``deadlines``
(checks beside one another, none of which can hide another), ``surroundings`` (what checks look at), then the checks:
``stored`` (index and root), ``machine`` (disk, links, clock, linger), ``process`` (the daemon, its unit, uv and the
like), ``pythons``, ``docker``, ``registries``, ``sources`` (channels and package indexes, by HTTP), ``credentials``;
``examination`` has the table of all. Checks change nothing. What is about the caller's shell is checked by the client.

Imports whatever it looks at: ``config``, ``credentials``, ``engines``, ``oci``, ``locks``, ``gc``, ``repair`` and the
store.

Doors: deadlines, examination, findings, surroundings.
"""
