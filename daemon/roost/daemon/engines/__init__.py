"""Adapters with effects, one package for each foreign tool: conda, uv, Docker, registries, the Pythons of this machine.

Read ``engine_set``, which creates each engine on first use, then the engine of interest: in its package, ``engine`` has
its methods and ``errors`` its error classes, importable without the library behind the engine.

Only engines import rattler, docker or uv; their errors are translated there. Engines do not import each other, except
that ``docker`` uses the credentials of ``registry``, and ``uv`` uses ``host_python``. They import ``jobs``,
``credentials``, ``oci``, ``config``, ``roost.store`` and ``roost.model``.

Doors: engine_set.
"""
