"""The daemon: what is done with definitions, locks, prefixes and images, and the server that offers it on a socket.

``main`` starts it, ``serve`` serves until it stops, ``services`` wires its parts, ``routes`` is the only package that
takes the wiring apart. Read ``decision`` (what to do, pure), then ``builds.session`` (how it is done, in reading
order), then ``routes``. Packages, lowest first: ``config``, ``oci``, ``credentials``, ``jobs``, ``engines``,
``layers``, ``decision``, ``definitions``, ``launch``, ``locks``, ``bases``, ``images``, ``planning``, ``prefixes``,
``builds``, ``runs``, ``workspace``, ``curated``, ``compare``, ``exchange``, ``server``, ``upkeep``,
``routes``.
``docs/dev/README.md`` has a paragraph about each.

Imports ``roost.store``, ``roost.model`` and ``roost.wire``; each package imports those below it, through their doors.
"""
