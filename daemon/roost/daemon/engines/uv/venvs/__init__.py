"""Virtual environments of Pythons that had one before: made without uv, and described to uv without asking them.

A venv differs from another one of the same Python by its own name only. uv takes a process to make one, and another
start of the Python to install into it, for every new path: together half of what a small environment takes.

Reading order: ``known`` (what is remembered, for each Python), ``template`` (the tree of a venv), ``answers`` (the
command that uv asks in place of the Python), ``siteless`` (the same for other prefixes, in background work).

Imports the standard library, ``msgspec`` and ``background`` only.

Doors: known, siteless.
"""
