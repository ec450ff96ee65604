"""Audits: which advisories of a local file concern the packages of environments. No connection is made.

Reading order: ``views`` (requests and answers), ``audit`` (from a request to findings), ``subjects`` (the packages that
can be looked up, pure), ``advisories`` (the schema of OSV, pure), and then what runs in a worker: ``search`` (the job),
``database`` (files, archives and folders of advisories), ``ranges`` (whether a version is affected, pure), ``severity``
(ratings, pure). ``findings`` makes one of advisories that are the same (pure).

Imports ``workspace``, ``planning``, ``definitions``, ``engines``, ``workers``, ``config``, the store, the model and the
wire.

Doors: audit, views.
"""
