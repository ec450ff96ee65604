"""The HTTP server on a Unix socket: what holds for every route, and knows none.

Reading order: ``routing`` (how a route is written), ``bodies`` (what is read of a request, bounded), ``app``
(middlewares: request ids, errors, protocol, activity), ``keys`` (typed access to services), ``streams`` (NDJSON
responses), ``openapi`` (the document of all routes). Below HTTP: ``connections`` (answers to what is not a request),
``sockets`` (the listening socket and systemd), ``accepting`` (as many connections as there are descriptors for),
``peers`` (only the owner may connect). Beside it: ``logs`` (the daemon's log file), ``repeats`` (how often it repeats
itself).

Imports ``jobs``, ``credentials``, ``config``, the store, the model and the wire;
not ``services``, which is beside it.

Doors: accepting, app, keys, logs, openapi, peers, routing, sockets, streams.
"""
