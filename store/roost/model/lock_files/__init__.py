"""``roost.lock``: the locks of one definition as a text file that is kept under version control.

Read ``lock_file`` (what a file holds, and its form), then ``writing`` and ``parsing``, which are each other's inverse.
Nothing here decides whether a lock fits its definition or may be used.

May import ``locks``, ``records`` and what is below them in the model.

Doors: lock_file, parsing, writing.
"""
