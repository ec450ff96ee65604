"""The git repository that a run was started in: its commit, and whether its tree was changed.

Nobody waits for it. Reading order: ``repository`` (finds a repository and reads its commit from its files, without a
process), ``status`` (whether the tree differs, by ``git status``, which runs no code of the repository and ends in
time), ``observer`` (both for each run that begins, recorded when they are known). Imports ``jobs``, ``caller`` and what
lies below.

Doors: observer.
"""
