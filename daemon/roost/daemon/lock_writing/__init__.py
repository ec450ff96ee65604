"""Writing the ``roost.lock`` beside a definition, and comparing it with the definition.

Read in this order: ``merging`` (the new content from the old and new locks: pure), ``portability`` (which locks a file
can have), ``writer`` (one file, as a sequence), ``checks`` (what does not fit).

Imports ``edits`` for solving and for the replacement of files, ``workspace``, ``lock_files`` and what is below them.

Doors: checks, writer.
"""
