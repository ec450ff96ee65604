"""What a request chooses of what a file offers, and adds to it: extras, groups, the version of Python, packages.

Read ``project`` (the requirements of a ``pyproject.toml``), then ``selection`` (which groups and extras are read, and
what is refused), ``groups`` (PEP 735), ``extras`` (PEP 621) and ``lists`` (requirements in arrays of TOML). ``pythons``
and ``additions`` change what a reader of any format has returned.

Imports ``requirements``, ``source``, ``mistakes.near_keys`` and ``tools`` of the readers, and what those may import.

Doors: additions, lists, project, pythons, selection.
"""
