"""Text for people on a terminal: formatting, progress, and the two output streams of a command.

Reading order: ``text`` (numbers, times, tables, colours), ``time_left`` and ``progress`` (a build while it runs),
``console`` (results on standard output, everything else on standard error).

May import ``roost.client.errors``.

Doors: console, progress, text.
"""
