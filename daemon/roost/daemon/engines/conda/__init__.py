"""The conda engine: solve, fetch, link and activate conda packages with py-rattler, without a conda installation.

Read ``engine`` first. Choosing packages: ``channels`` (pure), ``client``, ``specs``, ``platforms`` (virtual packages),
``records``, ``explicit``, ``distributions``. Making prefixes: ``cache``, ``link``, ``marks``, ``scripts``,
``activation``. Comparing: ``versions``. Failures: ``errors`` (the classes, importable without rattler), ``translation``
(from rattler's).

Imports ``credentials``, ``jobs.progress``, ``roost.store.disk`` and ``roost.model``; no other engine.

Doors: activation, cache, engine, explicit, marks, platforms, scripts, specs, versions.
"""
