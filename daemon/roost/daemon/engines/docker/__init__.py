"""The Docker engine: its images, builds in it, and its containers.

Reading order: ``values`` (what goes in and out), ``errors``, ``address`` and ``client`` (the connection), ``images``
with ``ids`` and ``archive``, ``building`` (steps, contexts and the two builders) and ``engine``, ``containers`` with
``options``, ``probes`` and ``streams``.

Imports ``engines.registry`` (credentials for pulls and builds), ``jobs``, ``oci`` and the store's disk modules, and no
other engine. Only ``errors``, ``values``, ``labels`` and ``building.steps`` can be imported without loading the Docker
SDK.

Doors: address, containers, engine, errors, labels, values.
"""
