"""The pip engine: uv locks and installs the pip part of a definition.

Read ``request`` and ``engine`` first. Locking: ``lock`` (one session, in order), ``requirements`` (pip lines to uv's,
pure), ``resolve`` (uv's choice), ``sources`` (a package: sources are checked before their code runs), ``pylock``
(pure). Installing: ``install``, ``prefix``, ``venvs`` (of Pythons that had one before), ``parts`` (wheels that were
installed before are linked without uv), ``unpacked`` (uv's cache). Wheels as files: ``wheels``. Underneath:
``process`` and ``terminal`` (running uv), ``secrets`` (credentials of a request, pure), ``fetch`` (roost's own
downloads). Failures: ``errors`` (the classes), ``translation`` (from uv's output).

Imports ``engines.host_python``, ``credentials``, ``jobs.progress``, ``oci`` (platforms), ``roost.store`` (files,
cancellation) and ``roost.model``; no other engine.

Doors: engine, errors, prefix, process, request.
"""
