"""Base images and the results of docker steps: the images that the layers of an environment are put on.

A base is identified by the digest of its config, which engines and registries agree on. Docker steps never produce the
same result twice, so their layers are stored here; the result of a complete Dockerfile is in the engine only, until it
is pushed.

Reading order: ``naming`` and ``errors``; ``resolve`` (which image a definition's base is, and running its steps),
``materialize`` (getting its layers and loading it into the engine), ``layer_store``, and ``bases``, which holds these
together; ``registry_images``, ``pull``, ``push`` and ``step_sharing`` (registries); ``unmodified`` (bases that nothing
is put on).

Imports the Docker and registry engines, ``layers``, ``decision``, ``jobs``, ``oci``, ``config`` and the store.

Doors: bases, errors, naming, pull, push, registry_images, resolve, step_sharing, unmodified.
"""
