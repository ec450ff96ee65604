"""What a project offers a choice of: dependency groups and extras, and which of them a request means.

Read ``project`` (the requirements of a ``pyproject.toml``), then ``selection`` (which groups and extras are read, and
what is refused), ``groups`` (PEP 735), ``extras`` (PEP 621) and ``lists`` (requirements in arrays of TOML).

Imports ``requirements``, ``source``, ``mistakes.near_keys`` and ``tools`` of the readers, and what those may import.

Doors: lists, project, selection.
"""
