"""Text for people on a terminal: formatting, progress, and the two output streams of a command.

Reading order: ``text`` (numbers, times, tables, colours), ``progress`` (the steps of a build while they run),
``console`` (results on standard output, everything else on standard error).

May import ``roost.client.errors``.

Doors: console, progress, text.
"""
