"""The types of the protocol between client and daemon: HTTP/1.1 with JSON over a Unix socket.

Described once, for the daemon and for the slow paths of the client; the hot path (``roost exec`` of a known
environment) imports none of these modules. Streams are NDJSON, one ``Message`` per line. Times are RFC 3339 UTC, sizes
are bytes, digests are ``sha256:`` and 64 hex digits. The names of fields are the protocol: they never change.

Read ``protocol`` first, then ``plans`` (the ``EnvironmentSelector`` of most requests), then ``environments``,
``builds``, ``runs``, ``bundles``, ``collection``, ``compare``, ``edits``, ``exchange`` and ``leases``, independent
subjects. ``installation`` is apart: the version, and how each of the two starts Python processes of roost; without
msgspec, for clients that must start fast. ``run_output`` is how both bound the output of a detached run, ``visible``
how both print text of others.

May import nothing else of roost.

Doors: builds, bundles, collection, compare, edits, environments, exchange, installation, leases, plans, protocol,
repairs, run_output, runs, visible, watches.
"""
