"""Changes of environment files on disk: packages added and removed, solved before the file is replaced, and new files.

Read in this order: ``editor`` (one change, as a sequence), ``locking`` (the lock of the changed definition),
``replacement`` (a file replaced in one step, or not at all), ``large_files`` (large files are edited in a worker),
``texts`` (what people read of it), ``beginnings`` (new files). What a change does to a text is decided in
``roost.model.edits``, which is pure.

The daemon writes the file, not the client: it is the one that found and read it, so that nothing else can be meant by
its path, and between the comparison with what was read and the rename there is no message to a client that may be gone.
It runs as the user whose file it is, and changes nothing that this user could not.

Imports ``workspace``, ``builds``, ``planning``, ``locks``, ``definitions``, ``workers``, ``jobs``, the store and the
model.

Doors: beginnings, editor, locking, replacement.
"""
