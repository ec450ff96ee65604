"""Exchange with other tools: environments imported from their files, and exported in their formats.

Reading order: ``imports`` (files, folders, archives and conda environments to registered versions), ``archives``
(unpacking an untrusted archive), ``archive_contents`` (rules for a definition that comes from one), ``exports``.

Imports ``workspace``, ``planning``, ``locks``, ``definitions``, ``engines``, ``jobs``, the store, the model and the
wire.

Doors: exports, imports.
"""
