"""Client of OCI registries: manifests and blobs over HTTP, with credentials and exact answers.

Reading order: ``values`` and ``errors``; ``engine`` (the client); ``download`` and ``upload`` (blobs); ``http``
(requests, redirects, retries) with ``translation`` (of aiohttp's errors and of statuses); ``auth`` (challenges and
tokens) with ``credentials`` (users and passwords).

Imports ``oci``, ``credentials`` and ``config``, and no other engine.

Doors: credentials, engine, errors, values.
"""
