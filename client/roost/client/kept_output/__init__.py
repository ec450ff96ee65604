"""``run --keep-output``: the output of a command in the foreground is shown as ever, and stored.

Reading order: ``streams`` (what each standard stream of the command becomes), ``storage`` (what is stored),
``bytes_and_signals`` (pipes in place of pipes; signals that arrive; readers that are slow), ``piped`` (a command
without a terminal), ``monitor`` (a process that leads the session of the pseudo-terminal and starts the command in a
job of its own), ``relay`` (passes bytes, signals, stops and the size of the terminal between the user's terminal and
the other one). Imports the wire only.

Doors: relay, storage.
"""
