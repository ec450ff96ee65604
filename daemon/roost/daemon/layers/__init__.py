"""The conda packages and wheels of a lock as layers of an image, written without running anything in a container.

Read ``grouping`` (which packages share a layer, pure) and ``writer`` (from a lock to stored layers) first. The writer
fills a ``stage``, which is split by package: ``conda_packages``, ``wheels``, ``bytecode``. ``tar`` writes archives.

Imports the conda, uv and host Python engines, ``credentials``, ``jobs.progress``, ``oci``, ``roost.store`` and
``roost.model``.

Doors: grouping, tar, writer.
"""
