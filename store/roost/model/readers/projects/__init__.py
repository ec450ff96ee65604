"""The project of a ``pyproject.toml``: whether there is one to install, and from which files that is done again.

Read ``find``, then ``build_files`` (their digest) and ``commits`` (the commit, for which some are installed again).

May import ``source`` of the readers, and what that may import.

Doors: find.
"""
