"""The project layer: the project of a ``pyproject.toml``, installed on top of its dependencies in a prefix of its own.

Read in this order: ``layer`` (the lock of a layer: that of the dependencies and the project; pure), ``lookup`` (which
prefix a plan is for), ``install`` (its build backend runs), ``errors`` (what became of it). Building a layer is
building the prefix of its lock (``prefixes``), so it is published, checked, repaired, collected and recovered as every
other prefix.

May import ``background``, ``engines`` and ``jobs`` of the daemon, the store and the model.

Doors: errors, install, layer, lookup.
"""
