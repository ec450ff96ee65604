"""What a file offers a choice of, and which of it a request means: extras, dependency groups, the version of Python.

Read ``project`` (the requirements of a ``pyproject.toml``), then ``selection`` (which groups and extras are read, and
what is refused), ``groups`` (PEP 735), ``extras`` (PEP 621) and ``lists`` (requirements in arrays of TOML). ``pythons``
applies a chosen version of Python to what a reader of any format has returned.

Imports ``requirements``, ``source``, ``mistakes.near_keys`` and ``tools`` of the readers, and what those may import.

Doors: lists, project, pythons, selection.
"""
