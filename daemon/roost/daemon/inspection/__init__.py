"""What is in an environment, why, and where: everything is read from its lock, and nothing is built or locked.

Reading order: ``graph`` (who needs whom, pure), ``asked`` (which packages the definition names, and where, pure),
``paths`` (from what is asked for to a package; near names; pure), ``metadata`` (what wheels need, from prefixes and
caches), ``contents`` (the lock of a request with all of these), ``reasons`` (why a package is there),
``programs`` (where an environment is). Apart from these: ``shares`` (disk usage divided among groups, pure), and
``usage``, which gathers what is stored.

Imports ``planning``, ``workspace`` (the resolver), ``runs`` (launches), ``locks``, ``launch``, ``definitions``,
``engines.uv`` (folders of metadata), the store, the model and the wire.

Doors: asked, contents, graph, metadata, programs, reasons, usage.
"""
