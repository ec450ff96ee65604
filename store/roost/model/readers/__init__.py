"""Readers: from a file of any known format to a definition and its settings.

Read ``read`` (the entry point), ``source`` (file access and the state of a reading) and ``detect``, then a format:
``conda``, ``requirements``, ``pyproject`` (with two packages: ``tools``, and ``projects``, which has whether there is a
project to install), ``roost_file`` (by the keys of ``roost_keys``), ``explicit``, ``lock_files``, ``docker``,
``azure``, ``azure_jobs``, ``azure_sdk``; ``local_paths`` says where relative paths lead. ``mistakes``, a package, has
what people write that is almost right. A reader goes on after an error (``ReadContext.recover``), so a
document has all problems of its file; everything has a location. No code of a package or project is run, and the disk
is used only through ``source.FileAccess``.

May import ``canonical``, ``definition``, ``documents``, ``errors``, ``names`` and ``syntax`` of the model, but not
``writers``.

Doors: azure_jobs, detect, pyproject, read, requirements, script_blocks, source.
"""
