"""Definitions on this machine's disk: search for environment files, file access for readers, conda environments.

Read ``discover`` (the search from a working folder upwards; ``stops`` says what ends it) and ``files`` (``LocalFiles``,
which readers and digests use) first; ``python_versions`` searches for a ``.python-version``, ``conda_environments``
finds conda environments, ``conda_prefixes`` with ``installed_pip`` reads one; ``repositories``
finds the repository and remote of a file.

May import ``roost.model`` and its readers.

Doors: conda_environments, conda_prefixes, discover, files, python_versions, repositories.
"""
