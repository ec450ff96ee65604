"""Images of environments: probing for them, building, loading, pushing and pulling them.

Read in this order: ``requests`` (what is requested and what results), ``config`` and ``scripts`` (an image's config,
and link scripts as docker steps), ``assembly`` (an image from a base and a lock), ``builds`` (assemble, load, push and
record, once for each key), ``pulls`` (an image of a registry), ``base_choice`` (the base that a generation has or
gets), ``jobs`` (the image's part of a build), ``probe`` (facts for decisions), ``interpreters`` (the Python in an
image), ``unmodified`` (plans for images that are used unmodified).

May import ``bases``, ``launch``, ``definitions``, ``decision``, ``layers``, ``engines``, ``jobs``, ``credentials``,
``oci`` and ``config`` of the daemon, the store, the model and the wire types.

Doors: builds, interpreters, jobs, layer_probe, probe, requests, unmodified.
"""
