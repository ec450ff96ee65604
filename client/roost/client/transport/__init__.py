"""Requests to the daemon over its Unix socket, and starting it.

Reading order: ``http`` (HTTP/1.1 for one request), ``connection`` (JSON requests to one daemon), ``variables`` (what a
request takes from this process's environment variables), ``root_holder`` (the process that has the root),
``patience`` (a daemon that does not answer), ``autostart`` with ``daemon_process`` (start the daemon), ``stopping``,
``session`` (requests that survive the end of a daemon).

May import ``roost.client.paths``, ``roost.client.errors`` and ``roost.wire.installation``.

Doors: autostart, connection, patience, repair, root_holder, session, stopping, variables.
"""
