"""The Docker engine: its images, builds in it, and its containers.

Reading order: ``values`` (what goes in and out), ``errors``, ``address`` and ``client`` (the connection), ``images``
with ``ids`` and ``archive``, ``engine`` with ``steps``, ``context``, ``builds``, ``buildx`` and ``base_name``,
``containers`` with ``options``, ``probes`` and ``streams``.

Imports ``engines.registry`` (credentials for pulls and builds), ``jobs``, ``oci`` and the store's disk modules, and no
other engine. Only ``errors``, ``values``, ``labels`` and ``steps`` can be imported without loading the Docker SDK.

Doors: containers, engine, errors, labels, steps, values.
"""
