"""What people write by mistake: near misses of keys, dependencies in another tool's form, and files of other tools.

Read ``near_keys`` (``dependancies:``), ``dependency_forms`` (``- python: 3.11``), then ``other_files``: what a YAML
file without an environment looks like, by ``file_signatures`` (data). ``unread_files``: Pipenv's, Poetry's and so on.

Imports ``source`` of the readers, and what that may import.

Doors: dependency_forms, near_keys, other_files, unread_files.
"""
