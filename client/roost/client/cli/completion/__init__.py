"""``completion``: scripts for shell completion, made from the parser.

Read in this order: ``values`` (what completes the value of an argument), ``tree`` (every command as a row of texts),
``bash``, ``zsh`` and ``fish`` (a script that reads such rows), ``command``. A script starts no process: values are in
files that the daemon replaces (``roost.daemon.completions``), and are read by builtins of the shell.

May import ``context`` and ``parser``.

Doors: none.
"""
