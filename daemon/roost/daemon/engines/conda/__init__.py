"""The conda engine: solve, fetch, link and activate conda packages with py-rattler, without a conda installation.

Read ``engine`` first, then ``jobs``: what it has done in workers, by the package ``native``, the only one that imports
rattler. Choosing packages: ``channels`` (pure), ``platforms`` (virtual packages), ``explicit``,
``rules`` (specs and versions). Making prefixes:
``cache``, ``archives`` (packages as files), ``link``, ``package_paths`` (pure: what stays in a prefix), ``marks``,
``scripts``, ``activation``, ``package_code`` (which packages run code). Failures: ``errors``, and ``translation`` from
rattler's.

Imports ``background``, ``credentials``, ``workers``, ``jobs.progress``, ``roost.store`` and ``roost.model``; no other
engine.

Doors: activation, cache, channels, engine, errors, explicit, jobs, marks, package_code, platforms, rules, scripts.
"""
